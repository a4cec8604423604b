//! `dripline route add`.

use anyhow::Context as _;
use dripline_domain::throttle::Throttle;
use dripline_store::ops::{CreateRouteError, create_route};
use dripline_store::route;

use super::draft;
use super::report::OneRoute;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::Output;

/// Add a route, from a file or from flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The route's name, unique in the account; a file may give it instead.
    name: Option<String>,
    #[command(flatten)]
    draft: draft::Args,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let (mut draft, _) = args.draft.draft(args.name, None)?;
    let account = ctx.account().await?;
    let documented = draft::check(&mut draft, ctx, &account).await?;
    let pool = ctx.pool().await?;
    let route_id = create_route(pool, &ctx.clock, account.account_id, &draft, &ctx.actor)
        .await
        .map_err(explain)?;
    let route = route::load(pool, route_id).await?.context("the new route is gone already")?;
    out.data(&OneRoute::new(route, account.currency, ctx))?;
    if !draft.throttle.is_limited() {
        documented_limits(&draft.name, documented).for_each(|line| out.note(&line));
    }
    Ok(Exit::Done)
}

/// What a route without a throttle could keep to.
fn documented_limits(route: &str, documented: Throttle) -> impl Iterator<Item = String> {
    let limits = [("second", documented.segments_per_second), ("day", documented.segments_per_day)];
    limits.into_iter().filter_map(move |(time, limit)| {
        let limit = limit?;
        let segments = if limit.get() == 1 { "segment" } else { "segments" };
        Some(format!(
            "by the carrier's documentation a sender may send {limit} {segments} in a {time}; \
             `dripline route edit {route} --segments-per-{time} {limit}` keeps to it"
        ))
    })
}

fn explain(error: CreateRouteError) -> anyhow::Error {
    match error {
        CreateRouteError::Store(error) => anyhow::Error::new(error).context("add the route"),
        CreateRouteError::NameTaken(name) => {
            refuse(format!("a route named `{name}` exists already"))
                .hint(format!("`dripline route edit {name}` changes it"))
                .into()
        }
        refused => refuse(refused.to_string()).into(),
    }
}
