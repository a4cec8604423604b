//! The PostgreSQL server that Dripline brings up by itself, for who has none configured.
//!
//! It uses server binaries that are installed on the machine, owns its data directory, listens on a
//! unix socket (and on loopback, when a port is asked for), and demands a random password. A server
//! started with [`EmbeddedPostgres::ensure_started`] is a daemon: it goes on after the program that
//! started it has ended, until [`EmbeddedPostgres::stop`]. [`EmbeddedPostgres::throwaway`] is for
//! tests: that server disappears with the value, and also when the process is killed.
//!
//! Layout: `options` says what can be chosen, `binaries` finds a server, `server_user` decides who
//! runs it, `layout` owns the directory, `cluster` creates the data directory and its configuration,
//! `server` starts and stops the process, `postmaster` reads its pid file, `throwaway` is the test
//! mode. Everything blocks: it is a handful of child processes, run under a file lock.
//!
//! This is a crate of its own, below `dripline-store` which re-exports it, because the build tool
//! needs a server before `dripline-store`, whose queries are checked against one, can be compiled.

mod binaries;
mod cluster;
#[cfg(feature = "download-postgres")]
mod download;
mod error;
mod layout;
mod lock;
mod options;
mod postmaster;
mod server;
mod server_user;
mod throwaway;

pub use binaries::{Binaries, MIN_MAJOR_VERSION};
pub use error::EmbeddedError;
pub use options::{Durability, EmbeddedOptions};
pub use server::{Running, Status, Stopped};
pub use server_user::reachable_by_server_user;
pub use throwaway::Throwaway;

use layout::Layout;
use lock::Lock;

/// The embedded server. Each function is safe to call from several processes at once.
#[derive(Debug)]
pub struct EmbeddedPostgres;

impl EmbeddedPostgres {
    /// Makes sure that the server of `options.directory` runs and takes connections.
    ///
    /// Creates the data directory when there is none, recovers from a crash of the server, and
    /// returns at once when the server is up. The server outlives the calling process.
    pub fn ensure_started(options: &EmbeddedOptions) -> Result<Running, EmbeddedError> {
        let layout = Layout::prepare(options)?;
        let _lock = Lock::acquire(&layout, options.start_timeout)?;
        layout.discard_leftovers()?;
        if let Some(running) = server::wait_running(options, &layout)? {
            return Ok(running);
        }
        let binaries = Binaries::find(options, &layout, cluster::major_version(&layout)?)?;
        if !cluster::is_initialised(&layout) {
            cluster::initialise(options, &layout, &binaries)?;
        }
        cluster::write_settings(options, &layout)?;
        server::start(options, &layout, &binaries)
    }

    /// Stops the server of `options.directory` and waits until it is gone. Sessions are ended, what
    /// they had not committed is rolled back. Nothing is lost, and nothing happens if none runs.
    pub fn stop(options: &EmbeddedOptions) -> Result<Stopped, EmbeddedError> {
        let Some(layout) = Layout::existing(options)? else { return Ok(Stopped::WasNotRunning) };
        let _lock = Lock::acquire(&layout, options.start_timeout)?;
        server::stop(options, &layout)
    }

    /// Tells what is there, and changes nothing.
    pub fn status(options: &EmbeddedOptions) -> Result<Status, EmbeddedError> {
        let Some(layout) = Layout::existing(options)? else { return Ok(Status::Absent) };
        server::look(&layout)
    }

    /// Starts a server for tests in a new temporary directory. It is stopped and its directory
    /// removed when the value is dropped, or when this process ends in any other way.
    ///
    /// It skips `fsync`: a killed server or worker loses nothing, only a crash of the operating
    /// system would.
    pub fn throwaway(options: EmbeddedOptions) -> Result<Throwaway, EmbeddedError> {
        Throwaway::start(options)
    }
}
