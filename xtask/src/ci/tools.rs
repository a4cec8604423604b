//! Programs of others that the checks need, built once into a folder of our own.

use std::path::PathBuf;

use anyhow::Context;

use crate::process::Program;
use crate::say;
use crate::workspace::Workspace;

/// A published cargo subcommand, at one version.
#[derive(Debug)]
pub(super) struct Tool {
    name: &'static str,
    version: &'static str,
}

pub(super) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
pub(super) const CARGO_MACHETE: Tool = Tool { name: "cargo-machete", version: "0.9.2" };

/// A tool that is there.
#[derive(Debug)]
pub(super) struct Installed {
    path: PathBuf,
}

impl Installed {
    pub(super) fn program(&self, workspace: &Workspace) -> Program {
        Program::new(&self.path).in_directory(workspace.root())
    }
}

/// Builds the tool unless it is there. Without optimisations: building it is most of its work.
///
/// `DRIPLINE_TOOLS_DIR` names a folder that outlives the build folder.
pub(super) fn ensure(workspace: &Workspace, tool: &'static Tool) -> anyhow::Result<Installed> {
    let root = std::env::var_os("DRIPLINE_TOOLS_DIR")
        .map_or_else(|| workspace.target("tools"), PathBuf::from)
        .join(format!("{}-{}", tool.name, tool.version));
    let path = root.join("bin").join(tool.name);
    if !path.is_file() {
        say::step(&format!("installing {} {}", tool.name, tool.version));
        workspace
            .cargo()
            .args([
                "install",
                "--quiet",
                "--locked",
                "--debug",
                tool.name,
                "--version",
                tool.version,
            ])
            .arg("--root")
            .arg(&root)
            .arg("--target-dir")
            .arg(workspace.target("tools/build"))
            .run()
            .with_context(|| format!("install {}", tool.name))?;
    }
    Ok(Installed { path })
}
