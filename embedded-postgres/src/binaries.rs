//! Finding server binaries that are installed on the machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layout::Layout;
use crate::{EmbeddedError, EmbeddedOptions};

/// The oldest major version that the schema is tested with.
pub const MIN_MAJOR_VERSION: u32 = 14;

const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// Folders that packages use; `*` stands for one folder name, and the newest comes first.
const USUAL_PLACES: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/libexec/postgresql*",
];

/// A folder with PostgreSQL's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The folder.
    pub directory: PathBuf,
    /// The major version of its server.
    pub major: u32,
}

impl Binaries {
    /// Finds the programs for a data directory of the version `data_version`, or for a new one.
    pub(crate) fn find(
        options: &EmbeddedOptions,
        layout: &Layout,
        data_version: Option<u32>,
    ) -> Result<Self, EmbeddedError> {
        let found = match &options.binaries_dir {
            Some(directory) => vec![Self::configured(directory)?],
            None => Self::installed(),
        };
        let usable = found.iter().find(|binaries| match data_version {
            Some(version) => binaries.major == version,
            None => binaries.major >= MIN_MAJOR_VERSION,
        });
        if let Some(binaries) = usable {
            tracing::debug!(directory = %binaries.directory.display(), major = binaries.major, "found PostgreSQL");
            return Ok(binaries.clone());
        }
        #[cfg(feature = "download-postgres")]
        if options.binaries_dir.is_none() {
            return crate::download::fetch(&layout.directory().join("binaries"), data_version);
        }
        match data_version {
            Some(data_version) if !found.is_empty() => {
                let mut installed: Vec<u32> = found.iter().map(|binaries| binaries.major).collect();
                installed.dedup();
                Err(EmbeddedError::VersionMismatch {
                    data_dir: layout.data_dir(),
                    data_version,
                    installed,
                })
            }
            _ => Err(EmbeddedError::BinariesNotFound { searched: searched() }),
        }
    }

    /// Every installed set of programs, the preferred one first: those on the `PATH`, the one that
    /// `pg_config` names, then the usual places from the newest version to the oldest.
    pub fn installed() -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let candidates =
            std::env::split_paths(&on_path).chain(from_pg_config()).chain(usual_places());
        for directory in candidates {
            // `/usr/local/bin/postgres` is often a link to where its companions are.
            let linked = fs::canonicalize(directory.join("postgres"))
                .ok()
                .and_then(|program| program.parent().map(Path::to_owned));
            for directory in [Some(directory), linked].into_iter().flatten() {
                if found.iter().all(|known| known.directory != directory)
                    && let Ok(binaries) = Self::in_directory(&directory)
                {
                    found.push(binaries);
                }
            }
        }
        found
    }

    fn configured(directory: &Path) -> Result<Self, EmbeddedError> {
        let unusable =
            |reason| EmbeddedError::BinariesUnusable { directory: directory.to_owned(), reason };
        let binaries = Self::in_directory(directory).map_err(unusable)?;
        if binaries.major < MIN_MAJOR_VERSION {
            let reason = format!(
                "it is version {}, the oldest supported is {MIN_MAJOR_VERSION}",
                binaries.major
            );
            return Err(unusable(reason));
        }
        Ok(binaries)
    }

    pub(crate) fn in_directory(directory: &Path) -> Result<Self, String> {
        for program in PROGRAMS {
            if !directory.join(program).is_file() {
                return Err(format!("there is no `{program}` in it"));
            }
        }
        let major = major_version_of(&directory.join("postgres"))?;
        Ok(Self { directory: directory.to_owned(), major })
    }

    /// The path of one of the programs, such as `psql`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn major_version_of(postgres: &Path) -> Result<u32, String> {
    let output = Command::new(postgres)
        .arg("--version")
        .output()
        .map_err(|error| format!("`{}` does not run: {error}", postgres.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_major(&text).ok_or_else(|| {
        let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        format!("`{} --version` said `{}`", postgres.display(), said.trim())
    })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `postgres (PostgreSQL) 18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(directory.trim()))
}

fn usual_places() -> Vec<PathBuf> {
    USUAL_PLACES.iter().flat_map(|pattern| expand(pattern)).collect()
}

/// Expands a pattern with at most one `*`, in one folder name, from the highest number to the lowest.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let mut names: Vec<OsString> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_str().is_some_and(|name| name.starts_with(prefix)))
        .collect();
    let number = |name: &OsString| -> (u64, u64) {
        let digits: Vec<u64> = name
            .to_string_lossy()
            .trim_start_matches(prefix)
            .split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect();
        (digits.first().copied().unwrap_or(0), digits.get(1).copied().unwrap_or(0))
    };
    names.sort_by_key(|name| std::cmp::Reverse(number(name)));
    names
        .into_iter()
        .map(|name| Path::new(parent).join(name).join(after.trim_start_matches('/')))
        .collect()
}

fn searched() -> Vec<String> {
    ["PATH", "pg_config --bindir"].into_iter().chain(USUAL_PLACES).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_packages_print_them() {
        #[track_caller]
        fn check(text: &str, major: Option<u32>) {
            assert_eq!(parse_major(text), major, "{text}");
        }
        check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15));
        check("postgres (PostgreSQL) 18beta1\n", Some(18));
        check("postgres (PostgreSQL) 9.6.24\n", Some(9));
        check("postgres (EnterpriseDB) 15\n", None);
        check("", None);
    }

    #[test]
    fn a_pattern_is_expanded_from_the_newest_to_the_oldest() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9.6", "9.10", "15", "17"] {
            fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        let pattern = format!("{}/*/bin", root.path().display());
        let expected = ["17", "15", "9.10", "9.6"].map(|name| root.path().join(name).join("bin"));
        assert_eq!(expand(&pattern), expected);
    }
}
