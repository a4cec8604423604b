//! The database.

mod migrate;
mod report;
mod start;
mod status;
mod stop;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::Output;

/// The database.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Start(start::Args),
    Stop(stop::Args),
    Status(status::Args),
    Migrate(migrate::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Start(args) => start::run(args, ctx, out).await,
        Command::Stop(args) => stop::run(args, ctx, out).await,
        Command::Status(args) => status::run(args, ctx, out).await,
        Command::Migrate(args) => migrate::run(args, ctx, out).await,
    }
}

/// The embedded server is not touched while another one is configured.
fn refuse_if_configured(ctx: &Context) -> anyhow::Result<()> {
    match &ctx.settings.database.url {
        None => Ok(()),
        Some(url) => Err(refuse(format!("a server of your own is configured: {url}"))
            .hint("unset DATABASE_URL and `database.url` to use the embedded one")
            .into()),
    }
}
