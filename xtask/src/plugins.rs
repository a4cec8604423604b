//! Building the guest plugins.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process::Program;
use crate::say;
use crate::workspace::Workspace;

/// The plugins that people get; the others are the tests'.
pub(crate) const BUNDLED: [&str; 11] = [
    "aws_sms.wasm",
    "bird.wasm",
    "http_template.wasm",
    "infobip.wasm",
    "plain.wasm",
    "plivo.wasm",
    "sinch.wasm",
    "telnyx.wasm",
    "template.wasm",
    "twilio.wasm",
    "vonage.wasm",
];

/// What a component is built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Where the components go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also into this folder, such as the `plugins` of a state directory
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let collected = build(workspace)?;
    let Some(to) = &args.to else {
        say::line(&format!("the components are in {}", collected.display()));
        return Ok(());
    };
    fs::create_dir_all(to).with_context(|| format!("create `{}`", to.display()))?;
    for name in BUNDLED {
        let (from, to) = (collected.join(name), to.join(name));
        fs::copy(&from, &to).with_context(|| format!("copy `{}`", from.display()))?;
    }
    say::line(&format!("{} are in {}", BUNDLED.join(", "), to.display()));
    Ok(())
}

/// Builds all plugins and fixtures as components and collects them in the folder that it returns.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    ensure_target(workspace)?;
    say::step("building the plugins");
    cargo(workspace, "build").args(["--release", "--target", TARGET]).run()?;
    let built = target_dir(workspace).join(TARGET).join("release");
    let collected = workspace.target("plugins");
    collect(&built, &collected)?;
    Ok(collected)
}

/// A cargo command on the plugins' workspace, which has a build folder of its own.
pub(crate) fn cargo(workspace: &Workspace, command: &str) -> Program {
    workspace
        .cargo()
        .args([command, "--workspace", "--manifest-path"])
        .arg(workspace.path("plugins/Cargo.toml"))
        .arg("--target-dir")
        .arg(target_dir(workspace))
}

fn target_dir(workspace: &Workspace) -> PathBuf {
    workspace.target("guests")
}

/// Makes `to` hold exactly the components of `from`. A file appears whole, since a test that runs
/// meanwhile may read it.
fn collect(from: &Path, to: &Path) -> anyhow::Result<()> {
    let context = || format!("collect the plugins of `{}` in `{}`", from.display(), to.display());
    let wasm_in = |directory: &Path| -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wasm") {
                files.push(path);
            }
        }
        Ok(files)
    };
    fs::create_dir_all(to).with_context(context)?;
    let built = wasm_in(from).with_context(context)?;
    if built.is_empty() {
        bail!("the plugins' build left no component in `{}`", from.display());
    }
    for old in wasm_in(to).with_context(context)? {
        if built.iter().all(|new| new.file_name() != old.file_name()) {
            fs::remove_file(old).with_context(context)?;
        }
    }
    for source in built {
        let name = source.file_name().context("a file has a name")?;
        let mut file = tempfile::NamedTempFile::new_in(to).with_context(context)?;
        let mut component = fs::File::open(&source).with_context(context)?;
        std::io::copy(&mut component, &mut file).with_context(context)?;
        file.persist(to.join(name)).with_context(context)?;
    }
    Ok(())
}

/// Makes sure that the toolchain can build components.
pub(crate) fn ensure_target(workspace: &Workspace) -> anyhow::Result<()> {
    let sysroot = Program::new("rustc")
        .args(["--print", "sysroot"])
        .in_directory(workspace.root())
        .capture()
        .context("find the Rust toolchain")?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    say::step(&format!("adding the target {TARGET}"));
    Program::new("rustup").args(["target", "add", TARGET]).in_directory(workspace.root()).run().with_context(
        || {
            format!(
                "the plugins need Rust's target {TARGET}, and it could not be added; with rustup: \
                 `rustup target add {TARGET}`, without: your distribution's package for it, such as \
                 libstd-rust-dev-wasm32"
            )
        },
    )
}
