//! `dripline route show`.

use dripline_store::{route_halt, sender_pace};

use super::report::OneRoute;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Show one route.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The route.
    name: String,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let route = ctx.route(&account, &args.name).await?;
    let pool = ctx.pool().await?;
    let halts = route_halt::current(pool, account.account_id, Some(route.route_id)).await?;
    let paces = if route.throttle.is_limited() {
        sender_pace::list(pool, route.route_id).await?
    } else {
        vec![]
    };
    out.data(&OneRoute { halts, paces, ..OneRoute::new(route, account.currency, ctx) })?;
    Ok(Exit::Done)
}
