//! The mark: the commit after which a message may leave. The point of no return.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::{AccountId, ContactId, DeliveryId, RouteId, WorkerId, WorkflowId};
use dripline_domain::ledger::{EntryKind, Hold};
use dripline_domain::money::Micros;
use dripline_domain::throttle::Throttle;
use dripline_domain::workflow::SurplusPolicy;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::{Books, hold, segments};
use super::finish_attempts::worker_actor;
use super::given_reference::{GivenReference, References};
use super::postpone::WaitsFor;
use super::situation;
use super::turns::{self, Line, Throttled, Wish};
use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::route::limit;
use crate::{Pool, StoreError, row};

/// A message that is rendered and ready to leave.
#[derive(Clone, Copy, Debug)]
pub struct StartRequest {
    /// Which delivery.
    pub delivery_id: DeliveryId,
    /// The number of this hand-over: one more than the delivery's attempt as it was loaded.
    pub attempt: u32,
    /// The segments of its text.
    pub segments: u32,
    /// The route that it goes over: its step's or that one's failover. `None`: its step's.
    pub route_id: Option<RouteId>,
}

/// Whether a message may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It is marked, and must be sent now.
    Started {
        /// The epoch of its enrollment.
        epoch: i64,
    },
    /// It must not be sent.
    Stale(StaleReason),
    /// Its text has more segments than are held, and the workflow's policy does not let them be held
    /// now. It must not be sent.
    OverHold {
        /// The segments of the text.
        needed_segments: u32,
        /// The segments held.
        held_segments: u32,
        /// The workflow's policy; with [`SurplusPolicy::Charge`] the balance is too small.
        policy: SurplusPolicy,
        /// What the account had left.
        available: Micros,
    },
    /// Its sender has sent what it may. It must not be sent before its turn.
    Throttled {
        /// Its turn.
        until: DateTime<Utc>,
    },
}

/// Why a message must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// Its delivery is not queued any more.
    NotQueued,
    /// Its delivery has had another attempt since it was loaded.
    Superseded,
    /// Its workflow was paused or deleted, or its enrollment has ended.
    WorkflowClosed,
    /// Its contact wants to hear nothing more.
    OptedOut,
    /// Its route is paused.
    RoutePaused,
    /// Its route is neither its step's nor that one's failover any more.
    RouteChanged,
    /// Somebody says that an earlier hand-over was sent, which had been decided otherwise.
    SaidSent,
    /// It is not due yet.
    NotDue,
    /// It is too late.
    Expired,
}

/// Marks a batch of messages in one transaction. Gives the answers in the order of the requests. Only
/// what is [`Start::Started`] may leave, and only after this has returned.
///
/// Running the batch again with the same `batch_id`, after its COMMIT got no answer, answers
/// `Started` for what it had marked.
pub async fn start_attempts(
    pool: &Pool,
    clock: &dyn Clock,
    worker: WorkerId,
    batch_id: Uuid,
    requests: &[StartRequest],
) -> Result<Vec<Start>, StoreError> {
    start_referenced_attempts(pool, clock, worker, batch_id, requests, &[]).await
}

/// Like [`start_attempts`], and records with each mark under what the carrier will know the attempt, where
/// there is such a reference. `references` stand in the order of the requests; what is missing at their end
/// is none.
pub async fn start_referenced_attempts(
    pool: &Pool,
    clock: &dyn Clock,
    worker: WorkerId,
    batch_id: Uuid,
    requests: &[StartRequest],
    references: &[Option<GivenReference>],
) -> Result<Vec<Start>, StoreError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let batch = Batch { worker, batch_id, requests, references };
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, &batch).await {
            Ok(starts) => return Ok(starts),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

struct Batch<'a> {
    worker: WorkerId,
    batch_id: Uuid,
    requests: &'a [StartRequest],
    references: &'a [Option<GivenReference>],
}

