//! Puts deliveries that cannot be handed over now to a later time, without counting an attempt.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use dripline_domain::ids::DeliveryId;

use super::situation::round_up;
use crate::crash::{Commit, commit};
use crate::queue::{self, Ticket};
use crate::retries::Retries;
use crate::route_halt::WAITING;
use crate::{Pool, StoreError};

/// A queued delivery whose route is halted.
#[derive(Clone, Debug)]
pub struct PostponeRequest {
    /// Which.
    pub delivery_id: DeliveryId,
    /// Its attempt as it was loaded.
    pub attempt: u32,
    /// When it was due, as it was loaded.
    pub due_at: DateTime<Utc>,
    /// When it should be looked at again; rounded up to a second.
    pub until: DateTime<Utc>,
}

/// What is written on a delivery that waits. Why the route is halted stands with the halt.
const TEXT: &str = "its route is halted, and it waits until the carrier can be reached again";

/// Postpones a batch in one transaction: each gets a later due time and a new ticket in place of the one
/// that woke it. Gives the new due times in the order of the requests; `None` for a delivery that is not
/// queued as it was loaded any more, which is left alone.
///
/// The deliveries of one route keep the order in which they were due. One that expires before its new
/// time is woken when it expires, to be released then. No money moves and no state changes, so that no
/// workflow is locked: a pause finds the delivery queued before and after.
///
/// Running the batch again changes nothing, since the due times have changed.
pub async fn postpone(
    pool: &Pool,
    requests: &[PostponeRequest],
) -> Result<Vec<Option<DateTime<Utc>>>, StoreError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let mut retries = Retries::default();
    loop {
        match run(pool, requests).await {
            Ok(done) => return Ok(done),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

async fn run(
    pool: &Pool,
    requests: &[PostponeRequest],
) -> Result<Vec<Option<DateTime<Utc>>>, StoreError> {
    let mut columns = Columns::default();
    for request in in_order(requests) {
        columns.push(request);
    }
    let mut tx = pool.begin().await?;
    let rows = sqlx::query_file!(
        "queries/delivery/postpone.sql",
        &columns.ids,
        &columns.attempts,
        &columns.due_at,
        &columns.until,
        &columns.ticket_ids,
        WAITING,
        TEXT,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut postponed: HashMap<i64, _> =
        rows.into_iter().map(|row| (row.delivery_id, (row.ticket_id, row.due_at))).collect();
    let due_at: HashMap<i64, DateTime<Utc>> =
        postponed.iter().map(|(id, (_, due_at))| (*id, *due_at)).collect();
    // In their order, since tickets of one second are claimed about as they were issued.
    let tickets: Vec<Ticket> = columns
        .ids
        .iter()
        .filter_map(|id| {
            let (ticket_id, run_at) = postponed.remove(id)?;
            Some(Ticket { ticket_id, delivery_id: DeliveryId(*id), run_at })
        })
        .collect();
    queue::push(&mut tx, &tickets).await?;
    commit(tx, Commit::Postpone).await?;
    Ok(requests.iter().map(|request| due_at.get(&request.delivery_id.0).copied()).collect())
}

/// The requests by when they were due.
fn in_order(requests: &[PostponeRequest]) -> Vec<&PostponeRequest> {
    let mut requests: Vec<_> = requests.iter().collect();
    requests.sort_by_key(|request| (request.due_at, request.delivery_id));
    requests.dedup_by_key(|request| request.delivery_id);
    requests
}

#[derive(Default)]
struct Columns {
    ids: Vec<i64>,
    attempts: Vec<i32>,
    due_at: Vec<DateTime<Utc>>,
    until: Vec<DateTime<Utc>>,
    ticket_ids: Vec<String>,
}

impl Columns {
    fn push(&mut self, request: &PostponeRequest) {
        self.ids.push(request.delivery_id.0);
        self.attempts.push(i32::try_from(request.attempt).unwrap_or(i32::MAX));
        self.due_at.push(request.due_at);
        self.until.push(round_up(request.until));
        self.ticket_ids.push(queue::new_ticket_id());
    }
}
