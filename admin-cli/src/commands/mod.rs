//! Every command. One module per noun, one file per verb.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod contact;
pub(crate) mod db;
pub(crate) mod delivery;
pub(crate) mod enrollment;
pub(crate) mod ledger;
pub(crate) mod manual;
pub(crate) mod operation;
pub(crate) mod plugin;
pub(crate) mod queue;
pub(crate) mod route;
pub(crate) mod workflow;

use crate::cli::Cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// What can be asked for.
#[expect(clippy::large_enum_variant, reason = "there is one of it, and clap makes it")]
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Work(Work),
    #[command(flatten)]
    About(About),
}

/// Commands about the command itself. They read no settings, so that wrong ones do not stop them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum About {
    /// Print a completion script for a shell.
    Completions(completions::Args),
    /// Print this manual as Markdown; `docs/cli.md` is made by it.
    #[command(hide = true)]
    MarkdownHelp,
    /// Print this manual as a man page.
    #[command(hide = true)]
    Man,
}

/// Commands that work on an installation.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Work {
    /// Who pays: create accounts, put money in, see balances.
    #[command(subcommand)]
    Account(account::Command),
    /// Carrier configurations that workflow steps point to.
    #[command(subcommand)]
    Route(route::Command),
    /// People with a phone number.
    #[command(subcommand)]
    Contact(contact::Command),
    /// Sequences of messages: create, change, order, pause, delete.
    #[command(subcommand)]
    Workflow(workflow::Command),
    /// Contacts on their way through workflows.
    #[command(subcommand)]
    Enrollment(enrollment::Command),
    /// The messages that wait to be sent.
    #[command(subcommand)]
    Queue(queue::Command),
    /// Single messages: where each one is, and where its money is.
    #[command(subcommand)]
    Delivery(delivery::Command),
    /// Receipts of pauses, deletions and removals.
    #[command(subcommand)]
    Operation(operation::Command),
    /// List the account's ledger entries, newest first.
    Ledger(ledger::Args),
    /// Prove from the rows that every message and every cent is where it should be.
    Audit(audit::Args),
    /// The database: start, stop, look at, migrate.
    #[command(subcommand)]
    Db(db::Command),
    /// The carriers and renderers that are installed.
    #[command(subcommand)]
    Plugin(plugin::Command),
}

/// Runs a command.
pub(crate) async fn run(cli: Cli, out: &mut Output) -> anyhow::Result<Exit> {
    let work = match cli.command {
        Command::About(About::Completions(args)) => return completions::run(&args, out),
        Command::About(About::MarkdownHelp) => return manual::markdown(out),
        Command::About(About::Man) => return manual::man_page(out),
        Command::Work(work) => work,
    };
    let ctx = &Context::new(&cli.global)?;
    match work {
        Work::Account(command) => account::run(command, ctx, out).await,
        Work::Route(command) => route::run(command, ctx, out).await,
        Work::Contact(command) => contact::run(command, ctx, out).await,
        Work::Workflow(command) => workflow::run(command, ctx, out).await,
        Work::Enrollment(command) => enrollment::run(command, ctx, out).await,
        Work::Queue(command) => queue::run(command, ctx, out).await,
        Work::Delivery(command) => delivery::run(command, ctx, out).await,
        Work::Operation(command) => operation::run(command, ctx, out).await,
        Work::Ledger(args) => ledger::run(args, ctx, out).await,
        Work::Audit(args) => audit::run(args, ctx, out).await,
        Work::Db(command) => db::run(command, ctx, out).await,
        Work::Plugin(command) => plugin::run(command, ctx, out).await,
    }
}
