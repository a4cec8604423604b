//! Workflows: sequences of messages.

mod checking;
mod create;
mod delete;
mod edit;
mod editor;
mod export;
mod history;
mod list;
mod moving;
mod pause;
mod refusal;
mod show;
mod stopping;
pub(crate) mod taken;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Workflows: sequences of messages.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Show(show::Args),
    Edit(edit::Args),
    Move(moving::Args),
    Pause(pause::Args),
    Delete(delete::Args),
    Export(export::Args),
    History(history::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => create::run(args, ctx, out).await,
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Show(args) => show::run(args, ctx, out).await,
        Command::Edit(args) => edit::run(args, ctx, out).await,
        Command::Move(args) => moving::run(args, ctx, out).await,
        Command::Pause(args) => pause::run(args, ctx, out).await,
        Command::Delete(args) => delete::run(args, ctx, out).await,
        Command::Export(args) => export::run(args, ctx, out).await,
        Command::History(args) => history::run(args, ctx, out).await,
    }
}
