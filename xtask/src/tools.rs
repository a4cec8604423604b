//! Programs of others that the checks need, built once into a folder of our own.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::process::Program;
use crate::say;
use crate::workspace::Workspace;

/// A published program, at one version.
#[derive(Debug)]
pub(crate) struct Tool {
    /// The crate.
    name: &'static str,
    version: &'static str,
    /// What its program is called.
    program: &'static str,
    /// The only features that are needed, where the default ones are many.
    features: Option<&'static str>,
}

pub(crate) const CARGO_DENY: Tool =
    Tool { name: "cargo-deny", version: "0.20.2", program: "cargo-deny", features: None };
pub(crate) const CARGO_MACHETE: Tool =
    Tool { name: "cargo-machete", version: "0.9.2", program: "cargo-machete", features: None };
/// The contract's types and glue, as C.
pub(crate) const WIT_BINDGEN: Tool = Tool {
    name: "wit-bindgen-cli",
    version: "0.63.0",
    program: "wit-bindgen",
    features: Some("c"),
};
/// Components from core modules. Its version is one of the time of `wit-bindgen`'s, so that the two
/// share what they are made of.
pub(crate) const WASM_TOOLS: Tool = Tool {
    name: "wasm-tools",
    version: "1.263.0",
    program: "wasm-tools",
    features: Some("component"),
};

/// A tool that is there.
#[derive(Debug)]
pub(crate) struct Installed {
    path: PathBuf,
}

impl Installed {
    pub(crate) fn program(&self, workspace: &Workspace) -> Program {
        Program::new(&self.path).in_directory(workspace.root())
    }

    /// The folder that it is in, for a search path.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().expect("a program is in a folder")
    }
}

/// Builds the tool unless it is there. Without optimisations: building it is most of its work.
///
/// `DRIPLINE_TOOLS_DIR` names a folder that outlives the build folder.
pub(crate) fn ensure(workspace: &Workspace, tool: &'static Tool) -> anyhow::Result<Installed> {
    let root = std::env::var_os("DRIPLINE_TOOLS_DIR")
        .map_or_else(|| workspace.target("tools"), PathBuf::from)
        .join(format!("{}-{}", tool.name, tool.version));
    let path = root.join("bin").join(tool.program);
    if !path.is_file() {
        say::step(&format!("installing {} {}", tool.name, tool.version));
        let features =
            tool.features.map(|features| ["--no-default-features", "--features", features]);
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
            .args(features.into_iter().flatten())
            .arg("--root")
            .arg(&root)
            .arg("--target-dir")
            .arg(workspace.target("tools/build"))
            .run()
            .with_context(|| format!("install {}", tool.name))?;
    }
    Ok(Installed { path })
}
