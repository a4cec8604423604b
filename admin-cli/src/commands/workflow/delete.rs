//! `dripline workflow delete`.

use super::stopping::{self, Stop};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Delete a workflow for good. An active one is emptied first, as by `pause`.
///
/// There is no undo: texts and timing are gone, while the ledger and the record of what was sent
/// remain. `workflow export` keeps a copy of the content.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stop: stopping::Args,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    stopping::run(args.stop, Stop::Delete, ctx, out).await
}
