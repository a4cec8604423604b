//! `dripline route add`.

use anyhow::Context as _;
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
    let mut draft = args.draft.draft(args.name, None)?;
    let account = ctx.account().await?;
    draft::check(&mut draft, ctx, &account).await?;
    let pool = ctx.pool().await?;
    let route_id = create_route(pool, &ctx.clock, account.account_id, &draft, &ctx.actor)
        .await
        .map_err(explain)?;
    let route = route::load(pool, route_id).await?.context("the new route is gone already")?;
    out.data(&OneRoute { route, currency: account.currency, halts: vec![], paces: vec![] })?;
    Ok(Exit::Done)
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
