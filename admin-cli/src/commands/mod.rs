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

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// What can be asked for.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
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
    /// Print a completion script for a shell.
    Completions(completions::Args),
    /// Print this manual as Markdown; `docs/cli.md` is made by it.
    #[command(hide = true)]
    MarkdownHelp,
    /// Print this manual as a man page.
    #[command(hide = true)]
    Man,
}

/// Runs a command.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::Account(command) => account::run(command, ctx, out).await,
        Command::Route(command) => route::run(command, ctx, out).await,
        Command::Contact(command) => contact::run(command, ctx, out).await,
        Command::Workflow(command) => workflow::run(command, ctx, out).await,
        Command::Enrollment(command) => enrollment::run(command, ctx, out).await,
        Command::Queue(command) => queue::run(command, ctx, out).await,
        Command::Delivery(command) => delivery::run(command, ctx, out).await,
        Command::Operation(command) => operation::run(command, ctx, out).await,
        Command::Ledger(args) => ledger::run(args, ctx, out).await,
        Command::Audit(args) => audit::run(args, ctx, out).await,
        Command::Db(command) => db::run(command, ctx, out).await,
        Command::Plugin(command) => plugin::run(command, ctx, out).await,
        Command::Completions(args) => completions::run(&args, out),
        Command::MarkdownHelp => manual::markdown(out),
        Command::Man => manual::man_page(out),
    }
}
