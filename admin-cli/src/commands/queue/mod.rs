//! The queue: messages that wait to be sent.

mod list;
mod stats;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// The queue: messages that wait to be sent.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Stats(stats::Args),
    List(list::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Stats(args) => stats::run(args, ctx, out).await,
        Command::List(args) => list::run(args, ctx, out).await,
    }
}
