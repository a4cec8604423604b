//! The audit, and the breaks that audits have found.

mod carrier_log;
mod checking;
mod list;
mod settle;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Prove from the rows that every message and every cent is where it should be.
///
/// Runs the invariants of ARCHITECTURE.md over all accounts, at one instant; can run while everything
/// works. What breaks one is shown and remembered. Exits with 1 until every break is settled.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    checking: checking::Args,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Settle(settle::Args),
}

/// Audits, or runs one of the commands about breaks.
pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match args.command {
        None => checking::run(args.checking, ctx, out).await,
        Some(Command::List(args)) => list::run(args, ctx, out).await,
        Some(Command::Settle(args)) => settle::run(args, ctx, out).await,
    }
}