async fn run(pool: &Pool, clock: &dyn Clock, batch: &Batch<'_>) -> Result<Vec<Start>, StoreError> {
    let ids: Vec<i64> = batch.requests.iter().map(|request| request.delivery_id.0).collect();
    let mut tx = pool.begin().await?;
    situation::lock_workflows(&mut tx, &ids).await?;
    lock_contacts(&mut tx, &ids).await?;
    let routes: Vec<_> = batch.requests.iter().map(|request| request.route_id).collect();
    let mut found = read(&mut tx, &ids, &routes).await?;
    let marked_before = find_marked(&mut tx, batch, &found).await?;
    let now = clock.now();
    let mut ready = Vec::with_capacity(batch.requests.len());
    let mut starts = Vec::with_capacity(batch.requests.len());
    for (place, request) in batch.requests.iter().enumerate() {
        // Taken out, so that a request that comes twice in one batch is marked once.
        let Some(delivery) = found.remove(&request.delivery_id) else {
            starts.push(Start::Stale(StaleReason::NotQueued));
            continue;
        };
        let started = Start::Started { epoch: delivery.epoch };
        starts.push(if marked_before.contains(&request.delivery_id) {
            started
        } else if let Some(reason) = delivery.stale(request, now) {
            Start::Stale(reason)
        } else {
            ready.push((place, delivery));
            started
        });
    }
    let wishes: Vec<Wish<'_>> = ready
        .iter()
        .filter_map(|(place, delivery)| {
            Wish::of(*place, batch.requests[*place].segments, delivery.throttled.as_ref())
        })
        .collect();
    let waiting = turns::take(&mut tx, &wishes, Line::Senders, now).await?;
    let mut marks = Marks::default();
    let mut over = Vec::new();
    for (place, delivery) in ready {
        let request = &batch.requests[place];
        if let Some(until) = waiting.get(&place) {
            starts[place] = Start::Throttled { until: *until };
        } else if u64::from(request.segments) > delivery.held.segments {
            over.push((place, delivery));
        } else {
            marks.push(place, request, &delivery, Hold::NONE);
        }
    }
    let actor = worker_actor(batch.worker);
    let mut books = Books::new(batch.batch_id, &actor, now);
    hold_surplus(&mut tx, batch, over, &mut marks, &mut starts, &mut books).await?;
    books.write_entries(&mut tx).await?;
    let marked = marks.write(&mut tx, batch, &books, now).await?;
    marks.references(batch).write(&mut tx, |id| marked.contains(&id), now).await?;
    for (place, id) in marks.places.iter().zip(&marks.ids) {
        if marked.contains(id) {
            continue;
        }
        if marks.holds_surplus {
            // The entry was written for one that has slipped away.
            return Err(StoreError::Raced);
        }
        starts[*place] = Start::Stale(StaleReason::NotQueued);
    }
    books.change_balances(&mut tx).await?;
    commit(tx, Commit::StartAttempts).await?;
    Ok(starts)
}

/// Against an opt-out: one that is committed is seen by the next statement, and one that comes later
/// waits for this transaction.
pub(super) async fn lock_contacts(
    conn: &mut PgConnection,
    deliveries: &[i64],
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT count(*) FROM (
             SELECT FROM contacts
             WHERE contact_id IN (SELECT contact_id FROM deliveries WHERE delivery_id = ANY ($1))
             ORDER BY contact_id FOR SHARE) AS locked",
        deliveries,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Where a delivery stands before its mark.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Found {
    account_id: AccountId,
    workflow_id: WorkflowId,
    pub(super) state: DeliveryState,
    pub(super) attempt: i32,
    due_at: DateTime<Utc>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) held: Hold,
    surplus_policy: SurplusPolicy,
    pub(super) epoch: i64,
    pub(super) open: bool,
    pub(super) opted_out: bool,
    pub(super) said_sent: bool,
    /// The route that it is to go over; `None` when it may not, or is of no step any more.
    pub(super) route_id: Option<RouteId>,
    pub(super) route_paused: bool,
    /// `None`: its route has no throttle.
    pub(super) throttled: Option<Throttled>,
}

