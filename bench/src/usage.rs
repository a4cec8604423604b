//! What a figure costs: processor time of each party, memory, and what the database wrote.
//!
//! On a machine that is busy with other things, processor time tells more than wall time does.
//! Linux only, as the kernel's counters are read from `/proc`.

use anyhow::Context;
use dripline_store::Pool;
use procfs::process::{ClearRefs, Process, Stat};

/// Counters of everything that takes part, at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    wal_bytes: i64,
    commits: i64,
    dead_tuples: i64,
    postgres_ticks: u64,
    own_ticks: u64,
    carrier_ticks: u64,
}

/// What happened between two readings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Bytes of write-ahead log.
    pub(crate) wal_bytes: f64,
    /// Transactions committed.
    pub(crate) commits: f64,
    /// Row versions that nobody can see any more and that no vacuum has cleared away yet.
    pub(crate) dead_tuples: f64,
    /// Processor time of all of Postgres' processes, in seconds.
    pub(crate) postgres_seconds: f64,
    /// Processor time of this process, which is the worker, in seconds.
    pub(crate) worker_seconds: f64,
    /// Processor time of the carrier simulator, in seconds.
    pub(crate) carrier_seconds: f64,
    /// The most memory this process had resident since the first reading, in MiB.
    pub(crate) worker_peak_mib: f64,
}

impl Counters {
    /// Reads the counters of the database's server, of this process, and of the simulator where
    /// there is one. Starts this process' peak of memory anew.
    pub(crate) async fn read(pool: &Pool, carrier_pid: Option<u32>) -> anyhow::Result<Self> {
        let me = Process::myself().context("find this process in /proc")?;
        me.clear_refs(ClearRefs::PeakRSS).context("reset the peak of memory")?;
        Self::take(pool, carrier_pid, &me).await
    }

    /// What happened between `self` and now.
    pub(crate) async fn until_now(
        self,
        pool: &Pool,
        carrier_pid: Option<u32>,
    ) -> anyhow::Result<Usage> {
        let me = Process::myself().context("find this process in /proc")?;
        let peak_kib = me.status().context("read this process' memory")?.vmhwm.unwrap_or(0);
        Ok(self.until(Self::take(pool, carrier_pid, &me).await?, peak_kib))
    }

    async fn take(pool: &Pool, carrier_pid: Option<u32>, me: &Process) -> anyhow::Result<Self> {
        let (wal_bytes, commits, dead_tuples, session_pid): (i64, i64, i64, i32) = sqlx::query_as(
            "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, \
             (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()), \
             (SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables), \
             pg_backend_pid()",
        )
        .fetch_one(pool)
        .await
        .context("read the database's counters")?;
        let session = Process::new(session_pid).context("find Postgres' session in /proc")?;
        let postmaster = session.stat().context("read the session's counters")?.ppid;
        let carrier_ticks = match carrier_pid {
            None => 0,
            Some(pid) => {
                let pid = i32::try_from(pid).context("read the simulator's process id")?;
                ticks(&Process::new(pid)?.stat()?)
            }
        };
        Ok(Self {
            wal_bytes,
            commits,
            dead_tuples,
            postgres_ticks: family_ticks(postmaster)?,
            own_ticks: ticks(&me.stat()?),
            carrier_ticks,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures of a bench, shown with three decimals")]
    fn until(self, later: Self, peak_kib: u64) -> Usage {
        let per_second = procfs::ticks_per_second() as f64;
        let seconds = |earlier: u64, later: u64| later.saturating_sub(earlier) as f64 / per_second;
        Usage {
            wal_bytes: (later.wal_bytes - self.wal_bytes) as f64,
            commits: (later.commits - self.commits) as f64,
            dead_tuples: (later.dead_tuples - self.dead_tuples) as f64,
            postgres_seconds: seconds(self.postgres_ticks, later.postgres_ticks),
            worker_seconds: seconds(self.own_ticks, later.own_ticks),
            carrier_seconds: seconds(self.carrier_ticks, later.carrier_ticks),
            worker_peak_mib: peak_kib as f64 / 1024.0,
        }
    }
}

/// The postmaster, its children, and those of its children that have ended.
fn family_ticks(postmaster: i32) -> anyhow::Result<u64> {
    let stat = Process::new(postmaster).and_then(|process| process.stat());
    let stat = stat.context("read the postmaster's counters")?;
    let mut sum = ticks(&stat) + ticks_of_the_ended(&stat);
    for process in procfs::process::all_processes().context("list the processes")? {
        // A process that ends while it is read is in its parent's counters the next time.
        let Ok(stat) = process.and_then(|process| process.stat()) else { continue };
        if stat.ppid == postmaster {
            sum += ticks(&stat) + ticks_of_the_ended(&stat);
        }
    }
    Ok(sum)
}

fn ticks(stat: &Stat) -> u64 {
    stat.utime + stat.stime
}

fn ticks_of_the_ended(stat: &Stat) -> u64 {
    u64::try_from(stat.cutime + stat.cstime).unwrap_or(0)
}
