//! What a hand that is not ours may do to the database: to the queue, whose tickets are no more than
//! wake-up calls, and to sessions. The store has no function for any of it.

use anyhow::Context;
use dripline_store::Pool;

/// Deletes tickets that nobody has claimed.
pub(crate) async fn delete_tickets(pool: &Pool, count: i64) -> anyhow::Result<()> {
    let sql = "DELETE FROM apalis.jobs WHERE id IN (
                   SELECT id FROM apalis.jobs WHERE status = 'Pending' ORDER BY random() LIMIT $1
                   FOR UPDATE SKIP LOCKED)";
    run(pool, sql, count).await.context("delete tickets")
}

/// Copies tickets, waiting ones and claimed ones.
pub(crate) async fn double_tickets(pool: &Pool, count: i64) -> anyhow::Result<()> {
    // The copies' ids are of the same form and length.
    let sql = "INSERT INTO apalis.jobs (id, job, job_type, status, run_at)
               SELECT upper(left(md5(id || random()::TEXT), 26)), job, job_type, 'Pending', run_at
               FROM apalis.jobs ORDER BY random() LIMIT $1";
    run(pool, sql, count).await.context("double tickets")
}

/// Frees tickets that a worker has in its hands, as a careless rescue would.
pub(crate) async fn requeue_tickets(pool: &Pool, count: i64) -> anyhow::Result<()> {
    let sql = "UPDATE apalis.jobs SET status = 'Pending', lock_by = NULL, lock_at = NULL
               WHERE id IN (SELECT id FROM apalis.jobs WHERE status = 'Running'
                            ORDER BY random() LIMIT $1 FOR UPDATE SKIP LOCKED)";
    run(pool, sql, count).await.context("requeue tickets")
}

/// Ends sessions of workers and of people.
pub(crate) async fn terminate_backends(pool: &Pool, count: i64) -> anyhow::Result<()> {
    let sql = "SELECT pg_terminate_backend(pid) FROM (
                   SELECT pid FROM pg_stat_activity
                   WHERE application_name IN ('dripline-worker', 'chaos-deeds', 'dripline')
                   ORDER BY random() LIMIT $1) AS chosen";
    run(pool, sql, count).await.context("terminate sessions")
}

async fn run(pool: &Pool, sql: &'static str, count: i64) -> anyhow::Result<()> {
    sqlx::query(sql).bind(count).execute(pool).await?;
    Ok(())
}