impl Found {
    fn stale(&self, request: &StartRequest, now: DateTime<Utc>) -> Option<StaleReason> {
        let attempt = i64::from(self.attempt) + 1;
        if self.state != DeliveryState::Queued {
            Some(StaleReason::NotQueued)
        } else if attempt != i64::from(request.attempt) {
            Some(StaleReason::Superseded)
        } else if self.said_sent {
            Some(StaleReason::SaidSent)
        } else if !self.open {
            Some(StaleReason::WorkflowClosed)
        } else if self.opted_out {
            Some(StaleReason::OptedOut)
        } else if self.due_at > now {
            Some(StaleReason::NotDue)
        } else if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            Some(StaleReason::Expired)
        } else if request.route_id != self.route_id && request.route_id.is_some() {
            Some(StaleReason::RouteChanged)
        } else if self.route_paused {
            Some(StaleReason::RoutePaused)
        } else {
            None
        }
    }

    /// What the text needs on top of the hold, at the price per segment that was held. `None` when
    /// no segment was held, and so no price is known.
    fn surplus(&self, needed_segments: u32) -> Option<Hold> {
        let held_segments = i64::try_from(self.held.segments).ok().filter(|held| *held > 0)?;
        self.held.surplus(needed_segments, Micros(self.held.micros.0 / held_segments))
    }
}

