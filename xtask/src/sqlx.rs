//! `cargo xtask sqlx`: the data that lets the queries be checked without a database.
//!
//! sqlx's macros write it while they compile, when they have a database and are told a folder. So this
//! needs no tool besides: a throwaway server with the schema, and a compilation of the store.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use dripline_embedded_postgres::{Binaries, Throwaway};

use crate::process::Program;
use crate::workspace::Workspace;
use crate::{say, server};

/// Where the data is committed: beside the manifest of the one package that has queries.
const COMMITTED: &str = "store/.sqlx";

/// What to do with the data.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only say whether the committed data is what the queries need
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let server = server::start()?;
    migrate(workspace, &server)?;
    let made = tempfile::tempdir().context("make a temporary folder")?;
    compile(workspace, &server, made.path())?;
    let new = read(made.path())?;
    if new.is_empty() {
        bail!("compiling the store wrote no query data; are there no checked queries in it?");
    }
    let committed = workspace.path(COMMITTED);
    let difference = Difference::between(&read(&committed)?, &new);
    if difference.is_empty() {
        say::line(&format!("{} queries, all up to date", new.len()));
        return Ok(());
    }
    if args.check {
        bail!("`{COMMITTED}` is out of date: {difference}; run `cargo xtask sqlx` and commit it");
    }
    write(&committed, &new)?;
    say::line(&format!("{} queries: {difference}", new.len()));
    Ok(())
}

/// Fails unless the committed data is up to date.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    run(workspace, &Args { check: true })
}

/// Applies the queue's migrations and ours, as `store::migrate` does. Through `psql`, since the store
/// cannot be compiled yet.
fn migrate(workspace: &Workspace, server: &Throwaway) -> anyhow::Result<()> {
    let mut files = migrations(&workspace.dependency("apalis-postgres")?.join("migrations"))?;
    files.extend(migrations(&workspace.path("migrations"))?);
    let psql = Binaries::installed()
        .into_iter()
        .map(|binaries| binaries.program("psql"))
        .find(|program| program.is_file())
        .context("find `psql`, which comes with PostgreSQL's client programs (apt install postgresql-client)")?;
    let mut program = Program::new(psql)
        .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
        .env("PGOPTIONS", "-c client_min_messages=warning");
    for file in &files {
        program = program.arg("--file").arg(file);
    }
    // The address holds the password, so it is not an argument.
    let running = server.running();
    let password = running.url.split(['/', ':', '@']).nth(4).unwrap_or_default();
    program
        .env("PGHOST", &running.socket_dir)
        .env("PGUSER", "dripline")
        .env("PGDATABASE", "dripline")
        .env("PGPASSWORD", password)
        .capture()
        .context("apply the migrations")?;
    Ok(())
}

fn migrations(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let list = |error: io::Error| {
        anyhow::Error::new(error).context(format!("list `{}`", directory.display()))
    };
    for entry in fs::read_dir(directory).map_err(list)? {
        let path = entry.map_err(list)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Reversible migrations have a way down too.
        let is_down = Path::new(&name)
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with(".down"));
        if path.extension().is_some_and(|extension| extension == "sql") && !is_down {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Compiles the store, its tests too, against the server; the macros leave their data in `directory`.
fn compile(workspace: &Workspace, server: &Throwaway, directory: &Path) -> anyhow::Result<()> {
    say::step("compiling the store against the schema");
    // First with everything it stands on, and that data is thrown away: the queue's own package has
    // queries too, which would be taken for ours where it is compiled in the same pass.
    let others = tempfile::tempdir().context("make a temporary folder")?;
    compile_once(workspace, server, others.path())?;
    // The macros only run when cargo finds the package changed.
    let root = workspace.path("store/src/lib.rs");
    let file = fs::File::options().write(true).open(&root);
    #[expect(clippy::disallowed_methods, reason = "a file's time of change, for cargo's eyes only")]
    let now = std::time::SystemTime::now();
    file.and_then(|file| file.set_modified(now))
        .with_context(|| format!("touch `{}`", root.display()))?;
    compile_once(workspace, server, directory)
}

fn compile_once(workspace: &Workspace, server: &Throwaway, directory: &Path) -> anyhow::Result<()> {
    workspace
        .cargo()
        .args(["check", "--quiet", "--package", "dripline-store", "--all-targets"])
        .args(["--features", "testing"])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", directory)
        .env("DATABASE_URL", &server.running().url)
        .run()
}

/// The files of a data folder; none if it is missing.
fn read(directory: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        entries => entries.with_context(|| format!("list `{}`", directory.display()))?,
    };
    for entry in entries {
        let path = entry.with_context(|| format!("list `{}`", directory.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
            files.insert(name, text);
        }
    }
    Ok(files)
}

fn write(directory: &Path, new: &BTreeMap<String, String>) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create `{}`", directory.display()))?;
    for name in read(directory)?.keys().filter(|name| !new.contains_key(*name)) {
        let path = directory.join(name);
        fs::remove_file(&path).with_context(|| format!("remove `{}`", path.display()))?;
    }
    for (name, text) in new {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("write `{}`", path.display()))?;
    }
    Ok(())
}

/// How the committed data differs from what is needed, in numbers of queries.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    missing: usize,
    unused: usize,
    changed: usize,
}

impl Difference {
    fn between(committed: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Self {
        Self {
            missing: new.keys().filter(|name| !committed.contains_key(*name)).count(),
            unused: committed.keys().filter(|name| !new.contains_key(*name)).count(),
            changed: new
                .iter()
                .filter(|(name, text)| committed.get(*name).is_some_and(|old| old != *text))
                .count(),
        }
    }

    fn is_empty(&self) -> bool {
        self.missing + self.unused + self.changed == 0
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} new, {} unused, {} changed", self.missing, self.unused, self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_counts_what_is_missing_unused_and_changed() {
        let of = |files: &[(&str, &str)]| {
            files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        let old = of(&[("kept", "1"), ("changed", "1"), ("unused", "1")]);
        let new = of(&[("kept", "1"), ("changed", "2"), ("new", "1")]);
        let difference = Difference::between(&old, &new);
        assert_eq!(difference, Difference { missing: 1, unused: 1, changed: 1 });
        assert!(Difference::between(&new, &new).is_empty());
    }
}
