//! `cargo xtask crash`: the programs with their crash points, and the program that kills them.

use crate::workspace::Workspace;
use crate::{build, plugins, process, say, server};

/// What to kill, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `[--times N] [--seed S] [--parallel N] [POINT...]`; without a point, all of them
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Every point so often in [`crate::ci`]: some faults need a certain order of things to show.
const TIMES_IN_CI: &str = "5";

/// The short form for [`crate::ci`].
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let arguments = ["--times", TIMES_IN_CI].map(str::to_owned).to_vec();
    run(workspace, &Args { arguments })
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let plugins = plugins::build(workspace)?;
    let programs = build::programs_with_crash_points(workspace)?;
    let server = server::start()?;
    say::step("killing them, one point after the other");
    process::Program::new(programs.join("dripline-crash"))
        .arg("run")
        .args(&args.arguments)
        .env("DRIPLINE_TEST_SERVER_URL", &server.running().url)
        .env("DRIPLINE_TEST_PLUGINS", plugins)
        .env("DRIPLINE_TEST_PROGRAMS", &programs)
        .in_directory(workspace.root())
        .run()
}
