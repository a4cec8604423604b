//! What can go wrong, worded for the operator who has to put it right.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why the embedded server could not be started, stopped or looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No server binaries were found.
    #[error(
        "no PostgreSQL server binaries (postgres, initdb, pg_ctl) of version {} or newer found in: {}; \
         install them (Debian, Ubuntu: apt install postgresql; Fedora: dnf install postgresql-server; \
         macOS: brew install postgresql@17), or set `database.embedded.binaries_dir` to their folder, \
         or `DATABASE_URL` to a server of your own",
        crate::MIN_MAJOR_VERSION,
        searched.join(", ")
    )]
    BinariesNotFound {
        /// The places that were looked in.
        searched: Vec<String>,
    },
    /// The configured folder does not hold a server.
    #[error("`{}` holds no usable PostgreSQL server: {reason}", directory.display())]
    BinariesUnusable {
        /// The configured folder.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data directory was made by another major version.
    #[error(
        "the data directory `{}` was made by PostgreSQL {data_version}, but only version {} is installed; \
         nothing was changed. Install PostgreSQL {data_version}, or upgrade the data with pg_upgrade",
        data_dir.display(),
        installed.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    )]
    VersionMismatch {
        /// The data directory.
        data_dir: PathBuf,
        /// Its major version.
        data_version: u32,
        /// The major versions that were found.
        installed: Vec<u32>,
    },
    /// The port is taken.
    #[error(
        "port {port} of 127.0.0.1 is used by another program; stop it, choose another \
         `database.embedded.port`, or leave that setting out to use the unix socket only"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The unprivileged user that must run the server cannot enter the directory.
    #[error(
        "user `{user}`, who runs PostgreSQL because root may not, cannot enter `{}`, on the way to `{}`; \
         use a state directory that everybody can reach, such as /var/lib/dripline (DRIPLINE_STATE_DIR)",
        blocked_at.display(),
        directory.display()
    )]
    Unreachable {
        /// The user who runs the server.
        user: String,
        /// Where the server's directory should be.
        directory: PathBuf,
        /// The first folder on the way that the user cannot enter.
        blocked_at: PathBuf,
    },
    /// Root has nobody to run the server as.
    #[error(
        "PostgreSQL does not run as root, and there is no user `{}` to run it as; \
         create one (adduser --system --group postgres)",
        tried.join("`, `")
    )]
    NoServerUser {
        /// The users that were tried.
        tried: Vec<String>,
    },
    /// The data directory belongs to someone else.
    #[error("`{}` belongs to user id {owner}, not to you (user id {uid}); run this as its owner", path.display())]
    NotOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who asks.
        uid: u32,
    },
    /// No directory is short enough for a unix socket.
    #[error(
        "the socket path `{}` is longer than the {limit} bytes that unix sockets allow; \
         use a shorter state directory (DRIPLINE_STATE_DIR)",
        path.display()
    )]
    SocketPathTooLong {
        /// The path that would have been needed.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// Another process holds the lock for longer than a start may take.
    #[error("another process has been starting or stopping the server in `{}` for {} s", directory.display(), waited.as_secs())]
    Locked {
        /// The server's directory.
        directory: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// Processes of a server that died still use the data directory.
    #[error(
        "the server in `{}` died, but its process {pid} still uses the data; wait until it has ended, or stop it",
        data_dir.display()
    )]
    OrphanedProcess {
        /// The data directory.
        data_dir: PathBuf,
        /// A process that is left of the dead server.
        pid: i32,
    },
    /// The data directory has no password beside it.
    #[error("the password file `{}` of the embedded server is missing; restore it from a backup of the state directory", path.display())]
    PasswordMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A program of PostgreSQL failed.
    #[error("`{program}` failed ({status}): {output}")]
    ProgramFailed {
        /// Which one.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// The server did not come up.
    #[error("the server did not start; its log in `{}` ends with: {log_end}", log_dir.display())]
    StartFailed {
        /// The folder of its log.
        log_dir: PathBuf,
        /// Its last lines.
        log_end: String,
    },
    /// The server did not get ready in time.
    #[error("the server (process {pid}) was not ready after {} s", waited.as_secs())]
    NotReady {
        /// The process of the server.
        pid: i32,
        /// How long was waited.
        waited: Duration,
    },
    /// The server did not stop in time.
    #[error("the server (process {pid}) was still there {} s after it was told to stop", waited.as_secs())]
    StillRunning {
        /// The process of the server.
        pid: i32,
        /// How long was waited.
        waited: Duration,
    },
    /// Fetching the server binaries failed.
    #[error(
        "fetch the PostgreSQL server binaries: {reason}; install them with your package manager instead"
    )]
    DownloadFailed {
        /// What the download said.
        reason: String,
    },
    /// A file operation failed.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was to be done, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl EmbeddedError {
    /// For `map_err`: which action on which path failed.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
