//! Starting and stopping the server process.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{self, DATABASE};
use crate::layout::Layout;
use crate::postmaster::{self, PidFile};
use crate::{Binaries, EmbeddedError, EmbeddedOptions};

const POLL: Duration = Duration::from_millis(20);

/// How long the processes of a server that died may take to notice it.
const ORPHANS_END_WITHIN: Duration = Duration::from_secs(15);

/// A server that takes connections.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    /// How to connect: over the unix socket, as the server's superuser, with the password. A secret.
    pub url: String,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The folder of the unix socket.
    pub socket_dir: PathBuf,
    /// The folder of the server's log.
    pub log_dir: PathBuf,
    /// The port of 127.0.0.1 that the server listens on as well, if any.
    pub port: Option<u16>,
    /// The server's main process.
    pub pid: i32,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("data_dir", &self.data_dir)
            .field("port", &self.port)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is no data directory yet.
    Absent,
    /// There is data, and no server.
    Stopped {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// A server takes connections.
    Running(Running),
    /// A server is starting, recovering from a crash, or stopping.
    Changing {
        /// Its main process.
        pid: i32,
    },
}

/// What stopping did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A server ran and is gone.
    WasRunning {
        /// Its main process.
        pid: i32,
    },
    /// None ran.
    WasNotRunning,
}

/// The server as it is at this moment.
pub(crate) fn look(layout: &Layout) -> Result<Status, EmbeddedError> {
    let data_dir = layout.data_dir();
    match PidFile::read(&data_dir).filter(|file| file.is_alive(&data_dir)) {
        None if cluster::is_initialised(layout) => Ok(Status::Stopped { data_dir }),
        None => Ok(Status::Absent),
        Some(file) if file.ready => running(layout, file).map(Status::Running),
        Some(file) => Ok(Status::Changing { pid: file.pid }),
    }
}

/// The server, once it takes connections; `None` if none runs. Only with the lock held.
pub(crate) fn wait_running(
    options: &EmbeddedOptions,
    layout: &Layout,
) -> Result<Option<Running>, EmbeddedError> {
    let begin = Instant::now();
    loop {
        match look(layout)? {
            Status::Running(running) => return Ok(Some(running)),
            Status::Absent | Status::Stopped { .. } => return Ok(None),
            Status::Changing { pid } if begin.elapsed() > options.start_timeout => {
                return Err(EmbeddedError::NotReady { pid, waited: begin.elapsed() });
            }
            Status::Changing { .. } => thread::sleep(POLL),
        }
    }
}

fn running(layout: &Layout, file: PidFile) -> Result<Running, EmbeddedError> {
    let password = layout.read_password()?;
    let host = percent_encode(&file.socket_dir);
    Ok(Running {
        // The password is hexadecimal, so it needs no encoding.
        url: format!(
            "postgres://{DATABASE}:{password}@localhost:{}/{DATABASE}?host={host}",
            file.port
        ),
        data_dir: layout.data_dir(),
        log_dir: layout.log_dir(),
        port: file.listens.then_some(file.port),
        pid: file.pid,
        socket_dir: file.socket_dir,
    })
}

fn percent_encode(path: &Path) -> String {
    let mut encoded = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                encoded.push(char::from(*byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("a String takes any text"),
        }
    }
    encoded
}

/// Starts the server as a daemon and waits until it takes connections. Only with the lock held and no
/// server running.
pub(crate) fn start(
    options: &EmbeddedOptions,
    layout: &Layout,
    binaries: &Binaries,
) -> Result<Running, EmbeddedError> {
    clear_stale_files(layout)?;
    if let Some(port) = options.port
        && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err()
    {
        return Err(EmbeddedError::PortInUse { port });
    }
    tracing::info!(directory = %layout.data_dir().display(), "starting PostgreSQL");
    let log = LogMark::take(layout);
    // `pg_ctl` detaches the server from this session and its terminal, and waits for it. It goes
    // through a shell, so it is told relative paths, which hold nothing that a shell would expand.
    let mut command = layout.user().command(binaries.program("pg_ctl"), layout.directory());
    command
        .args(["start", "--silent", "--wait", "--timeout"])
        .arg(options.start_timeout.as_secs().max(1).to_string())
        .args(["--pgdata", "data", "--log", "log/startup.log"]);
    let outcome = cluster::checked("pg_ctl", &mut command);
    if let Some(running) = wait_running(options, layout)? {
        tracing::info!(pid = running.pid, "PostgreSQL takes connections");
        return Ok(running);
    }
    let said = log.since(layout);
    if let Some(port) = options.port
        && said.contains("could not bind")
    {
        return Err(EmbeddedError::PortInUse { port });
    }
    if said.is_empty() {
        outcome?;
    }
    Err(EmbeddedError::StartFailed {
        log_dir: layout.log_dir(),
        log_end: cluster::last_lines(&said, 8),
    })
}