/// Reads deliveries, each for the route that it is to go over; `None`: its step's.
pub(super) async fn read(
    conn: &mut PgConnection,
    deliveries: &[i64],
    routes: &[Option<RouteId>],
) -> Result<HashMap<DeliveryId, Found>, StoreError> {
    let waits = WaitsFor::ALL.map(|waits_for| waits_for.words().0.to_owned());
    let routes: Vec<Option<i64>> = routes.iter().map(|route| route.map(|id| id.0)).collect();
    let rows = sqlx::query_file!(
        "queries/delivery/before_mark.sql",
        deliveries,
        &waits,
        &routes as &[Option<i64>],
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().map(|row| {
        let delivery_id = DeliveryId(row.delivery_id);
        let throttle = Throttle {
            segments_per_second: limit(row.segments_per_second),
            segments_per_day: limit(row.segments_per_day),
        };
        let throttled = row.route_id.filter(|_| throttle.is_limited()).and_then(|route_id| {
            let senders = row.senders.unwrap_or_default();
            let contact_id = ContactId(row.contact_id);
            Throttled::new(RouteId(route_id), &senders, contact_id, throttle, row.has_waited)
        });
        let found = Found {
            account_id: AccountId(row.account_id),
            workflow_id: WorkflowId(row.workflow_id),
            state: row::read(&row.state, "deliveries", "state", delivery_id)?,
            attempt: row.attempt,
            due_at: row.due_at,
            expires_at: row.expires_at,
            held: hold(row.held_segments, row.held_micros),
            surplus_policy: row::read(
                &row.surplus_policy,
                "workflows",
                "surplus_policy",
                row.workflow_id,
            )?,
            epoch: row.epoch,
            open: row.open,
            opted_out: row.opted_out,
            said_sent: row.said_sent,
            route_id: row.route_id.map(RouteId),
            route_paused: row.route_paused,
            throttled,
        };
        Ok((delivery_id, found))
    });
    found.collect()
}

/// The deliveries that this very batch has marked, when its COMMIT got no answer and it runs again.
async fn find_marked(
    conn: &mut PgConnection,
    batch: &Batch<'_>,
    found: &HashMap<DeliveryId, Found>,
) -> Result<HashSet<DeliveryId>, StoreError> {
    let mut ids = Vec::new();
    let mut attempts = Vec::new();
    for request in batch.requests {
        let sending = found.get(&request.delivery_id).is_some_and(|found| {
            found.state == DeliveryState::Sending
                && u32::try_from(found.attempt) == Ok(request.attempt)
        });
        if sending {
            ids.push(request.delivery_id.0);
            attempts.push(i32::try_from(request.attempt).unwrap_or(i32::MAX));
        }
    }
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let marked = sqlx::query_scalar!(
        r#"SELECT a.delivery_id FROM attempts a
           JOIN unnest($1::BIGINT[], $2::INTEGER[]) AS q (delivery_id, attempt)
             USING (delivery_id, attempt)
           WHERE a.batch_id = $3 AND a.worker_id = $4"#,
        &ids,
        &attempts,
        batch.batch_id,
        batch.worker.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(marked.into_iter().map(DeliveryId).collect())
}

/// Holds what longer texts need, where the policy and the balance allow it, in the order of the
/// requests; answers the others.
async fn hold_surplus(
    conn: &mut PgConnection,
    batch: &Batch<'_>,
    over: Vec<(usize, Found)>,
    marks: &mut Marks,
    starts: &mut [Start],
    books: &mut Books<'_>,
) -> Result<(), StoreError> {
    if over.is_empty() {
        return Ok(());
    }
    let accounts: Vec<i64> = over.iter().map(|(_, found)| found.account_id.0).collect();
    let rows = sqlx::query!(
        "SELECT account_id, available_micros FROM balances WHERE account_id = ANY ($1)",
        &accounts,
    )
    .fetch_all(conn)
    .await?;
    let mut available: BTreeMap<AccountId, Micros> =
        rows.into_iter().map(|row| (row.account_id.into(), row.available_micros.into())).collect();
    for (place, found) in over {
        let request = &batch.requests[place];
        let available = available.entry(found.account_id).or_default();
        let surplus = found
            .surplus(request.segments)
            .filter(|surplus| surplus.micros <= *available)
            .filter(|_| found.surplus_policy == SurplusPolicy::Charge);
        if let Some(surplus) = surplus {
            *available -= surplus.micros;
            books.add(EntryKind::Hold, found.account_id, found.workflow_id, surplus);
            marks.push(place, request, &found, surplus);
        } else {
            starts[place] = Start::OverHold {
                needed_segments: request.segments,
                held_segments: u32::try_from(found.held.segments).unwrap_or(u32::MAX),
                policy: found.surplus_policy,
                available: *available,
            };
        }
    }
    Ok(())
}

/// What is to be marked.
#[derive(Default)]
struct Marks {
    /// Each one's place among the requests.
    places: Vec<usize>,
    ids: Vec<i64>,
    attempts: Vec<i32>,
    segments: Vec<i32>,
    epochs: Vec<i64>,
    accounts: Vec<AccountId>,
    extra: Vec<Hold>,
    routes: Vec<Option<i64>>,
    holds_surplus: bool,
}

impl Marks {
    fn push(&mut self, place: usize, request: &StartRequest, found: &Found, extra: Hold) {
        self.places.push(place);
        self.ids.push(request.delivery_id.0);
        self.attempts.push(found.attempt + 1);
        self.segments.push(i32::try_from(request.segments).unwrap_or(i32::MAX));
        self.epochs.push(found.epoch);
        self.accounts.push(found.account_id);
        self.extra.push(extra);
        self.routes.push(found.route_id.map(|id| id.0));
        self.holds_surplus |= extra != Hold::NONE;
    }

    fn references<'a>(&self, batch: &Batch<'a>) -> References<'a> {
        let mut references = References::default();
        for ((place, id), attempt) in self.places.iter().zip(&self.ids).zip(&self.attempts) {
            if let Some(Some(given)) = batch.references.get(*place) {
                references.push(*id, *attempt, given);
            }
        }
        references
    }

    async fn write(
        &self,
        conn: &mut PgConnection,
        batch: &Batch<'_>,
        books: &Books<'_>,
        now: DateTime<Utc>,
    ) -> Result<HashSet<i64>, StoreError> {
        if self.ids.is_empty() {
            return Ok(HashSet::new());
        }
        let extra_segments: Vec<i64> = self.extra.iter().map(|extra| segments(*extra)).collect();
        let extra_micros: Vec<i64> = self.extra.iter().map(|extra| extra.micros.0).collect();
        let entries: Vec<Option<i64>> = self
            .accounts
            .iter()
            .zip(&self.extra)
            .map(|(account_id, extra)| match *extra {
                Hold::NONE => None,
                _ => books.entry(EntryKind::Hold, *account_id),
            })
            .collect();
        let marked = sqlx::query_file_scalar!(
            "queries/delivery/mark.sql",
            &self.ids,
            &self.attempts,
            &self.segments,
            &self.epochs,
            &extra_segments,
            &extra_micros,
            &entries as &[Option<i64>],
            &self.routes as &[Option<i64>],
            batch.worker.0,
            batch.batch_id,
            now,
        )
        .fetch_all(conn)
        .await?;
        Ok(marked.into_iter().collect())
    }
}
