//! Deletes tickets whose delivery does not wait for them any more.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use dripline_domain::clock::Clock;

use super::BATCH;
use crate::crash::{self, Commit};
use crate::{Pool, StoreError, queue};

/// How long a ticket may be due before it is looked at: by then a worker has usually taken it and found
/// out by itself.
const GRACE: TimeDelta = TimeDelta::seconds(60);

/// How far a worker has come among the tickets that are not due yet, of which each run looks at the next
/// `BATCH`, over and over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead(Place);

/// Where a ticket stands in the queue: when it is due, and its id.
type Place = (DateTime<Utc>, String);

/// What a run has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strays {
    /// Tickets that are gone.
    pub deleted: u64,
    /// From where the next run goes on.
    pub ahead: Ahead,
}

/// Deletes tickets, due or claimed, whose delivery is not queued with them and not on the wire either; and
/// those among the next ones that are not due yet.
///
/// They do no harm, but where no worker comes by they would stand in the queue for ever.
pub async fn stray_tickets(
    pool: &Pool,
    clock: &dyn Clock,
    ahead: Ahead,
) -> Result<Strays, StoreError> {
    let due_by = clock.now() - GRACE;
    let mut deleted = 0;
    for claimed in [false, true] {
        let mut behind = Place::default();
        loop {
            let rows = read(pool, claimed, due_by, &behind).await?;
            let Some(last) = rows.last() else { break };
            behind = (last.run_at, last.id.clone());
            let full = is_full(&rows);
            deleted += sweep(pool, rows, claimed).await?;
            if !full {
                break;
            }
        }
    }
    let behind = ahead.0.max((due_by, String::new()));
    let rows = read_ahead(pool, &behind).await?;
    let next = rows.last().filter(|_| is_full(&rows)).map(|last| (last.run_at, last.id.clone()));
    deleted += sweep(pool, rows, false).await?;
    Ok(Strays { deleted, ahead: Ahead(next.unwrap_or_default()) })
}

fn is_full(rows: &[Row]) -> bool {
    rows.len() == usize::try_from(BATCH).unwrap_or(usize::MAX)
}

/// Deletes the strays among these. Gives how many.
async fn sweep(pool: &Pool, rows: Vec<Row>, claimed: bool) -> Result<u64, StoreError> {
    let strays = find_strays(pool, rows).await?;
    if strays.is_empty() {
        return Ok(0);
    }
    tracing::info!(tickets = strays.len(), "tickets outlived their deliveries");
    delete(pool, &strays, claimed).await
}

struct Row {
    id: String,
    job: Vec<u8>,
    run_at: DateTime<Utc>,
}

async fn read(
    pool: &Pool,
    claimed: bool,
    due_by: DateTime<Utc>,
    behind: &Place,
) -> Result<Vec<Row>, StoreError> {
    let rows = if claimed {
        sqlx::query_as!(
            Row,
            "SELECT id, job, run_at FROM apalis.jobs
             WHERE job_type = 'dripline.deliver' AND status IN ('Queued', 'Running')
               AND lock_at <= $1 AND (run_at, id) > ($2, $3)
             ORDER BY run_at, id LIMIT $4",
            due_by,
            behind.0,
            behind.1,
            BATCH,
        )
        .fetch_all(pool)
        .await?
    } else {
        sqlx::query_as!(
            Row,
            "SELECT id, job, run_at FROM apalis.jobs
             WHERE job_type = 'dripline.deliver' AND priority = 0 AND status = 'Pending'
               AND run_at <= $1 AND run_at >= $2 AND (run_at, id) > ($2, $3)
             ORDER BY run_at, id LIMIT $4",
            due_by,
            behind.0,
            behind.1,
            BATCH,
        )
        .fetch_all(pool)
        .await?
    };
    Ok(rows)
}

async fn read_ahead(pool: &Pool, behind: &Place) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, job, run_at FROM apalis.jobs
         WHERE job_type = 'dripline.deliver' AND priority = 0 AND status = 'Pending'
           AND run_at >= $1 AND (run_at, id) > ($1, $2)
         ORDER BY run_at, id LIMIT $3",
        behind.0,
        behind.1,
        BATCH,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// The tickets that no delivery needs: none is queued with this ticket, and the one it names is not on
/// the wire, where the ticket waits for its acknowledgement.
async fn find_strays(pool: &Pool, rows: Vec<Row>) -> Result<Vec<String>, StoreError> {
    let named: Vec<Option<i64>> =
        rows.iter().map(|row| queue::read_payload(&row.job).ok().map(|id| id.0)).collect();
    let tickets: Vec<String> = rows.into_iter().map(|row| row.id).collect();
    let needed = sqlx::query_scalar!(
        r#"SELECT q.ticket_id AS "ticket_id!"
           FROM unnest($1::BIGINT[], $2::TEXT[]) AS q (delivery_id, ticket_id)
           JOIN deliveries d USING (delivery_id)
           WHERE d.settled_at IS NULL
             AND (d.ticket_id = q.ticket_id OR d.state = 'sending')"#,
        &named as &[Option<i64>],
        &tickets,
    )
    .fetch_all(pool)
    .await?;
    let needed: HashSet<String> = needed.into_iter().collect();
    Ok(tickets.into_iter().filter(|id| !needed.contains(id)).collect())
}

async fn delete(pool: &Pool, strays: &[String], claimed: bool) -> Result<u64, StoreError> {
    let deletion = sqlx::query!(
        "DELETE FROM apalis.jobs WHERE id = ANY ($1)
         AND CASE WHEN $2 THEN status IN ('Queued', 'Running') ELSE status = 'Pending' END",
        strays,
        claimed,
    )
    .execute(pool);
    let done = crash::statement(Commit::DeleteStrays, deletion).await?;
    Ok(done.rows_affected())
}
