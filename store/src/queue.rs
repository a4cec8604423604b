//! The queue: tickets as apalis jobs.
//!
//! A ticket names a delivery that will be due, and is never more than a wake-up call: `deliveries`
//! holds the truth, and a lost, doubled or late ticket does no harm. Tickets are issued in the
//! transaction that queues their delivery, claimed by a worker, and deleted once they were handled.
//!
//! Issuing and registration are apalis' own statements. Claiming and acknowledging are ours, since
//! apalis' slow down with the backlog and with a worker's history.

use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::DeliveryId;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use ulid::Ulid;

use crate::crash::{self, Commit};
use crate::retries::Retries;
use crate::{Pool, StoreError, row};

/// The `job_type` of tickets, which is the name of apalis' queue.
pub const JOB_TYPE: &str = "dripline.deliver";

/// The channel on which every statement that issues a ticket due by then sends one notification.
pub const CHANNEL: &str = "apalis::job::insert";

/// A ticket to be issued.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// A ULID, from [`new_ticket_id`].
    pub ticket_id: String,
    /// What it wakes.
    pub delivery_id: DeliveryId,
    /// When, to the second. Parts of a second are cut off.
    pub run_at: DateTime<Utc>,
}

/// A ticket in a worker's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedTicket {
    /// Its id.
    pub ticket_id: String,
    /// What [`read_payload`] understands, if nobody tampered with it.
    pub payload: Vec<u8>,
    /// How often it was claimed, this time included. Many claims mean that handling it kills workers.
    pub attempts: u32,
    /// When it was due.
    pub run_at: DateTime<Utc>,
}

/// How many tickets there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueStats {
    /// Due and not claimed.
    pub due: u64,
    /// Not yet due.
    pub scheduled: u64,
    /// In a worker's hands.
    pub claimed: u64,
    /// Neither waiting nor claimed: touched by something else than Dripline.
    pub other: u64,
    /// Since when the oldest unclaimed ticket has been due.
    pub oldest_due_at: Option<DateTime<Utc>>,
    /// When the next ticket that is not yet due will be.
    pub next_due_at: Option<DateTime<Utc>>,
}

/// A ticket as it stands in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueuedTicket {
    /// Its id.
    pub ticket_id: String,
    /// What it wakes; `None` when its payload cannot be read.
    pub delivery_id: Option<DeliveryId>,
    /// apalis' word for its state: `Pending` or `Running`.
    pub status: String,
    /// How often it was claimed.
    pub attempts: u32,
    /// When it is due.
    pub run_at: DateTime<Utc>,
    /// The name of the worker that has it.
    pub worker: Option<String>,
    /// Since when.
    pub claimed_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    delivery_id: DeliveryId,
}

/// A fresh ticket id. Later ones are higher, so that the queue's index grows at its end.
pub fn new_ticket_id() -> String {
    Ulid::generate().to_string()
}

/// The delivery that a ticket's payload names.
pub fn read_payload(payload: &[u8]) -> Result<DeliveryId, serde_json::Error> {
    serde_json::from_slice::<Payload>(payload).map(|payload| payload.delivery_id)
}

