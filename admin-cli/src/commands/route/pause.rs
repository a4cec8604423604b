//! `dripline route pause`.

use dripline_store::ops::pause_route;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::words::count;
use crate::output::{Output, Report};

/// Pause a route: once this has returned, nothing starts to leave over it.
///
/// What is due for it waits, without losing an attempt or its money; what expires meanwhile is released. Workflows stay
/// as they are. Unknown messages can still be asked about.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The route.
    name: String,
    /// Why, kept with the route.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Paused {
    route: String,
    changed: bool,
    /// Messages that were being handed over already.
    in_flight: u64,
}

impl Report for Paused {
    fn lay_out(&self, page: &mut Page) {
        let already = if self.changed { "" } else { " already" };
        page.line(format_args!("route `{}` is paused{already}", self.route));
        if self.in_flight > 0 {
            let messages = count(self.in_flight, "message");
            page.line(format_args!(
                "{messages} had begun to leave, and will end as the carrier says"
            ));
        }
        page.line(format_args!("let it run again: dripline route resume {}", self.route));
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let route = ctx.route(&account, &args.name).await?;
    let reason = args.reason.as_deref();
    let paused =
        pause_route(ctx.pool().await?, &ctx.clock, route.route_id, reason, &ctx.actor).await?;
    let (changed, in_flight) = (paused.changed, paused.in_flight);
    out.data(&Paused { route: route.name, changed, in_flight })?;
    Ok(Exit::Done)
}
