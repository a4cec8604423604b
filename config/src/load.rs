//! Laying the layers over each other.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use config::Config;

use crate::environment::Environment;
use crate::error::{ConfigError, Problem};
use crate::layer::{Entry, Layer, Scalar};
use crate::secret::SecretReference;
use crate::{DEFAULTS, DatabaseUrl, Settings, file};

/// The name of the file that is looked for.
const FILE_NAME: &str = "dripline.toml";

/// Root's state. Its embedded Postgres runs as an unprivileged user, who cannot enter root's home.
const STATE_OF_ROOT: &str = "/var/lib/dripline";

/// Reads the settings: the built-in ones, then `file` or the one that is found, then `environment`
/// (such as [`std::env::vars_os`]).
///
/// Without `file`, `dripline.toml` is looked for in the current directory, then in
/// `$XDG_CONFIG_HOME/dripline` or `~/.config/dripline`; there may be none.
pub fn load<K: Into<OsString>, V: Into<OsString>>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (K, V)>,
) -> Result<Settings, ConfigError> {
    let is_root = rustix::process::geteuid().is_root();
    load_as(is_root, Path::new(""), file, environment)
}

/// The same for anybody but root, with another directory to look for `dripline.toml` in.
pub fn load_from<K: Into<OsString>, V: Into<OsString>>(
    directory: &Path,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (K, V)>,
) -> Result<Settings, ConfigError> {
    load_as(false, directory, file, environment)
}

fn load_as<K: Into<OsString>, V: Into<OsString>>(
    is_root: bool,
    directory: &Path,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (K, V)>,
) -> Result<Settings, ConfigError> {
    let environment = Environment::new(environment);
    let mut layers = Layers::default();
    layers.add(file::read(DEFAULTS, None));
    if let Some((path, text)) = find_file(directory, file, &environment)? {
        layers.add(file::read(&text, Some(&path)));
    }
    layers.add(environment.read());
    layers.resolve_database_url(&environment);
    layers.check_together();
    layers.into_settings(&environment, is_root)
}

