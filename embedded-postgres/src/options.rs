//! What can be chosen about the embedded server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What can be chosen. Start from [`EmbeddedOptions::new`].
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The server's own directory; created if missing. Two servers never share one.
    pub directory: PathBuf,
    /// Where `postgres`, `initdb` and `pg_ctl` are. `None` looks in the usual places.
    pub binaries_dir: Option<PathBuf>,
    /// Also listen on this port of 127.0.0.1. `None` listens on the unix socket only.
    pub port: Option<u16>,
    /// The user that runs the server when the caller is root, whom PostgreSQL refuses. `None` takes
    /// the owner of the data directory, else `postgres`, else `nobody`.
    pub server_user: Option<String>,
    /// Most connections at once.
    pub max_connections: u32,
    /// The server's page cache, in MiB.
    pub shared_buffers_mib: u32,
    /// How long a start, with crash recovery, may take, and how long to wait for another process
    /// that starts or stops the same server.
    pub start_timeout: Duration,
    /// Whether a crash of the operating system may lose data.
    pub durability: Durability,
    /// Further lines of `postgresql.conf`. They win over what this crate sets.
    pub settings: BTreeMap<String, String>,
}

/// Whether a crash of the operating system may lose data. A crash of the server never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is on disk before it is acknowledged.
    #[default]
    Full,
    /// Commits reach the operating system only. For tests.
    Throwaway,
}

impl EmbeddedOptions {
    /// A durable server in `directory` that listens on its socket only.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            binaries_dir: None,
            port: None,
            server_user: None,
            max_connections: 100,
            shared_buffers_mib: 256,
            start_timeout: Duration::from_mins(2),
            durability: Durability::Full,
            settings: BTreeMap::new(),
        }
    }
}