/// Issues tickets, within the transaction that queues their deliveries.
pub async fn push(conn: &mut PgConnection, tickets: &[Ticket]) -> Result<(), StoreError> {
    if tickets.is_empty() {
        return Ok(());
    }
    let tasks = tickets
        .iter()
        .map(|ticket| {
            let payload = format!(r#"{{"delivery_id":{}}}"#, ticket.delivery_id);
            TaskBuilder::new(payload.into_bytes())
                .task_id(TaskId::from_string(ticket.ticket_id.as_str()))
                .run_at_timestamp(u64::try_from(ticket.run_at.timestamp()).unwrap_or(0))
                .build()
        })
        .collect();
    apalis_postgres::queries::push_tasks(conn, JOB_TYPE, tasks).await?;
    Ok(())
}

/// Deletes tickets that nobody has claimed. A claimed one is left to its worker, which finds nothing to
/// send and acknowledges it; so the two never wait for each other.
pub(crate) async fn withdraw(
    conn: &mut PgConnection,
    ticket_ids: &[String],
) -> Result<(), StoreError> {
    if ticket_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!("DELETE FROM apalis.jobs WHERE id = ANY ($1) AND status = 'Pending'", ticket_ids,)
        .execute(conn)
        .await?;
    Ok(())
}

/// Claims at most `limit` due tickets for the worker of that name, which must be registered: oldest
/// first, none that anybody else is claiming. One statement, whose cost is that of the tickets it
/// claims, however many wait.
pub async fn claim(
    pool: &Pool,
    clock: &dyn Clock,
    worker_name: &str,
    limit: usize,
) -> Result<Vec<ClaimedTicket>, StoreError> {
    let now = clock.now();
    // The job type and the priority pin the index to the tickets in the order of `run_at`; the row's
    // place (`ctid`, which its lock keeps) saves a second walk through an index.
    let update = sqlx::query_as!(
        ClaimedRow,
        r#"UPDATE apalis.jobs
           SET status = 'Running', lock_by = $1, lock_at = $2, attempts = attempts + 1
           WHERE ctid = ANY (ARRAY(
               SELECT ctid FROM apalis.jobs
               WHERE job_type = 'dripline.deliver' AND priority = 0 AND status = 'Pending'
                 AND run_at <= $2
               ORDER BY run_at
               LIMIT $3
               FOR UPDATE SKIP LOCKED))
           RETURNING id, job, attempts, run_at"#,
        worker_name,
        now,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(pool);
    let rows = crash::statement(Commit::ClaimTickets, update).await?;
    let mut claimed: Vec<_> = rows.into_iter().map(ClaimedTicket::from).collect();
    claimed.sort_unstable_by(|a, b| (a.run_at, &a.ticket_id).cmp(&(b.run_at, &b.ticket_id)));
    Ok(claimed)
}

/// The tickets that the worker of that name holds, by which it finds the ones of a claim whose answer
/// was lost.
pub async fn claimed_by(pool: &Pool, worker_name: &str) -> Result<Vec<ClaimedTicket>, StoreError> {
    let rows = sqlx::query_as!(
        ClaimedRow,
        "SELECT id, job, attempts, run_at FROM apalis.jobs
         WHERE lock_by = $1 AND status IN ('Queued', 'Running') AND job_type = 'dripline.deliver'
         ORDER BY run_at, id",
        worker_name,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(ClaimedTicket::from).collect())
}

/// Deletes tickets that were handled, as far as the worker of that name still holds them. Returns how
/// many there were.
pub async fn acknowledge(
    pool: &Pool,
    worker_name: &str,
    ticket_ids: &[String],
) -> Result<u64, StoreError> {
    let mut retries = Retries::default();
    loop {
        let deletion = sqlx::query!(
            "DELETE FROM apalis.jobs WHERE id = ANY ($1) AND lock_by = $2",
            ticket_ids,
            worker_name,
        )
        .execute(pool);
        let deleted = crash::statement(Commit::AcknowledgeTickets, deletion).await;
        match deleted.map_err(StoreError::from) {
            Ok(done) => return Ok(done.rows_affected()),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

/// Gives tickets back that nothing was begun with, as far as the worker of that name still holds them.
/// This claim does not count as one. Returns how many there were.
pub async fn release(
    pool: &Pool,
    worker_name: &str,
    ticket_ids: &[String],
) -> Result<u64, StoreError> {
    let update = sqlx::query!(
        "UPDATE apalis.jobs
         SET status = 'Pending', lock_by = NULL, lock_at = NULL, attempts = greatest(attempts - 1, 0)
         WHERE id = ANY ($1) AND lock_by = $2 AND status IN ('Queued', 'Running')",
        ticket_ids,
        worker_name,
    )
    .execute(pool);
    let done = crash::statement(Commit::ReleaseTickets, update).await?;
    Ok(done.rows_affected())
}

/// Sets how often tickets count as claimed, as far as the worker of that name holds them.
pub async fn count_claims(
    pool: &Pool,
    worker_name: &str,
    counts: &[(&str, u32)],
) -> Result<(), StoreError> {
    let ids: Vec<String> = counts.iter().map(|(id, _)| (*id).to_owned()).collect();
    let claims: Vec<i32> =
        counts.iter().map(|(_, claims)| i32::try_from(*claims).unwrap_or(i32::MAX)).collect();
    let update = sqlx::query!(
        "UPDATE apalis.jobs j SET attempts = q.claims
         FROM unnest($1::TEXT[], $2::INTEGER[]) AS q (id, claims)
         WHERE j.id = q.id AND j.lock_by = $3 AND j.status IN ('Queued', 'Running')",
        &ids,
        &claims,
        worker_name,
    )
    .execute(pool);
    crash::statement(Commit::CountClaims, update).await?;
    Ok(())
}

/// When the first unclaimed ticket is or was due; `None` when there is none.
pub async fn next_due(pool: &Pool) -> Result<Option<DateTime<Utc>>, StoreError> {
    let next = sqlx::query_scalar!(
        "SELECT run_at FROM apalis.jobs
         WHERE job_type = 'dripline.deliver' AND priority = 0 AND status = 'Pending'
         ORDER BY run_at LIMIT 1"
    )
    .fetch_optional(pool)
    .await?;
    Ok(next)
}

/// Counts the tickets. Reads all of them.
pub async fn stats(pool: &Pool, clock: &dyn Clock) -> Result<QueueStats, StoreError> {
    let now = clock.now();
    let counts = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE status = 'Pending' AND run_at <= $1) AS "due!",
                  count(*) FILTER (WHERE status = 'Pending' AND run_at > $1) AS "scheduled!",
                  count(*) FILTER (WHERE status IN ('Queued', 'Running')) AS "claimed!",
                  count(*) FILTER (WHERE status NOT IN ('Pending', 'Queued', 'Running')) AS "other!",
                  min(run_at) FILTER (WHERE status = 'Pending' AND run_at <= $1) AS oldest_due_at,
                  min(run_at) FILTER (WHERE status = 'Pending' AND run_at > $1) AS next_due_at
           FROM apalis.jobs WHERE job_type = 'dripline.deliver'"#,
        now,
    )
    .fetch_one(pool)
    .await?;
    Ok(QueueStats {
        due: row::count(counts.due),
        scheduled: row::count(counts.scheduled),
        claimed: row::count(counts.claimed),
        other: row::count(counts.other),
        oldest_due_at: counts.oldest_due_at,
        next_due_at: counts.next_due_at,
    })
}

/// The tickets in the order in which they are due. `after` continues a list behind the last ticket of
/// the page before.
pub async fn list(
    pool: &Pool,
    after: Option<(DateTime<Utc>, &str)>,
    limit: i64,
) -> Result<Vec<QueuedTicket>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, job, status, attempts, run_at, lock_by, lock_at FROM apalis.jobs
         WHERE job_type = 'dripline.deliver'
           AND ($1::TIMESTAMPTZ IS NULL OR (run_at, id) > ($1, $2))
         ORDER BY run_at, id
         LIMIT $3",
        after.map(|(run_at, _)| run_at),
        after.map(|(_, id)| id),
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| QueuedTicket {
            ticket_id: row.id,
            delivery_id: read_payload(&row.job).ok(),
            status: row.status,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            run_at: row.run_at,
            worker: row.lock_by,
            claimed_at: row.lock_at,
        })
        .collect())
}

struct ClaimedRow {
    id: String,
    job: Vec<u8>,
    attempts: i32,
    run_at: DateTime<Utc>,
}

impl From<ClaimedRow> for ClaimedTicket {
    fn from(row: ClaimedRow) -> Self {
        Self {
            ticket_id: row.id,
            payload: row.job,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            run_at: row.run_at,
        }
    }
}
