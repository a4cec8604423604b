//! Building the programs.

use std::path::PathBuf;

use crate::say;
use crate::workspace::Workspace;

/// Programs that a test or the demo may start, with their packages.
const PROGRAMS: [(&str, &str); 3] = [
    ("dripline", "dripline-admin-cli"),
    ("dripline-worker", "dripline-worker"),
    ("dripline-carrier-simulator", "dripline-carrier-simulator"),
];

/// Builds the programs in the dev profile, whose dependencies are optimised, and returns where they
/// are.
pub(crate) fn programs(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    say::step("building dripline, dripline-worker and the carrier simulator");
    let packages = PROGRAMS.iter().flat_map(|(_, package)| ["--package", package]);
    workspace.cargo().args(["build", "--bins"]).args(packages).run()?;
    Ok(workspace.target("debug"))
}

/// The same with the points at which tests kill them, and the program that does.
pub(crate) fn programs_with_crash_points(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    say::step("building dripline, dripline-worker and the carrier simulator, with crash points");
    let packages = PROGRAMS.iter().map(|(_, package)| *package).chain(["dripline-crash"]);
    let packages = packages.flat_map(|package| ["--package", package]);
    let features = ["dripline-admin-cli", "dripline-worker", "dripline-crash"]
        .map(|p| format!("{p}/failpoints"));
    workspace
        .cargo()
        .args(["build", "--bins"])
        .args(packages)
        .args(["--features", &features.join(",")])
        .run()?;
    Ok(workspace.target("debug"))
}
