//! Enrollments: contacts on their way through workflows.

mod add;
mod choice;
mod condition;
mod enrolling;
mod list;
pub(crate) mod pricing;
mod remove;
mod remove_chosen;
mod report;
pub(crate) mod rows;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Enrollments: contacts on their way through workflows.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Add(add::Args),
    List(list::Args),
    Remove(remove::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Add(args) => add::run(args, ctx, out).await,
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Remove(args) => remove::run(args, ctx, out).await,
    }
}
