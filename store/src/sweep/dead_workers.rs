//! Buries workers that are gone, and deals with what they had in their hands.

use std::time::Duration;

use chrono::TimeDelta;
use dripline_domain::clock::Clock;
use dripline_domain::ids::WorkerId;
use sqlx::PgConnection;

use super::BATCH;
use crate::crash::{self, Commit, commit};
use crate::{Pool, StoreError, advisory};

/// What a sweep for dead workers did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buried {
    /// Workers found dead.
    pub workers: u64,
    /// Their tickets, back in the queue.
    pub tickets: u64,
    /// Their hand-overs, of which nobody knows now whether they left.
    pub unknown: u64,
}

/// Buries every worker whose heartbeat is older than `after` and whose session has given up its lock, so
/// that a slow or stopped process is never taken for a dead one. Tickets of workers that are gone go
/// back into the queue; what they had on the wire becomes unknown, and never goes back.
///
/// Right after Postgres itself was down, nobody is buried until its workers have had time to come back.
pub async fn dead_workers(
    pool: &Pool,
    clock: &dyn Clock,
    after: Duration,
) -> Result<Buried, StoreError> {
    let patience = TimeDelta::from_std(after).unwrap_or(TimeDelta::MAX);
    let last_sign = clock.now() - patience;
    let mut buried = Buried::default();
    if up_for(pool, after).await? {
        let silent = sqlx::query_scalar!(
            "SELECT worker_id FROM workers WHERE stopped_at IS NULL AND heartbeat_at < $1
             ORDER BY worker_id",
            last_sign,
        )
        .fetch_all(pool)
        .await?;
        for id in silent {
            buried.workers += u64::from(bury(pool, clock, WorkerId(id), last_sign).await?);
        }
    }
    for id in workers_with_leavings(pool).await? {
        buried.unknown += orphan_attempts(pool, clock, WorkerId(id)).await?;
    }
    buried.tickets = return_tickets(pool).await?;
    if buried != Buried::default() {
        tracing::warn!(
            workers = buried.workers,
            tickets = buried.tickets,
            unknown = buried.unknown,
            "workers are gone; their tickets are back in the queue"
        );
    }
    Ok(buried)
}

/// Whether the server has been up for that long. While it was down, no worker could send a heartbeat.
async fn up_for(pool: &Pool, after: Duration) -> Result<bool, StoreError> {
    let up = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::FLOAT8 >= $1
           AS "up!""#,
        after.as_secs_f64(),
    )
    .fetch_one(pool)
    .await?;
    Ok(up)
}

/// Buries one worker, if its lock is free. The lock is held meanwhile, so that the worker cannot come
/// back in between.
async fn bury(
    pool: &Pool,
    clock: &dyn Clock,
    worker: WorkerId,
    last_sign: chrono::DateTime<chrono::Utc>,
) -> Result<bool, StoreError> {
    let mut tx = pool.begin().await?;
    if !try_lock(&mut tx, worker).await? {
        return Ok(false);
    }
    let done = sqlx::query!(
        "UPDATE workers SET stopped_at = $2
         WHERE worker_id = $1 AND stopped_at IS NULL AND heartbeat_at < $3",
        worker.0,
        clock.now(),
        last_sign,
    )
    .execute(&mut *tx)
    .await?;
    commit(tx, Commit::BuryWorker).await?;
    Ok(done.rows_affected() == 1)
}

async fn try_lock(conn: &mut PgConnection, worker: WorkerId) -> Result<bool, StoreError> {
    let free = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock($1) AS "free!""#,
        advisory::worker(worker),
    )
    .fetch_one(conn)
    .await?;
    Ok(free)
}

/// Workers that have stopped or were buried, now or earlier, and have hand-overs without an end.
async fn workers_with_leavings(pool: &Pool) -> Result<Vec<i64>, StoreError> {
    let workers = sqlx::query_scalar!(
        "SELECT DISTINCT a.worker_id FROM attempts a
         JOIN workers w USING (worker_id)
         WHERE a.outcome IS NULL AND w.stopped_at IS NOT NULL
         ORDER BY a.worker_id"
    )
    .fetch_all(pool)
    .await?;
    Ok(workers)
}

/// Makes the hand-overs of a gone worker unknown. One that was buried and lives after all, holding its
/// lock, still ends its own.
async fn orphan_attempts(
    pool: &Pool,
    clock: &dyn Clock,
    worker: WorkerId,
) -> Result<u64, StoreError> {
    let mut orphans = 0;
    loop {
        let mut tx = pool.begin().await?;
        if !try_lock(&mut tx, worker).await? {
            return Ok(orphans);
        }
        let found = sqlx::query_file_scalar!(
            "queries/sweep/orphaned_attempts.sql",
            worker.0,
            clock.now(),
            "the worker was gone before it could tell what happened",
            BATCH,
        )
        .fetch_one(&mut *tx)
        .await?;
        commit(tx, Commit::OrphanAttempts).await?;
        orphans += u64::try_from(found).unwrap_or(0);
        if found < BATCH {
            return Ok(orphans);
        }
    }
}

/// Puts the tickets back that are claimed by workers which are not alive. Looks only at claimed ones.
async fn return_tickets(pool: &Pool) -> Result<u64, StoreError> {
    let mut returned = 0;
    loop {
        let update = sqlx::query!(
            "UPDATE apalis.jobs
             SET status = 'Pending', lock_by = NULL, lock_at = NULL
             WHERE id IN (
                 SELECT j.id FROM apalis.jobs j
                 WHERE j.job_type = 'dripline.deliver' AND j.status IN ('Queued', 'Running')
                   AND NOT EXISTS (SELECT FROM workers w
                                   WHERE w.name = j.lock_by AND w.stopped_at IS NULL)
                 ORDER BY j.id LIMIT $1
                 FOR UPDATE SKIP LOCKED)",
            BATCH,
        )
        .execute(pool);
        let done = crash::statement(Commit::ReturnTickets, update).await?.rows_affected();
        returned += done;
        if done < u64::try_from(BATCH).unwrap_or(u64::MAX) {
            return Ok(returned);
        }
    }
}
