//! Contacts: people with a phone number.

mod import;
mod list;
mod show;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Contacts: people with a phone number.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Import(import::Args),
    List(list::Args),
    Show(show::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Import(args) => import::run(args, ctx, out).await,
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Show(args) => show::run(args, ctx, out).await,
    }
}
