//! The server's pid file, and whether the process it names is really the server.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// What `postmaster.pid` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    pub(crate) port: u16,
    pub(crate) socket_dir: PathBuf,
    /// Whether the server also listens on loopback.
    pub(crate) listens: bool,
    /// Whether the server takes connections.
    pub(crate) ready: bool,
}

impl PidFile {
    /// Reads the file of `data_dir`. A file that is missing or still being written is `None`.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path(data_dir)).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let line = |number: usize| lines.get(number - 1).copied().unwrap_or("").trim();
        Some(Self {
            // A negative number is a server in single-user mode.
            pid: line(1).parse::<i32>().ok()?.abs(),
            port: line(4).parse().unwrap_or(0),
            socket_dir: PathBuf::from(line(5)),
            listens: !line(6).is_empty(),
            ready: line(8) == "ready",
        })
    }

    /// Whether the process is alive and is the server of `data_dir`. A crash leaves the file behind,
    /// and its number may meanwhile be somebody else's.
    pub(crate) fn is_alive(&self, data_dir: &Path) -> bool {
        exists(self.pid) && works_in(self.pid, data_dir).unwrap_or(true)
    }
}

/// Where the pid file of `data_dir` is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("postmaster.pid")
}

/// Whether there is a process, or the remains of one, with this number.
pub(crate) fn exists(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

/// A process of the server of `data_dir`, even if its pid file is stale: each has the data directory as
/// its working directory. `None` also where the system does not tell (no `/proc`).
pub(crate) fn any_process(data_dir: &Path) -> Option<i32> {
    fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .find(|pid| works_in(*pid, data_dir) == Some(true))
}

/// Whether the process has `directory` as its working directory; `None` where the system has no
/// `/proc`. A zombie and a process of another user work nowhere, as far as we are told.
fn works_in(pid: i32, directory: &Path) -> Option<bool> {
    if !Path::new("/proc/self").exists() {
        return None;
    }
    Some(fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_the_server_writes_it() {
        let text = "4711\n/data\n1763800000\n5432\n/run/socket\n\n  5432001   1234\nready   \n";
        let read = PidFile::parse(text).unwrap();
        let socket_dir = PathBuf::from("/run/socket");
        assert_eq!(
            read,
            PidFile { pid: 4711, port: 5432, socket_dir, listens: false, ready: true }
        );
        let on_loopback =
            text.replace("socket\n\n", "socket\n127.0.0.1\n").replace("ready   ", "starting");
        let read = PidFile::parse(&on_loopback).unwrap();
        assert!(read.listens && !read.ready);
    }

    #[test]
    fn a_file_that_is_still_being_written_is_none_or_not_ready() {
        assert_eq!(PidFile::parse(""), None);
        assert!(!PidFile::parse("4711\n").unwrap().ready);
    }

    #[test]
    fn another_program_is_not_taken_for_the_server() {
        let file = PidFile::parse(&format!("{}\n", std::process::id())).unwrap();
        assert!(exists(file.pid));
        assert!(!file.is_alive(Path::new("/nowhere")) || !Path::new("/proc/self").exists());
    }
}
