//! Routes: named carrier configurations that steps point to.

mod add;
pub(crate) mod draft;
mod edit;
pub(crate) mod halts;
mod list;
mod pause;
mod report;
mod resume;
mod show;
mod test;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

pub(in crate::commands) use draft::pair;

/// Routes: named carrier configurations that steps point to.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Add(add::Args),
    List(list::Args),
    Show(show::Args),
    Edit(edit::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Test(test::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Add(args) => add::run(args, ctx, out).await,
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Show(args) => show::run(args, ctx, out).await,
        Command::Edit(args) => edit::run(args, ctx, out).await,
        Command::Pause(args) => pause::run(args, ctx, out).await,
        Command::Resume(args) => resume::run(args, ctx, out).await,
        Command::Test(args) => test::run(args, ctx, out).await,
    }
}
