//! `dripline plugin new`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::scaffold::{self, Kind};
use crate::exit::Exit;
use crate::failure::{refuse, usage};
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Make the folder of a new plugin: one that builds and passes its tests at once.
///
/// The plugin SDK and the contract are written into it as well, so that nothing but cargo's registry is
/// needed to build it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it is for.
    #[arg(value_enum)]
    kind: Kind,
    /// Its name: lower case letters, digits and dashes, beginning with a letter.
    name: String,
    /// In what it is written.
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// The folder to make; its name is the plugin's without it.
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
}

/// Languages that a plugin can be begun in.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Language {
    /// With the plugin SDK.
    Rust,
}

#[derive(Serialize)]
struct Made {
    folder: String,
    files: Vec<String>,
}

impl Report for Made {
    fn lay_out(&self, page: &mut Page) {
        page.line(format_args!("{} has a plugin that builds and passes its tests", self.folder));
        page.line("next:");
        page.line(format_args!("  cd {} && cargo test", self.folder));
        page.line("  dripline plugin build");
        page.line("  dripline plugin test COMPONENT");
    }
}

pub(crate) fn run(args: Args, out: &mut Output) -> anyhow::Result<Exit> {
    let Args { kind, name, lang: Language::Rust, path } = args;
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        return Err(usage(format!("`{name}` is no name for a plugin"))
            .hint("use lower case letters, digits and dashes, beginning with a letter")
            .into());
    }
    let folder = path.unwrap_or_else(|| PathBuf::from(&name));
    let files = scaffold::files(kind, &name);
    write(&folder, &files)?;
    out.data(&Made {
        folder: folder.display().to_string(),
        files: files.into_iter().map(|file| file.path).collect(),
    })?;
    Ok(Exit::Done)
}

/// Writes all of it beside, and puts it in its place at the end: a folder that is there is whole.
fn write(folder: &Path, files: &[scaffold::File]) -> anyhow::Result<()> {
    if folder.exists() {
        return Err(refuse(format!("`{}` is there already", folder.display()))
            .hint("--path FOLDER makes it elsewhere")
            .into());
    }
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let context = || format!("write the plugin to `{}`", folder.display());
    let beside = tempfile::Builder::new()
        .prefix(".dripline-plugin-")
        .tempdir_in(parent)
        .with_context(context)?;
    for file in files {
        let path = beside.path().join(&file.path);
        let inside = path.parent().expect("a file of the scaffold is in its folder");
        std::fs::create_dir_all(inside).with_context(context)?;
        std::fs::write(&path, &file.text).with_context(context)?;
    }
    let made = beside.keep();
    // A temporary folder is its owner's alone; a project is as readable as the owner's others.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&made, readable).with_context(context)?;
    std::fs::rename(&made, folder).with_context(context)
}
