//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::process::Program;

/// The repository and its build folder, as cargo sees them.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Resolved {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("find the workspace")?;
        let text = Program::cargo()
            .args(["metadata", "--format-version=1", "--no-deps"])
            .in_directory(root)
            .capture()?;
        let metadata: Metadata = serde_json::from_str(&text).context("read cargo's metadata")?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the repository.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A path in the build folder.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }

    /// Cargo, in the repository's root.
    pub(crate) fn cargo(&self) -> Program {
        Program::cargo().in_directory(&self.root)
    }

    /// The source folder of a dependency, as pinned by the lock file.
    pub(crate) fn dependency(&self, name: &str) -> anyhow::Result<PathBuf> {
        let text = self.cargo().args(["metadata", "--format-version=1", "--locked"]).capture()?;
        let resolved: Resolved = serde_json::from_str(&text).context("read cargo's metadata")?;
        resolved
            .packages
            .into_iter()
            .find(|package| package.name == name)
            .and_then(|package| package.manifest_path.parent().map(Path::to_owned))
            .with_context(|| format!("find the source of `{name}`"))
    }
}
