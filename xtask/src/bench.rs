//! `cargo xtask bench`: the bench program, built the way it is meant to run.

use crate::workspace::Workspace;
use crate::{plugins, say};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments for the bench program; `cargo xtask bench -- --help` lists them
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let plugins = plugins::build(workspace)?;
    say::step("building the bench program with optimisations");
    workspace
        .cargo()
        .args(["build", "--release", "--bins", "--package", "dripline-bench"])
        .args(["--package", "dripline-carrier-simulator"])
        .run()?;
    crate::process::Program::new(workspace.target("release/dripline-bench"))
        .args(&args.arguments)
        .env("DRIPLINE_TEST_PLUGINS", plugins)
        .in_directory(workspace.root())
        .run()
}
