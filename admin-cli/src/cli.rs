//! The command line's root: what every command shares.

use std::path::PathBuf;

use clap::Parser;

use crate::commands::Command;
use crate::exit::Exit;
use crate::output::Format;

/// Order, watch and stop drip sequences of text messages, prepaid to the segment.
///
/// With no configuration, an embedded PostgreSQL server is started in the state directory and is
/// left running for the next command; `dripline db stop` stops it. Set `DATABASE_URL` to use a server
/// of your own.
#[derive(Debug, Parser)]
#[command(
    name = "dripline",
    version,
    after_help = Exit::HELP,
    max_term_width = 100,
    propagate_version = false,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command understands.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Settings file in TOML, instead of the dripline.toml that is looked for.
    #[arg(long, global = true, value_name = "FILE", env = "DRIPLINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The account to act for. Without it: the configured one, or the only one there is.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// How data is written to stdout. Everything else goes to stderr.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: Format,
    /// Log what happens to stderr; twice for more.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}
