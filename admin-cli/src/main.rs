//! `dripline`, the operator's command.
//!
//! `main` parses, builds the context, runs the command, prints the error chain and exits. Every
//! subcommand is one file in `commands` with `Args` and `run`.
//!
//! To add a command: add its file next to its siblings, list it in their `mod.rs`, give it a
//! transcript in `tests/it`, and run `dripline markdown-help > docs/cli.md`. If it spends, stops or
//! deletes, flatten [`confirm::Args`] into its `Args` and let what acts take [`confirm::Confirmed`].

mod cli;
mod commands;
mod confirm;
mod contact_csv;
mod context;
mod database;
mod exit;
mod failure;
mod money;
mod output;
mod plugins;
mod progress;
mod source;
mod suggestion;
mod workflow_file;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    dripline_store::crash::arm();
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => failure::report(&error, &mut io::stderr().lock()).into(),
    }
}

fn run(cli: Cli) -> anyhow::Result<exit::Exit> {
    let mut out = Output::new(cli.global.output);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(commands::run(cli, &mut out))
}
