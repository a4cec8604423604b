//! Plugins: carriers and renderers.

mod list;
mod report;
mod show;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Plugins: carriers and renderers.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Show(args) => show::run(args, ctx, out).await,
    }
}
