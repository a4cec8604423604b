//! Plugins: carriers and renderers.

mod build;
mod check;
mod install;
mod list;
mod logs;
mod misfit;
mod new;
mod remove;
mod report;
mod rollback;
mod scaffold;
mod show;
mod test;
pub(in crate::commands) mod try_out;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Plugins: carriers and renderers.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
    New(new::Args),
    Build(build::Args),
    Check(check::Args),
    Test(test::Args),
    Try(try_out::Args),
    Install(install::Args),
    Remove(remove::Args),
    Rollback(rollback::Args),
    Logs(logs::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Show(args) => show::run(args, ctx, out).await,
        Command::New(args) => new::run(args, out),
        Command::Build(args) => build::run(args, out).await,
        Command::Check(args) => check::run(args, ctx, out).await,
        Command::Test(args) => test::run(args, ctx, out).await,
        Command::Try(args) => try_out::run(args, ctx, out).await,
        Command::Install(args) => install::run(args, ctx, out).await,
        Command::Remove(args) => remove::run(args, ctx, out).await,
        Command::Rollback(args) => rollback::run(args, ctx, out).await,
        Command::Logs(args) => logs::run(args, ctx, out).await,
    }
}
