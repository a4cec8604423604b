//! `cargo xtask chaos`: the chaos program, with the programs that it breaks.

use crate::process::Program;
use crate::workspace::Workspace;
use crate::{plugins, say};

/// What to break, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build with optimisations, which takes minutes and lets more messages through
    #[arg(long)]
    release: bool,
    /// Arguments for the chaos program, such as `--minutes 5 --seed 7`; `-- --help` lists them
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// The short form for [`crate::ci`]: the kept seeds, and five minutes of a new one, with fifty faults at least.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    for arguments in [["--kept"].as_slice(), &["--minutes", "5", "--least-faults", "50"]] {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        run(workspace, &Args { release: false, arguments })?;
    }
    Ok(())
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let plugins = plugins::build(workspace)?;
    say::step("building the chaos program and what it breaks");
    let profile = if args.release { "release" } else { "dev" };
    workspace
        .cargo()
        .args(["build", "--profile", profile, "--bins", "--package", "dripline-chaos"])
        .args(["--package", "dripline-carrier-simulator", "--package", "dripline-admin-cli"])
        // A worker whose clock can be stepped.
        .args(["--package", "dripline-worker", "--features", "dripline-worker/clock-offset"])
        .env("SQLX_OFFLINE", "true")
        .run()?;
    let folder = if args.release { "release" } else { "debug" };
    Program::new(workspace.target(&format!("{folder}/dripline-chaos")))
        .args(&args.arguments)
        .env("DRIPLINE_TEST_PLUGINS", plugins)
        .in_directory(workspace.root())
        .run()
}