fn find_file(
    directory: &Path,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    if let Some(path) = file {
        return read_file(path).map(|text| Some((path.to_owned(), text)));
    }
    let home = user_directory(environment, "XDG_CONFIG_HOME", ".config");
    let candidates =
        [Some(directory.join(FILE_NAME)), home.map(|home| home.join("dripline").join(FILE_NAME))];
    match candidates.into_iter().flatten().find(|path| path.is_file()) {
        Some(path) => read_file(&path).map(|text| Some((path, text))),
        None => Ok(None),
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// A directory of the XDG specification, which ignores relative ones.
fn user_directory(environment: &Environment, variable: &str, in_home: &str) -> Option<PathBuf> {
    absolute(environment, variable)
        .or_else(|| absolute(environment, "HOME").map(|home| home.join(in_home)))
}

/// Where state is kept when nobody says it.
fn state_directory(environment: &Environment, is_root: bool) -> Option<PathBuf> {
    if is_root && absolute(environment, "XDG_STATE_HOME").is_none() {
        return Some(PathBuf::from(STATE_OF_ROOT));
    }
    user_directory(environment, "XDG_STATE_HOME", ".local/state").map(|home| home.join("dripline"))
}

fn absolute(environment: &Environment, name: &str) -> Option<PathBuf> {
    environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// All layers, and everything wrong with them.
#[derive(Default)]
struct Layers {
    layers: Vec<Layer>,
    problems: Vec<Problem>,
}

impl Layers {
    fn add(&mut self, layer: Result<Layer, Vec<Problem>>) {
        match layer {
            Ok(layer) => self.layers.push(layer),
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// The setting that wins.
    fn winner(&self, key: &str) -> Option<&Entry> {
        self.layers.iter().rev().find_map(|l| l.entries.iter().rev().find(|e| e.key == key))
    }

    fn whole(&self, key: &str) -> Option<(i64, &Entry)> {
        match self.winner(key) {
            Some(entry @ Entry { value: Scalar::Whole(number), .. }) => Some((*number, entry)),
            _ => None,
        }
    }

    /// Replaces a reference to the database's URL by the URL, so that what is wrong with it is
    /// reported with its place.
    fn resolve_database_url(&mut self, environment: &Environment) {
        let Some(entry) = self.winner("database.url").cloned() else { return };
        let Scalar::Text(text) = &entry.value else { return };
        let Ok(reference) = text.parse::<SecretReference>() else { return };
        let url = reference.resolve_with(|name| environment.get(name).cloned());
        let url = match url {
            Err(error) => Err(format!("cannot be followed: {}", chain(&error))),
            Ok(secret) => DatabaseUrl::parse(secret.expose())
                .map_err(|error| format!("refers to {reference}, which is {error}")),
        };
        match url {
            Ok(url) => {
                let value = Scalar::Text(url.expose().to_owned());
                self.layers.push(Layer { entries: vec![Entry { value, ..entry }] });
            }
            Err(text) => self.unfit(&entry, text),
        }
    }

    fn check_together(&mut self) {
        self.check_webhooks();
        let pairs = [
            ("worker.dead_after_seconds", "worker.heartbeat_seconds", 2, "at least twice"),
            ("worker.retry.ceiling_seconds", "worker.retry.first_seconds", 1, "at least"),
        ];
        for (key, other, factor, words) in pairs {
            let (Some((value, entry)), Some((base, by))) = (self.whole(key), self.whole(other))
            else {
                continue;
            };
            if value < base * factor {
                let text = format!(
                    "is {value}; it must be {words} `{other}`, which is {base} in {}",
                    by.place
                );
                self.unfit(&entry.clone(), text);
            }
        }
        let (Some((most, _)), Some((connections, entry))) =
            (self.whole("database.max_connections"), self.whole("worker.connections"))
        else {
            return;
        };
        if connections + 2 > most {
            let text = format!(
                "is {connections}; it must leave two of `database.max_connections`, which is {most}"
            );
            self.unfit(&entry.clone(), text);
        }
    }

    /// Whoever listens must be able to say under which address it is called: signatures cover that.
    fn check_webhooks(&mut self) {
        let given = |key| match self.winner(key) {
            Some(entry @ Entry { value: Scalar::Text(text), .. }) if !text.is_empty() => {
                Some((text, entry))
            }
            _ => None,
        };
        if let (Some((listen, entry)), None) =
            (given("worker.webhooks.listen"), given("worker.webhooks.public_url"))
        {
            let text = format!(
                "is {listen}, and `worker.webhooks.public_url` is empty; say there how carriers reach it, such as \
                 `https://sms.example.com`"
            );
            self.unfit(&entry.clone(), text);
        }
    }

    fn unfit(&mut self, entry: &Entry, text: String) {
        let (key, place) = (entry.key.to_owned(), entry.place.clone());
        self.problems.push(Problem::Unfit { key, place, text });
    }

    fn into_settings(
        self,
        environment: &Environment,
        is_root: bool,
    ) -> Result<Settings, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError::Invalid(self.problems));
        }
        let mut builder = Config::builder();
        for layer in self.layers {
            builder = builder.add_source(layer);
        }
        let merged = builder.build().map_err(ConfigError::Merge)?;
        let mut settings: Settings = merged.try_deserialize().map_err(ConfigError::Merge)?;
        if settings.state_dir.as_os_str().is_empty() {
            settings.state_dir =
                state_directory(environment, is_root).ok_or(ConfigError::NoStateDirectory)?;
        }
        let below = |path: &mut PathBuf, name: &str| {
            if path.as_os_str().is_empty() {
                *path = settings.state_dir.join(name);
            }
        };
        below(&mut settings.plugins.directory, "plugins");
        below(&mut settings.plugins.cache_directory, "plugin-cache");
        make_paths_absolute(&mut settings);
        Ok(settings)
    }
}

/// Programs hand these paths to servers that run in other directories.
fn make_paths_absolute(settings: &mut Settings) {
    let paths = [
        Some(&mut settings.state_dir),
        Some(&mut settings.plugins.directory),
        Some(&mut settings.plugins.cache_directory),
        settings.database.embedded.binaries_dir.as_mut(),
    ];
    for path in paths.into_iter().flatten() {
        // Fails only where the current directory is gone; then a relative path is all there is.
        if let Ok(absolute) = std::path::absolute(&*path) {
            *path = absolute;
        }
    }
}

/// An error with its sources, for a text that has no sources of its own.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_keeps_its_state_where_the_database_can_reach_it() {
        let folder = Path::new("/nowhere");
        let state = |is_root, environment: &[(&str, &str)]| {
            let environment = environment.iter().copied();
            load_as(is_root, folder, None, environment).unwrap().state_dir
        };
        let home = ("HOME", "/root");
        assert_eq!(state(true, &[home]), Path::new("/var/lib/dripline"));
        assert_eq!(state(true, &[]), Path::new("/var/lib/dripline"));
        assert_eq!(state(true, &[home, ("XDG_STATE_HOME", "/s")]), Path::new("/s/dripline"));
        assert_eq!(state(true, &[("DRIPLINE_STATE_DIR", "/d")]), Path::new("/d"));
        assert_eq!(state(false, &[home]), Path::new("/root/.local/state/dripline"));
    }
}
