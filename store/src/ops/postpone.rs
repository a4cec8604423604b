//! Puts deliveries that cannot be handed over now to a later time, without counting an attempt.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use dripline_domain::ids::{DeliveryId, RouteId};

use super::situation::round_up;
use crate::crash::{Commit, commit};
use crate::delivery::{DueDelivery, DueRoute};
use crate::queue::{self, Ticket};
use crate::retries::Retries;
use crate::route::{BOUND, CROWDED, PAUSED};
use crate::route_halt::WAITING;
use crate::sender_pace::THROTTLED;
use crate::{Pool, StoreError, advisory};

/// What a queued delivery waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its route is halted, until the carrier can be reached again.
    Carrier,
    /// Its route is paused, until an operator lets it run.
    Operator,
    /// Its sender has sent what it may, until its turn.
    Turn,
    /// Its route has as many requests on the wire as it may.
    Place,
    /// A route may have sent it that takes over no more, and it goes over no other.
    ItsRoute,
}

impl WaitsFor {
    /// Everything that a delivery can wait for.
    pub(super) const ALL: [Self; 5] =
        [Self::Carrier, Self::Operator, Self::Turn, Self::Place, Self::ItsRoute];

    /// What is written on the delivery: a reason's code and its text. Why the route is halted or paused stands
    /// there.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Carrier => (
                WAITING,
                "its route is halted, and it waits until the carrier can be reached again",
            ),
            Self::Operator => (PAUSED, "its route is paused, and it waits until that runs again"),
            Self::Turn => {
                (THROTTLED, "its sender has sent what it may for now, and it waits for its turn")
            }
            Self::Place => (
                CROWDED,
                "its route has as many requests on the wire as it may, and it waits for a place",
            ),
            Self::ItsRoute => (
                BOUND,
                "a route that takes over no more may have sent it, and it waits until that is its failover again",
            ),
        }
    }
}

/// A queued delivery whose route is halted or paused, or whose sender is throttled.
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
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// Its step's route, as it was loaded.
    pub route: DueRoute,
    /// That route's failover, as it was loaded.
    pub failover: Option<DueRoute>,
}

impl PostponeRequest {
    /// Puts the delivery, as it was loaded, off `until` then.
    pub fn new(delivery: &DueDelivery, until: DateTime<Utc>, waits_for: WaitsFor) -> Self {
        let DueDelivery { delivery_id, attempt, due_at, route, failover, .. } = *delivery;
        Self { delivery_id, attempt, due_at, until, waits_for, route, failover }
    }
}

/// Postpones a batch in one transaction: each gets a later due time and a new ticket in place of the one
/// that woke it. Gives the new due times in the order of the requests; `None` for a delivery that is not
/// queued as it was loaded any more, which is left alone.
///
/// A delivery whose routes are not any more as they were loaded waits for something that may be over:
/// somebody has let a route run, lifted its limits or given it another failover. It is due again at once, a
/// second later than it was. Whoever changes a route wakes what waits for it when that is committed, and the
/// routes' gates are held here, so that nothing falls between the two.
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
    let routes = requests.iter().flat_map(|request| [Some(request.route), request.failover]);
    let routes: Vec<RouteId> = routes.flatten().map(|route| route.route_id).collect();
    advisory::enter_route_gates(&mut tx, &routes).await?;
    let rows = sqlx::query_file!(
        "queries/delivery/postpone.sql",
        &columns.ids,
        &columns.attempts,
        &columns.due_at,
        &columns.until,
        &columns.ticket_ids,
        &columns.reason_codes,
        &columns.reason_texts,
        &columns.route_ids,
        &columns.revisions,
        &columns.paused,
        &columns.failover_ids as &[Option<i64>],
        &columns.failover_revisions as &[Option<i64>],
        &columns.failovers_paused as &[Option<bool>],
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
    reason_codes: Vec<String>,
    reason_texts: Vec<String>,
    route_ids: Vec<i64>,
    revisions: Vec<i64>,
    paused: Vec<bool>,
    failover_ids: Vec<Option<i64>>,
    failover_revisions: Vec<Option<i64>>,
    failovers_paused: Vec<Option<bool>>,
}

impl Columns {
    fn push(&mut self, request: &PostponeRequest) {
        self.ids.push(request.delivery_id.0);
        self.attempts.push(i32::try_from(request.attempt).unwrap_or(i32::MAX));
        self.due_at.push(request.due_at);
        self.until.push(round_up(request.until));
        self.ticket_ids.push(queue::new_ticket_id());
        let (code, text) = request.waits_for.words();
        self.reason_codes.push(code.to_owned());
        self.reason_texts.push(text.to_owned());
        let DueRoute { route_id, revision, is_paused } = request.route;
        self.route_ids.push(route_id.0);
        self.revisions.push(revision);
        self.paused.push(is_paused);
        self.failover_ids.push(request.failover.map(|route| route.route_id.0));
        self.failover_revisions.push(request.failover.map(|route| route.revision));
        self.failovers_paused.push(request.failover.map(|route| route.is_paused));
    }
}
