//! `dripline db migrate`.

use anyhow::Context as _;

use super::report::DatabaseReport;
use crate::context::Context;
use crate::database;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::Output;
use dripline_store::MigrateError;

/// Bring the database's schema up to date. Migrations only go forward.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    if ctx.settings.database.url.is_none() {
        database::open_embedded(&ctx.settings).await?;
        out.data(&DatabaseReport::embedded(ctx).await?)?;
        return Ok(Exit::Done);
    }
    let pool = database::connect(&ctx.settings).await?;
    match dripline_store::migrate(&pool).await {
        Ok(()) => {}
        Err(error @ (MigrateError::NewerSchema { .. } | MigrateError::Changed { .. })) => {
            return Err(refuse(error.to_string()).into());
        }
        Err(error) => return Err(error).context("bring the schema up to date"),
    }
    out.data(&DatabaseReport::configured(ctx).await?)?;
    Ok(Exit::Done)
}
