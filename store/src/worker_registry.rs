//! The processes that send, and how one is known to be gone.
//!
//! Every process registers under a name of its own and never comes back under it. While it lives, a
//! session of its own holds an advisory lock, which Postgres gives up when that session ends, however it
//! ends. A worker is dead when its heartbeat is old *and* that lock is free: a slow or stopped process
//! still holds it, and a process whose session was cut off takes it again with its next heartbeat.

use std::time::Duration;

use apalis_core::worker::context::WorkerContext;
use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::WorkerId;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use crate::crash::{self, Commit, commit};
use crate::{Pool, StoreError, advisory, queue};

/// How long a heartbeat may take. A session that does not answer in that time is given up.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// A registered worker, as its own process holds it.
#[derive(Debug)]
pub struct Registration {
    /// Its id, which attempts carry.
    pub worker_id: WorkerId,
    /// Its name, which tickets carry.
    pub name: String,
    /// Holds the lock that says we live. `None` after it was lost, until the next heartbeat.
    session: Option<PgConnection>,
}

/// What a heartbeat found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// The worker is known to live.
    Alive,
    /// Others took it for dead, and its tickets and attempts are dealt with. It must finish what it
    /// has begun and go on only under a new name.
    Buried,
}

/// A worker as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// Its id.
    pub worker_id: WorkerId,
    /// Its name: host, process and a random part.
    pub name: String,
    /// When it registered.
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub heartbeat_at: DateTime<Utc>,
    /// When it stopped or was found dead.
    pub stopped_at: Option<DateTime<Utc>>,
}

/// Registers this process under `name`, which no process may have used before, with us and with
/// apalis. Opens a connection beside the pool.
pub async fn register(
    pool: &Pool,
    clock: &dyn Clock,
    name: &str,
) -> Result<Registration, StoreError> {
    let now = clock.now();
    let mut session = PgConnection::connect_with(&pool.connect_options()).await?;
    let mut tx = session.begin().await?;
    let worker_id = sqlx::query_scalar!(
        "INSERT INTO workers (name, started_at, heartbeat_at) VALUES ($1, $2, $2)
         RETURNING worker_id",
        name,
        now,
    )
    .fetch_one(&mut *tx)
    .await?;
    let worker_id = WorkerId(worker_id);
    let context = WorkerContext::new(name);
    let last_seen = now.timestamp().into();
    apalis_postgres::queries::register_worker(
        &mut *tx,
        queue::JOB_TYPE,
        &context,
        &last_seen,
        "dripline",
    )
    .await?;
    sqlx::query!("SELECT pg_advisory_lock($1)::TEXT", advisory::worker(worker_id))
        .fetch_one(&mut *tx)
        .await?;
    commit(tx, Commit::RegisterWorker).await?;
    Ok(Registration { worker_id, name: name.to_owned(), session: Some(session) })
}

impl Registration {
    /// Shows that the process lives, over the session that holds its lock; opens a new one when that
    /// was lost.
    pub async fn heartbeat(
        &mut self,
        pool: &Pool,
        clock: &dyn Clock,
    ) -> Result<Heartbeat, StoreError> {
        // Taken out, so that a session which fails or hangs is dropped with the error.
        let session = self.session.take();
        let beat = tokio::time::timeout(HEARTBEAT_TIMEOUT, self.beat(session, pool, clock)).await;
        let (session, heartbeat) = match beat {
            Ok(beat) => beat?,
            Err(_) => return Err(StoreError::Database(sqlx::Error::PoolTimedOut)),
        };
        self.session = session;
        Ok(heartbeat)
    }

    async fn beat(
        &self,
        session: Option<PgConnection>,
        pool: &Pool,
        clock: &dyn Clock,
    ) -> Result<(Option<PgConnection>, Heartbeat), StoreError> {
        let (mut session, mut locked) = match session {
            Some(session) => (session, true),
            None => (PgConnection::connect_with(&pool.connect_options()).await?, false),
        };
        let update = sqlx::query_scalar!(
            r#"WITH ours AS (
                   UPDATE workers SET heartbeat_at = $2
                   WHERE worker_id = $1 AND stopped_at IS NULL
                   RETURNING name),
               theirs AS (
                   UPDATE apalis.workers SET last_seen = $2 FROM ours WHERE id = ours.name)
               SELECT count(*) = 1 AS "alive!" FROM ours"#,
            self.worker_id.0,
            clock.now(),
        )
        .fetch_one(&mut session);
        let alive = crash::statement(Commit::Heartbeat, update).await?;
        if alive && !locked {
            // The session before may still stand on the server's side; then the next heartbeat tries
            // again, and until then the heartbeats themselves keep us alive.
            let key = advisory::worker(self.worker_id);
            locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, key)
                .fetch_one(&mut session)
                .await?;
        }
        let heartbeat = if alive { Heartbeat::Alive } else { Heartbeat::Buried };
        Ok((locked.then_some(session), heartbeat))
    }

    /// Says goodbye, once everything begun is settled and every ticket given back.
    pub async fn stop(self, pool: &Pool, clock: &dyn Clock) -> Result<(), StoreError> {
        let update = sqlx::query!(
            "UPDATE workers SET stopped_at = $2 WHERE worker_id = $1 AND stopped_at IS NULL",
            self.worker_id.0,
            clock.now(),
        )
        .execute(pool);
        crash::statement(Commit::DeregisterWorker, update).await?;
        // The lock goes with its session; that the goodbye is heard matters little.
        if let Some(session) = self.session
            && let Err(error) = session.close().await
        {
            tracing::debug!(error = %error, "worker's session did not close cleanly");
        }
        Ok(())
    }
}

/// The workers that have not stopped, and the last ones that have, latest first.
pub async fn list(pool: &Pool, limit: i64) -> Result<Vec<Worker>, StoreError> {
    let workers = sqlx::query_as!(
        Worker,
        "SELECT worker_id, name, started_at, heartbeat_at, stopped_at FROM workers
         ORDER BY (stopped_at IS NULL) DESC, worker_id DESC
         LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(workers)
}
