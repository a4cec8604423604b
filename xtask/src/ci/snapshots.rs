//! Every test, and no snapshot that none of them looks at.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process::Program;
use crate::test;
use crate::workspace::Workspace;

/// Runs every test with snapshots as committed. Then no snapshot file may be left over: it would
/// look like a promise that is checked.
pub(super) fn test(workspace: &Workspace) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let list = folder.path().join("referenced");
    test::run_checked(workspace, &list)?;
    // No test has a snapshot if the file is missing.
    let list = fs::read_to_string(&list).unwrap_or_default();
    let referenced: BTreeSet<PathBuf> =
        list.lines().filter_map(|line| Path::new(line).canonicalize().ok()).collect();
    let unreferenced: Vec<String> = committed(workspace)?
        .into_iter()
        .filter(|path| path.canonicalize().is_ok_and(|path| !referenced.contains(&path)))
        .map(|path| path.display().to_string())
        .collect();
    if !unreferenced.is_empty() {
        bail!("snapshots that no test refers to:\n{}", unreferenced.join("\n"));
    }
    Ok(())
}

fn committed(workspace: &Workspace) -> anyhow::Result<Vec<PathBuf>> {
    let files = Program::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.snap"])
        .in_directory(workspace.root())
        .capture()?;
    Ok(files.lines().map(|file| workspace.path(file)).collect())
}
