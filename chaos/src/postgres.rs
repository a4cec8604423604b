//! The server under fire, which is always brought back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use dripline_embedded_postgres::Durability;
use dripline_store::embedded::{self, EmbeddedError, EmbeddedOptions, Running};
use dripline_store::{ConnectOptions, Pool};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Mutex;

use crate::place::Place;

/// The server. One fault at a time ends and starts it.
#[derive(Debug)]
pub(crate) struct Postgres {
    options: EmbeddedOptions,
    running: Mutex<Running>,
    socket: PathBuf,
    url: String,
}

/// No statement of ours takes so long.
const ORPHANS_END_WITHIN: Duration = Duration::from_mins(2);
/// Between two looks for a killed process.
const GONE_POLL: Duration = Duration::from_millis(2);
/// A process that is killed ends as soon as the kernel gets to it.
const GONE_WITHIN: Duration = Duration::from_secs(10);

impl Postgres {
    /// Starts a new one in the run's folder.
    ///
    /// It skips `fsync`, as the tests' servers do: what is killed here are processes, and what those
    /// wrote is then with the operating system.
    pub(crate) async fn start(place: &Place) -> anyhow::Result<Self> {
        let mut options = EmbeddedOptions::new(place.path("postgres"));
        options.durability = Durability::Throwaway;
        options.max_connections = 200;
        for (name, value) in [
            ("max_wal_size", "1GB"),
            ("log_line_prefix", "%m [%p] %q%a "),
            ("log_min_duration_statement", "2s"),
            ("log_lock_waits", "on"),
        ] {
            options.settings.insert(name.to_owned(), value.to_owned());
        }
        let running = embedded::ensure_started(options.clone()).await.context("start Postgres")?;
        let socket = running.socket_dir.join(".s.PGSQL.5432");
        let url = running.url.clone();
        Ok(Self { options, running: Mutex::new(running), socket, url })
    }

    /// The server's unix socket, which survives its restarts.
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Connects without any proxy.
    pub(crate) async fn connect(&self, name: &str, connections: u32) -> anyhow::Result<Pool> {
        connect(&self.url, name, connections).await
    }

    /// The address by which a client comes through the proxy at `address`.
    pub(crate) fn url_by(&self, address: std::net::SocketAddr) -> anyhow::Result<String> {
        let (server, _) =
            self.url.split_once("@localhost:").context("read the server's address")?;
        Ok(format!("{server}@{address}/dripline?sslmode=disable"))
    }

    /// `kill -9` of the postmaster, and up again at once.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        signal(running.pid, Signal::KILL)?;
        until_gone(running.pid).await?;
        *running = self.bring_up().await?;
        Ok(())
    }

    /// A fast restart, with some time in between.
    pub(crate) async fn restart(&self, down: Duration) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        embedded::stop(self.options.clone()).await.context("stop Postgres")?;
        tokio::time::sleep(down).await;
        *running = self.bring_up().await?;
        Ok(())
    }

    /// `kill -9` of the server process of one session, upon which Postgres ends all others and
    /// recovers by itself. `choice` picks one.
    pub(crate) async fn kill_backend(&self, choice: usize) -> anyhow::Result<()> {
        let postmaster = self.running.lock().await.pid;
        let backends = backends(postmaster);
        match backends.get(choice % backends.len().max(1)) {
            Some(pid) => signal(*pid, Signal::KILL),
            None => Ok(()),
        }
    }

    /// Makes sure that it is up.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        *running = self.bring_up().await?;
        Ok(())
    }

    /// Stops it for good.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        embedded::stop(self.options.clone()).await.context("stop Postgres")?;
        Ok(())
    }

    /// Starts it, as soon as nothing of the one before is left. A session of a killed server that
    /// computes notices only at its query's end, and until then the data is in its hands.
    async fn bring_up(&self) -> anyhow::Result<Running> {
        let begin = Instant::now();
        loop {
            match embedded::ensure_started(self.options.clone()).await {
                Err(EmbeddedError::OrphanedProcess { .. })
                    if begin.elapsed() < ORPHANS_END_WITHIN => {}
                done => return done.context("start Postgres again"),
            }
        }
    }
}

/// Waits until a killed process has ended. One that is only about to end would be taken for a server
/// that runs, and nobody would start another one.
async fn until_gone(pid: i32) -> anyhow::Result<()> {
    let stat = format!("/proc/{pid}/stat");
    let gone = async {
        // A zombie has ended; only its parent has not heard of it yet.
        while tokio::fs::read_to_string(&stat)
            .await
            .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
        {
            tokio::time::sleep(GONE_POLL).await;
        }
    };
    tokio::time::timeout(GONE_WITHIN, gone).await.context("wait for a killed process to end")
}

/// A pool of that many connections.
pub(crate) async fn connect(url: &str, name: &str, connections: u32) -> anyhow::Result<Pool> {
    let options = ConnectOptions {
        url: url.to_owned(),
        max_connections: connections,
        application_name: name.to_owned(),
    };
    dripline_store::connect(&options).await.context("connect")
}

/// Sends a signal. The process may have ended by itself.
pub(crate) fn signal(pid: i32, signal: Signal) -> anyhow::Result<()> {
    let pid = Pid::from_raw(pid).context("a process has a number")?;
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("send a signal"),
    }
}

/// The processes that serve sessions: children of the postmaster that say so.
fn backends(postmaster: i32) -> Vec<i32> {
    let path = format!("/proc/{postmaster}/task/{postmaster}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let serves = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with("postgres: dripline dripline"))
    };
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(serves).collect()
}
