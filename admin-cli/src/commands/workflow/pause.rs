//! `dripline workflow pause`.

use super::stopping::{self, Stop};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Remove all contacts from a workflow, cancel their messages, refund what was not sent.
///
/// Shows how many contacts, messages, segments and how much money it takes back, and what is in
/// flight, then asks. When it returns, no message of this workflow can start to leave, except the
/// attempts listed as in flight. Nobody keeps a place: contacts that are enrolled again begin at
/// message 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stop: stopping::Args,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    stopping::run(args.stop, Stop::Pause, ctx, out).await
}
