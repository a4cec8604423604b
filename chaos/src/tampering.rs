//! What a hand that is not ours may do to the database: to the queue, whose tickets are no more than
//! wake-up calls, and to sessions; and what only a judge asks it. The store has no function for any of it.

use anyhow::Context;
use dripline_store::Pool;

/// Deletes tickets that nobody has claimed. Gives how many.
pub(crate) async fn delete_tickets(pool: &Pool, count: i64) -> anyhow::Result<u64> {
    let sql = "DELETE FROM apalis.jobs WHERE id IN (
                   SELECT id FROM apalis.jobs WHERE status = 'Pending' ORDER BY random() LIMIT $1
                   FOR UPDATE SKIP LOCKED)";
    run(pool, sql, count).await.context("delete tickets")
}

/// Copies tickets, waiting ones and claimed ones. Gives how many.
pub(crate) async fn double_tickets(pool: &Pool, count: i64) -> anyhow::Result<u64> {
    // The copies' ids are of the same form and length.
    let sql = "INSERT INTO apalis.jobs (id, job, job_type, status, run_at)
               SELECT upper(left(md5(id || random()::TEXT), 26)), job, job_type, 'Pending', run_at
               FROM apalis.jobs ORDER BY random() LIMIT $1";
    run(pool, sql, count).await.context("double tickets")
}

/// Frees tickets that a worker has in its hands, as a careless rescue would. Gives how many.
pub(crate) async fn requeue_tickets(pool: &Pool, count: i64) -> anyhow::Result<u64> {
    let sql = "UPDATE apalis.jobs SET status = 'Pending', lock_by = NULL, lock_at = NULL
               WHERE id IN (SELECT id FROM apalis.jobs WHERE status = 'Running'
                            ORDER BY random() LIMIT $1 FOR UPDATE SKIP LOCKED)";
    run(pool, sql, count).await.context("requeue tickets")
}

/// Ends sessions of workers and of people. Gives how many.
pub(crate) async fn terminate_backends(pool: &Pool, count: i64) -> anyhow::Result<u64> {
    let sql = "SELECT pg_terminate_backend(pid) FROM (
                   SELECT pid FROM pg_stat_activity
                   WHERE application_name IN ('dripline-worker', 'chaos-deeds', 'dripline')
                   ORDER BY random() LIMIT $1) AS chosen";
    run(pool, sql, count).await.context("terminate sessions")
}

/// What one worker has left behind.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(crate) struct LeftBehind {
    pub(crate) worker_id: i64,
    /// Messages of which nobody knows, since the worker that had them in flight was gone.
    #[sqlx(try_from = "i64")]
    pub(crate) messages: u64,
    /// Whether it is, after all.
    pub(crate) still_works: bool,
}

/// What each worker has left behind that was taken for gone.
pub(crate) async fn left_behind(pool: &Pool) -> anyhow::Result<Vec<LeftBehind>> {
    let sql =
        "SELECT a.worker_id, count(*) AS messages, bool_or(w.stopped_at IS NULL) AS still_works
               FROM deliveries d
               JOIN attempts a ON a.delivery_id = d.delivery_id AND a.attempt = d.attempt
               JOIN workers w ON w.worker_id = a.worker_id
               WHERE d.state = 'unknown' AND d.reason_code = 'worker_gone'
               GROUP BY a.worker_id";
    sqlx::query_as(sql).fetch_all(pool).await.context("read what workers have left behind")
}

async fn run(pool: &Pool, sql: &'static str, count: i64) -> anyhow::Result<u64> {
    Ok(sqlx::query(sql).bind(count).execute(pool).await?.rows_affected())
}
