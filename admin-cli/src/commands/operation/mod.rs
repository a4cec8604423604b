//! Operations: recorded pauses, deletions, removals and large enrolments.

mod list;
pub(crate) mod show;
mod wait;
pub(crate) mod waiting;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Operations: recorded pauses, deletions, removals and large enrolments.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
    Wait(wait::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Show(args) => show::run(args, ctx, out).await,
        Command::Wait(args) => wait::run(args, ctx, out).await,
    }
}