/// Removes the pid file and the socket of a dead server when its number now names some other process
/// (or a zombie), which PostgreSQL would take for a server. A number that nobody has is left to PostgreSQL.
///
/// These files guard the data against two servers, so they go only when no process of the old one is
/// left.
fn clear_stale_files(layout: &Layout) -> Result<(), EmbeddedError> {
    let data_dir = layout.data_dir();
    let begin = Instant::now();
    while let Some(pid) = postmaster::any_process(&data_dir) {
        if begin.elapsed() > ORPHANS_END_WITHIN {
            return Err(EmbeddedError::OrphanedProcess { data_dir, pid });
        }
        thread::sleep(POLL);
    }
    let Some(file) = PidFile::read(&data_dir) else { return Ok(()) };
    if !postmaster::exists(file.pid) || file.is_alive(&data_dir) {
        return Ok(());
    }
    tracing::warn!(pid = file.pid, "removing the pid file of a server that died");
    // The socket's lock file names the same process. Its folder is this server's alone.
    let entries = fs::read_dir(layout.socket_dir())
        .map_err(EmbeddedError::io("list", layout.socket_dir()))?;
    let sockets = entries.flatten().map(|entry| entry.path());
    for path in sockets.chain([postmaster::path(&data_dir)]) {
        fs::remove_file(&path).map_err(EmbeddedError::io("remove", path))?;
    }
    Ok(())
}

/// Stops the server in PostgreSQL's fast way, and waits. Only with the lock held.
pub(crate) fn stop(options: &EmbeddedOptions, layout: &Layout) -> Result<Stopped, EmbeddedError> {
    let data_dir = layout.data_dir();
    let alive = || PidFile::read(&data_dir).filter(|file| file.is_alive(&data_dir));
    let Some(file) = alive() else { return Ok(Stopped::WasNotRunning) };
    tracing::info!(pid = file.pid, "stopping PostgreSQL");
    if let Some(pid) = Pid::from_raw(file.pid) {
        // It may have ended by itself in this instant.
        let _ = kill_process(pid, Signal::INT);
    }
    let begin = Instant::now();
    while alive().is_some() || postmaster::any_process(&data_dir).is_some() {
        if begin.elapsed() > options.start_timeout {
            return Err(EmbeddedError::StillRunning { pid: file.pid, waited: begin.elapsed() });
        }
        thread::sleep(POLL);
    }
    Ok(Stopped::WasRunning { pid: file.pid })
}

/// How long each log file was, so that what a start added can be shown.
struct LogMark(BTreeMap<PathBuf, u64>);

impl LogMark {
    fn take(layout: &Layout) -> Self {
        Self(Self::files(layout).collect())
    }

    fn since(&self, layout: &Layout) -> String {
        let mut text = String::new();
        for (path, length) in Self::files(layout) {
            let before = self.0.get(&path).copied().filter(|before| *before <= length).unwrap_or(0);
            let mut added = Vec::new();
            let read = File::open(&path).and_then(|mut file| {
                file.seek(SeekFrom::Start(before))?;
                file.read_to_end(&mut added)
            });
            if read.is_ok() {
                text.push_str(&String::from_utf8_lossy(&added));
            }
        }
        text
    }

    fn files(layout: &Layout) -> impl Iterator<Item = (PathBuf, u64)> {
        fs::read_dir(layout.log_dir())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len())))
    }
}
