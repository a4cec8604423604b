//! A directory that the server user can reach, whose server is stopped at the end of the test.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use dripline_embedded_postgres::{
    Binaries, Durability, EmbeddedOptions, EmbeddedPostgres, Running, Status,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) struct Place {
    pub(crate) options: EmbeddedOptions,
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("dl-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let mut options = EmbeddedOptions::new(directory.path().join("state/postgres"));
        // Nothing here crashes the operating system.
        options.durability = Durability::Throwaway;
        options.shared_buffers_mib = 16;
        options.max_connections = 20;
        Self { options, directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn start(&self) -> Running {
        EmbeddedPostgres::ensure_started(&self.options).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(Status::Running(running)) = EmbeddedPostgres::status(&self.options) {
            signal(running.pid, Signal::QUIT);
        }
    }
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// What one statement answers, by `psql` and the given address.
pub(crate) fn query(url: &str, sql: &str) -> Result<String, String> {
    let psql =
        Binaries::installed().iter().map(|b| b.program("psql")).find(|p| p.exists()).unwrap();
    let output = Command::new(psql).args(["-XAtc", sql, url]).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Waits for a condition that another process brings about.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
