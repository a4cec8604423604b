//! `dripline route resume`.

use dripline_store::ops::reopen_route;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Let a paused route run again. What waits for it is due at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The route.
    name: String,
}

#[derive(Serialize)]
struct Resumed {
    route: String,
    changed: bool,
}

impl Report for Resumed {
    fn lay_out(&self, page: &mut Page) {
        let name = &self.route;
        if self.changed {
            page.line(format_args!("route `{name}` runs again"));
        } else {
            page.line(format_args!("route `{name}` was not paused"));
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let route = ctx.route(&account, &args.name).await?;
    let changed = reopen_route(ctx.pool().await?, &ctx.clock, route.route_id, &ctx.actor).await?;
    out.data(&Resumed { route: route.name, changed })?;
    Ok(Exit::Done)
}
