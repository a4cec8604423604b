//! `dripline db status`.

use super::report::DatabaseReport;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Say which server is used, whether it runs, and how old its schema is. Starts nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let report = if ctx.settings.database.url.is_some() {
        DatabaseReport::configured(ctx).await?
    } else {
        DatabaseReport::embedded(ctx).await?
    };
    out.data(&report)?;
    Ok(Exit::Done)
}
