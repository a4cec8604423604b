//! `dripline plugin build`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// What a component is built for.
const TARGET: &str = "wasm32-wasip2";

/// Build the plugin of a folder with cargo, and say where its component is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder with the plugin's Cargo.toml.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Built {
    component: String,
    file_bytes: u64,
}

impl Report for Built {
    fn lay_out(&self, page: &mut Page) {
        page.pairs([
            ("component", self.component.clone()),
            ("size", format!("{} bytes", self.file_bytes)),
        ]);
    }
}

/// What cargo says of each thing it has built; the rest of its messages is not looked at.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

pub(crate) async fn run(args: Args, out: &mut Output) -> anyhow::Result<Exit> {
    let folder = args.folder;
    let component = tokio::task::spawn_blocking(move || build(&folder))
        .await
        .context("wait for the build")??;
    let file_bytes = std::fs::metadata(&component)
        .with_context(|| format!("look at `{}`", component.display()))?
        .len();
    out.data(&Built { component: component.display().to_string(), file_bytes })?;
    Ok(Exit::Done)
}

fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(refuse(format!("there is no `{}`", manifest.display()))
            .hint("`dripline plugin new carrier NAME` makes a plugin's folder")
            .into());
    }
    require_target(folder)?;
    let built = Command::new("cargo")
        .args(["build", "--release", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        .arg("--manifest-path")
        .arg(&manifest)
        // Flags for this machine's own target would not do for a component.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    if !built.status.success() {
        return Err(refuse(format!("`{}` does not build", folder.display()))
            .hint("cargo says above what is wrong")
            .into());
    }
    let text = String::from_utf8_lossy(&built.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let mut components = messages
        .filter(|message| message.reason == "compiler-artifact")
        .flat_map(|message| message.filenames)
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    // The plugin itself is built behind everything that it needs.
    components.next_back().ok_or_else(|| {
        refuse(format!("the build of `{}` left no component", folder.display()))
            .hint("its Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib]")
            .into()
    })
}

/// That cargo is there and can build components.
fn require_target(folder: &Path) -> anyhow::Result<()> {
    let library = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .output()
        .map_err(|error| {
            refuse(format!("the Rust compiler cannot be run: {error}"))
                .hint("https://rustup.rs installs Rust")
        })?;
    let directory = String::from_utf8_lossy(&library.stdout);
    if library.status.success() && Path::new(directory.trim()).is_dir() {
        return Ok(());
    }
    Err(refuse(format!("Rust's target {TARGET} is not installed"))
        .hint(format!("`rustup target add {TARGET}` installs it"))
        .into())
}
