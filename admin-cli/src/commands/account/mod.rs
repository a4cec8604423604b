//! Accounts: who pays.

mod adjust;
pub(crate) mod balance;
mod booking;
mod create;
mod list;
mod topup;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Accounts: who pays.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Topup(topup::Args),
    Adjust(adjust::Args),
    Balance(balance::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => create::run(args, ctx, out).await,
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Topup(args) => topup::run(args, ctx, out).await,
        Command::Adjust(args) => adjust::run(args, ctx, out).await,
        Command::Balance(args) => balance::run(args, ctx, out).await,
    }
}
