//! The throwaway Postgres of a test run.

use anyhow::Context;
use dripline_embedded_postgres::{EmbeddedOptions, EmbeddedPostgres, Throwaway};

use crate::say;

/// Starts a server that lives as long as the value, and no longer than this process.
///
/// It skips fsync, which is safe for every test there is: they kill workers and servers, and what
/// those wrote is then with the operating system.
pub(crate) fn start() -> anyhow::Result<Throwaway> {
    say::step("starting a throwaway PostgreSQL");
    let mut options = EmbeddedOptions::new("");
    // Each test has a database, a pool or two, and runs beside others.
    options.max_connections = 300;
    for (name, value) in [
        // Every test clones a template database; a copy of its files is a checkpoint less.
        ("checkpoint_timeout", "1h"),
        ("max_wal_size", "4GB"),
        // Tests that wait for a lock on purpose end it themselves; nothing else should wait long.
        ("deadlock_timeout", "500ms"),
        ("autovacuum_naptime", "1min"),
    ] {
        options.settings.insert(name.to_owned(), value.to_owned());
    }
    EmbeddedPostgres::throwaway(options).context("start a throwaway PostgreSQL")
}
