//! The queue as the deliveries see it: what waits, what is being sent, and the ticket of each.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::{AccountId, ContactId, DeliveryId, WorkflowId};
use dripline_domain::phone::Phone;
use serde::Serialize;

use crate::{Pool, StoreError, row};

/// A delivery that is not settled, with its ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueListing {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name.
    pub workflow: String,
    /// The contact.
    pub contact_id: ContactId,
    /// The contact's number.
    pub phone: Phone,
    /// Which step, from 1.
    pub position: u32,
    /// `queued`, `sending` or `unknown`.
    pub state: DeliveryState,
    /// Hand-overs so far.
    pub attempt: u32,
    /// When it is due, or was.
    pub due_at: DateTime<Utc>,
    /// Its ticket. `None` while it is not queued, and when the ticket was lost; a sweep replaces it.
    pub ticket: Option<TicketListing>,
}

/// A ticket: the wake-up call of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TicketListing {
    /// The job's id.
    pub ticket_id: String,
    /// The job's status, in the queue's own words.
    pub status: String,
    /// When it is to wake.
    pub run_at: DateTime<Utc>,
    /// The worker that has claimed it, by name.
    pub worker: Option<String>,
    /// Since when.
    pub claimed_at: Option<DateTime<Utc>>,
}

/// Which part of the queue to list.
#[derive(Clone, Debug)]
pub struct QueueFilter {
    /// Only of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Only in this state.
    pub state: Option<DeliveryState>,
    /// Continue the list after this one: its due time and its id.
    pub after: Option<(DateTime<Utc>, DeliveryId)>,
    /// At most so many.
    pub limit: i64,
}

impl Default for QueueFilter {
    fn default() -> Self {
        Self { workflow_id: None, state: None, after: None, limit: 100 }
    }
}

/// How much waits, of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct QueueSummary {
    /// Queued and due.
    pub due: u64,
    /// Queued for later.
    pub scheduled: u64,
    /// Marked: may be on the wire.
    pub sending: u64,
    /// Handed over, outcome not known.
    pub unknown: u64,
    /// Since when the longest waiting one is due.
    pub oldest_due_at: Option<DateTime<Utc>>,
    /// When the next of those for later is due.
    pub next_due_at: Option<DateTime<Utc>>,
}

/// The account's deliveries that are not settled, in the order in which they are due.
pub async fn list(
    pool: &Pool,
    account_id: AccountId,
    filter: &QueueFilter,
) -> Result<Vec<QueueListing>, StoreError> {
    let rows = sqlx::query_file!(
        "queries/queue/list.sql",
        account_id.0,
        filter.workflow_id.map(|id| id.0),
        filter.state.map(DeliveryState::as_str),
        filter.after.map(|(due_at, _)| due_at),
        filter.after.map(|(_, id)| id.0),
        filter.limit,
    )
    .fetch_all(pool)
    .await?;
    let listing = rows.into_iter().map(|r| {
        let ticket = match (r.id, r.status, r.run_at) {
            (Some(ticket_id), Some(status), Some(run_at)) => Some(TicketListing {
                ticket_id,
                status,
                run_at,
                worker: r.lock_by,
                claimed_at: r.lock_at,
            }),
            _ => None,
        };
        Ok(QueueListing {
            delivery_id: r.delivery_id.into(),
            workflow_id: r.workflow_id.into(),
            workflow: r.workflow,
            contact_id: r.contact_id.into(),
            phone: row::phone(&r.phone, r.contact_id)?,
            position: row::ordinal(r.position),
            state: row::read(&r.state, "deliveries", "state", r.delivery_id)?,
            attempt: row::ordinal(r.attempt),
            due_at: r.due_at,
            ticket,
        })
    });
    listing.collect()
}

/// Counts the account's deliveries that are not settled. Reads all of those.
pub async fn summary(
    pool: &Pool,
    clock: &dyn Clock,
    account_id: AccountId,
) -> Result<QueueSummary, StoreError> {
    let sums = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE state = 'queued' AND due_at <= $2) AS "due!",
                  count(*) FILTER (WHERE state = 'queued' AND due_at > $2) AS "scheduled!",
                  count(*) FILTER (WHERE state = 'sending') AS "sending!",
                  count(*) FILTER (WHERE state = 'unknown') AS "unknown!",
                  min(due_at) FILTER (WHERE state = 'queued' AND due_at <= $2) AS oldest_due_at,
                  min(due_at) FILTER (WHERE state = 'queued' AND due_at > $2) AS next_due_at
           FROM deliveries WHERE account_id = $1 AND settled_at IS NULL"#,
        account_id.0,
        clock.now(),
    )
    .fetch_one(pool)
    .await?;
    Ok(QueueSummary {
        due: row::count(sums.due),
        scheduled: row::count(sums.scheduled),
        sending: row::count(sums.sending),
        unknown: row::count(sums.unknown),
        oldest_due_at: sums.oldest_due_at,
        next_due_at: sums.next_due_at,
    })
}
