//! The layers, and what is said about every kind of mistake.

#![expect(clippy::unwrap_used, reason = "a test that finds a surprise stops there")]

mod database_url;
mod layers;
mod mistakes;
mod secrets;

use std::path::Path;

use dripline_config::{ConfigError, Settings, load_from};

/// A home, so that the built-in settings are complete.
const HOME: (&str, &str) = ("HOME", "/home/anna");

/// Loads with a `dripline.toml` of this text, in a directory that messages do not show.
fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("dripline.toml"), toml).unwrap();
    load_in(directory.path(), None, environment)
}

fn load_in(
    directory: &Path,
    file: Option<&Path>,
    environment: &[(&str, &str)],
) -> Result<Settings, ConfigError> {
    load_from(directory, file, [HOME].iter().chain(environment).copied())
}
