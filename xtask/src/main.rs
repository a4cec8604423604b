//! The project's own build tool: `cargo xtask demo`, `test`, `ci` and their parts.
//!
//! Layout: `workspace` knows where things are, `process` runs programs and ends them again,
//! `interrupt` turns Ctrl-C into an orderly end. Then one module for each subcommand.

mod bench;
mod build;
mod chaos;
mod ci;
mod crash;
mod demo;
mod interrupt;
mod languages;
mod plugins;
mod process;
mod races;
mod say;
mod server;
mod sqlx;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Build, show, test and check Dripline.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole of it: a thousand people, three messages each, a pause, and the books compared
    Demo(demo::Args),
    /// Run every test on a Postgres of its own
    Test(test::Args),
    /// The long form of the store's races: 10,000 marks against pauses, 1,000 against removals
    Races(races::Args),
    /// Build the plugins and collect them in target/plugins
    Plugins(plugins::Args),
    /// Build the plugins in other languages than Rust, run the conformance kit on them, and send with them
    Languages,
    /// Bring the offline data of the queries up to date, or check that it is
    Sqlx(sqlx::Args),
    /// Every check of the house style, then every test
    Ci(ci::Args),
    /// Kill the programs at every point where they can die, and compare the books
    Crash(crash::Args),
    /// Measure; all arguments go to the bench program
    Bench(bench::Args),
    /// Break everything around running workers, and compare what is left
    Chaos(chaos::Args),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .init();
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if interrupt::requested() => {
            say::line("interrupted; nothing is left running");
            ExitCode::from(interrupt::EXIT_CODE)
        }
        Err(error) => {
            say::line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    interrupt::install()?;
    let workspace = Workspace::find()?;
    match command {
        Command::Demo(args) => demo::run(&workspace, &args),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Races(args) => races::run(&workspace, &args),
        Command::Plugins(args) => plugins::run(&workspace, &args),
        Command::Languages => languages::check(&workspace),
        Command::Sqlx(args) => sqlx::run(&workspace, &args),
        Command::Ci(args) => ci::run(&workspace, &args),
        Command::Crash(args) => crash::run(&workspace, &args),
        Command::Bench(args) => bench::run(&workspace, &args),
        Command::Chaos(args) => chaos::run(&workspace, &args),
    }
}
