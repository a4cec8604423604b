//! `dripline db start`.

use super::refuse_if_configured;
use super::report::DatabaseReport;
use crate::context::Context;
use crate::database;
use crate::exit::Exit;
use crate::output::Output;

/// Start the embedded server and bring its schema up to date. It goes on after this command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    refuse_if_configured(ctx)?;
    database::open_embedded(&ctx.settings).await?;
    out.data(&DatabaseReport::embedded(ctx).await?)?;
    Ok(Exit::Done)
}
