//! Whether a plugin keeps its promises: its own cases, and what every plugin must stand.
//!
//! The kit runs on a built component, of which it need not have seen the source. The cases are data, in the
//! format that the plugin SDK's module `testing` documents and runs natively; the two share the files and no
//! code, so that neither can hide the other's mistake.
//!
//! Layout: `cases` reads the files; `carrier` (with `lookup`, `token` and `webhook` for what it may do besides) and
//! `renderer` run them; `stage` gives each case its time and hears what is logged; `canary` looks for secrets in all
//! `words` that a plugin says; `hardship` is what every carrier is put through besides, whatever its cases say, with
//! bodies from `garbage` and the longest of `texts`. To add something that all plugins must stand, add it to `garbage` for bodies, to `hardship`
//! and `lookup` for answers, or to `carrier` and `renderer` for every case.

mod canary;
mod carrier;
mod cases;
mod garbage;
mod hardship;
mod lookup;
mod renderer;
mod stage;
mod texts;
mod token;
mod webhook;
mod words;

use std::path::Path;

use dripline_plugin_host::{PluginHost, PluginInfo, PluginKind};
use serde::Serialize;

pub use cases::CasesError;
pub use stage::Stage;

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The file of the case, as it was found; none for what every plugin must stand.
    pub file: Option<String>,
    /// The case's name.
    pub case: String,
    /// What is wrong. Empty: it passed.
    pub problems: Vec<String>,
}

/// What a plugin came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The plugin.
    pub plugin: String,
    /// Every check, in the order in which they ran.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// Whether everything passed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.problems.is_empty())
    }
}

/// Runs the cases of every `*.toml` in `folder` against a loaded plugin, and what every plugin of its kind
/// must stand. Without a folder only the latter. The host must have been made with this stage's clock and keeper.
///
/// # Errors
/// When the folder or a file cannot be read or understood, with the place. A plugin that fails is no error:
/// see [`Verdict::passed`].
pub async fn run(
    host: &PluginHost,
    plugin: &PluginInfo,
    folder: Option<&Path>,
    stage: &Stage,
) -> Result<Verdict, CasesError> {
    let checks = match plugin.kind {
        PluginKind::Carrier => {
            let files = cases::read(folder)?;
            let subject = carrier::Subject::new(host, plugin, stage, &files);
            let mut checks = subject.run(&files).await;
            checks.extend(hardship::run(&subject, &files).await);
            checks
        }
        PluginKind::Renderer => renderer::run(host, plugin, &cases::read(folder)?).await,
    };
    Ok(Verdict { plugin: plugin.name.clone(), checks })
}

/// Both values when they differ.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is {found:?} and should be {expected:?}"))
}
