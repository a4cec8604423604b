//! The database that is measured, and what it says about itself.

use anyhow::Context;
use dripline_store::Pool;

/// Counters of the whole database at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    wal_bytes: i64,
    commits: i64,
}

/// What happened between two readings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Bytes of write-ahead log.
    pub(crate) wal_bytes: f64,
    /// Transactions committed.
    pub(crate) commits: f64,
}

impl Counters {
    /// Reads the counters, after asking Postgres to publish what its sessions have counted so far.
    pub(crate) async fn read(pool: &Pool) -> anyhow::Result<Self> {
        let (wal_bytes, commits): (i64, i64) = sqlx::query_as(
            "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, \
             (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())",
        )
        .fetch_one(pool)
        .await
        .context("read the database's counters")?;
        Ok(Self { wal_bytes, commits })
    }

    /// The work between `self` and `later`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure of a bench, shown with three decimals"
    )]
    pub(crate) fn until(self, later: Self) -> Work {
        Work {
            wal_bytes: (later.wal_bytes - self.wal_bytes) as f64,
            commits: (later.commits - self.commits) as f64,
        }
    }
}

/// One line for the report: Postgres' version and the settings that decide the figures.
pub(crate) async fn describe(pool: &Pool) -> anyhow::Result<String> {
    let names = [
        "server_version",
        "fsync",
        "synchronous_commit",
        "shared_buffers",
        "max_wal_size",
        "full_page_writes",
    ];
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1) ORDER BY name",
    )
    .bind(&names[..])
    .fetch_all(pool)
    .await
    .context("read the server's settings")?;
    Ok(rows.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
}

/// Brings the planner's statistics up to date, as autovacuum would in time.
pub(crate) async fn analyze(pool: &Pool) -> anyhow::Result<()> {
    sqlx::raw_sql("ANALYZE").execute(pool).await.context("analyze")?;
    Ok(())
}
