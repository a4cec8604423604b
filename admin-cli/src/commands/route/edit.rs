//! `dripline route edit`.

use anyhow::Context as _;
use dripline_store::ops::{UpdateRouteError, update_route};
use dripline_store::route;

use super::draft;
use super::report::OneRoute;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{refuse, usage};
use crate::output::Output;

/// Change a route; workers use it from their next batch. What is held for messages under way stays
/// as it was priced. What waits for one of its limits is looked at again at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The route.
    name: String,
    /// Give it another name.
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    #[command(flatten)]
    draft: draft::Args,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    if args.draft.is_empty() && args.rename.is_none() {
        return Err(usage("say what to change, by --file or by flags")
            .hint("`dripline route edit --help` lists them")
            .into());
    }
    let account = ctx.account().await?;
    let current = ctx.route(&account, &args.name).await?;
    let name = args.rename.or(Some(args.name));
    let mut draft = args.draft.draft(name, Some(&current))?;
    draft::check(&mut draft, ctx, &account).await?;
    let pool = ctx.pool().await?;
    update_route(pool, &ctx.clock, current.route_id, &draft, Some(current.revision), &ctx.actor)
        .await
        .map_err(explain)?;
    let route = route::load(pool, current.route_id).await?.context("the route is gone")?;
    out.data(&OneRoute { route, currency: account.currency, halts: vec![], paces: vec![] })?;
    Ok(Exit::Done)
}

fn explain(error: UpdateRouteError) -> anyhow::Error {
    match error {
        UpdateRouteError::Store(error) => anyhow::Error::new(error).context("change the route"),
        refused => refuse(refused.to_string()).into(),
    }
}
