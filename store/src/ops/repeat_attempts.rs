//! The mark of a repetition: the same request under the same key, for a message of which nobody knows
//! whether the carrier took it. The carrier keeps the key, so that it cannot take it twice.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::{DeliveryId, WorkerId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::given_reference::{GivenKey, GivenReference, References};
use super::situation;
use super::start_attempts::{self, Found};
use super::turns::{self, Line, Wish};
use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::{Pool, StoreError};

/// How long before its end a key is not relied upon any more: the request must still arrive.
const KEY_MARGIN: TimeDelta = TimeDelta::seconds(60);

/// A request that may have been made, ready to be made again.
#[derive(Clone, Debug)]
pub struct RepeatRequest {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// The delivery's attempt as it was read, which is unknown.
    pub attempt: u32,
    /// The segments of its text.
    pub segments: u32,
    /// Under what the carrier knows it.
    pub reference: GivenReference,
}

/// Whether a request may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is marked, as the attempt after the unknown one, and must be made now.
    Started,
    /// It must not be made.
    Stale(StaleRepeat),
}

/// Why a request must not be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleRepeat {
    /// Its delivery is not unknown at that attempt any more.
    NotUnknown,
    /// Somebody says that its message was sent before.
    SaidSent,
    /// Its workflow was paused or deleted, or its enrollment has ended: nothing may leave any more.
    WorkflowClosed,
    /// Its contact wants to hear nothing more.
    OptedOut,
    /// It is too late for the message.
    Expired,
    /// Its route is paused.
    RoutePaused,
    /// Its sender has sent what it may for now.
    Throttled,
    /// The carrier has no key of it, or keeps it no longer.
    NoKey,
    /// It is not the request that was made, or goes over a route that has changed.
    OtherRequest,
}

/// Marks a batch of repetitions in one transaction. Gives the answers in the order of the requests. Only
/// what is [`Repeat::Started`] may leave, and only after this has returned.
///
/// Running the batch again with the same `batch_id`, after its COMMIT got no answer, answers `Started`
/// for what it had marked. Of several that want to repeat the same attempt, one does.
pub async fn repeat_attempts(
    pool: &Pool,
    clock: &dyn Clock,
    worker: WorkerId,
    batch_id: Uuid,
    requests: &[RepeatRequest],
) -> Result<Vec<Repeat>, StoreError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let batch = Batch { worker, batch_id, requests };
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, &batch).await {
            Ok(repeats) => return Ok(repeats),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

struct Batch<'a> {
    worker: WorkerId,
    batch_id: Uuid,
    requests: &'a [RepeatRequest],
}

async fn run(pool: &Pool, clock: &dyn Clock, batch: &Batch<'_>) -> Result<Vec<Repeat>, StoreError> {
    let ids: Vec<i64> = batch.requests.iter().map(|request| request.delivery_id.0).collect();
    let mut tx = pool.begin().await?;
    situation::lock_workflows(&mut tx, &ids).await?;
    start_attempts::lock_contacts(&mut tx, &ids).await?;
    let routes: Vec<_> =
        batch.requests.iter().map(|request| Some(request.reference.route_id)).collect();
    let mut found = start_attempts::read(&mut tx, &ids, &routes).await?;
    let marked_before = marked_before(&mut tx, batch).await?;
    let keys = read_keys(&mut tx, batch.requests).await?;
    let now = clock.now();
    let mut ready = Vec::with_capacity(batch.requests.len());
    let mut repeats = Vec::with_capacity(batch.requests.len());
    for (place, request) in batch.requests.iter().enumerate() {
        // Taken out, so that a request that comes twice in one batch is marked once.
        let delivery = found.remove(&request.delivery_id);
        let Some(delivery) = delivery else {
            repeats.push(Repeat::Stale(StaleRepeat::NotUnknown));
            continue;
        };
        let key = keys.get(&request.delivery_id);
        repeats.push(if marked_before.contains(&request.delivery_id) {
            Repeat::Started
        } else if let Some(reason) = stale(&delivery, request, key, now) {
            Repeat::Stale(reason)
        } else {
            ready.push((place, delivery));
            Repeat::Started
        });
    }
    let wishes: Vec<Wish<'_>> = ready
        .iter()
        .filter_map(|(place, delivery)| {
            Wish::of(*place, batch.requests[*place].segments, delivery.throttled.as_ref())
        })
        .collect();
    // The next inquiry comes at a time of its own.
    let waiting = turns::take(&mut tx, &wishes, Line::Elsewhere, now).await?;
    let mut marks = Marks::default();
    for (place, delivery) in ready {
        if waiting.contains_key(&place) {
            repeats[place] = Repeat::Stale(StaleRepeat::Throttled);
        } else {
            marks.push(place, &batch.requests[place], &delivery);
        }
    }
    let marked = marks.write(&mut tx, batch, now).await?;
    for (place, id) in marks.places.iter().zip(&marks.ids) {
        if !marked.contains(id) {
            repeats[*place] = Repeat::Stale(StaleRepeat::NotUnknown);
        }
    }
    commit(tx, Commit::RepeatAttempts).await?;
    Ok(repeats)
}

fn stale(
    delivery: &Found,
    request: &RepeatRequest,
    key: Option<&Key>,
    now: DateTime<Utc>,
) -> Option<StaleRepeat> {
    let same_attempt = u32::try_from(delivery.attempt) == Ok(request.attempt);
    let kept = |key: &Key| key.expires_at.is_some_and(|end| now + KEY_MARGIN < end);
    // What is held was held for this very text, unless it is another one.
    let fits = u64::from(request.segments) <= delivery.held.segments;
    if delivery.state != DeliveryState::Unknown || !same_attempt {
        Some(StaleRepeat::NotUnknown)
    } else if delivery.said_sent {
        Some(StaleRepeat::SaidSent)
    } else if !delivery.open {
        Some(StaleRepeat::WorkflowClosed)
    } else if delivery.opted_out {
        Some(StaleRepeat::OptedOut)
    } else if delivery.expires_at.is_some_and(|expires_at| expires_at <= now) {
        Some(StaleRepeat::Expired)
    } else if delivery.route_id.is_none() {
        Some(StaleRepeat::OtherRequest)
    } else if delivery.route_paused {
        Some(StaleRepeat::RoutePaused)
    } else if !key.is_some_and(kept) {
        Some(StaleRepeat::NoKey)
    } else if !(key.is_some_and(|key| key.same) && fits) {
        Some(StaleRepeat::OtherRequest)
    } else {
        None
    }
}

struct Key {
    expires_at: Option<DateTime<Utc>>,
    same: bool,
}

async fn read_keys(
    conn: &mut PgConnection,
    requests: &[RepeatRequest],
) -> Result<HashMap<DeliveryId, Key>, StoreError> {
    let mut columns = KeyColumns::default();
    for RepeatRequest { delivery_id, reference, .. } in requests {
        let Some(GivenKey { request_digest, .. }) = &reference.key else { continue };
        columns.deliveries.push(delivery_id.0);
        columns.digests.push(request_digest);
        columns.references.push(&reference.reference);
        columns.routes.push(reference.route_id.0);
        columns.revisions.push(reference.route_revision);
    }
    let rows = sqlx::query_file!(
        "queries/delivery/keys.sql",
        &columns.deliveries,
        &columns.digests as &[&str],
        &columns.references as &[&str],
        &columns.routes,
        &columns.revisions,
    )
    .fetch_all(conn)
    .await?;
    let keys = rows.into_iter().map(|row| {
        let key = Key { expires_at: row.key_expires_at, same: row.same };
        (DeliveryId(row.delivery_id), key)
    });
    Ok(keys.collect())
}

#[derive(Default)]
struct KeyColumns<'a> {
    deliveries: Vec<i64>,
    digests: Vec<&'a str>,
    references: Vec<&'a str>,
    routes: Vec<i64>,
    revisions: Vec<i64>,
}

/// The deliveries that this very batch has marked, when its COMMIT got no answer and it runs again.
async fn marked_before(
    conn: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<HashSet<DeliveryId>, StoreError> {
    let after = |attempt: u32| i32::try_from(attempt).unwrap_or(i32::MAX - 1) + 1;
    let ids: Vec<i64> = batch.requests.iter().map(|request| request.delivery_id.0).collect();
    let attempts: Vec<i32> = batch.requests.iter().map(|request| after(request.attempt)).collect();
    let marked = sqlx::query_scalar!(
        r#"SELECT a.delivery_id FROM attempts a
           JOIN unnest($1::BIGINT[], $2::INTEGER[]) AS q (delivery_id, attempt)
             USING (delivery_id, attempt)
           JOIN deliveries d USING (delivery_id, attempt)
           WHERE a.batch_id = $3 AND a.worker_id = $4 AND d.state = 'sending'"#,
        &ids,
        &attempts,
        batch.batch_id,
        batch.worker.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(marked.into_iter().map(DeliveryId).collect())
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
    routes: Vec<i64>,
}

impl Marks {
    fn push(&mut self, place: usize, request: &RepeatRequest, found: &Found) {
        self.places.push(place);
        self.ids.push(request.delivery_id.0);
        self.attempts.push(found.attempt);
        self.segments.push(i32::try_from(request.segments).unwrap_or(i32::MAX));
        self.epochs.push(found.epoch);
        self.routes.push(request.reference.route_id.0);
    }

    async fn write(
        &self,
        conn: &mut PgConnection,
        batch: &Batch<'_>,
        now: DateTime<Utc>,
    ) -> Result<HashSet<i64>, StoreError> {
        if self.ids.is_empty() {
            return Ok(HashSet::new());
        }
        let marked = sqlx::query_file_scalar!(
            "queries/delivery/repeat.sql",
            &self.ids,
            &self.attempts,
            &self.segments,
            &self.epochs,
            &self.routes,
            batch.worker.0,
            batch.batch_id,
            now,
        )
        .fetch_all(&mut *conn)
        .await?;
        let marked: HashSet<i64> = marked.into_iter().collect();
        let mut references = References::default();
        for ((place, id), attempt) in self.places.iter().zip(&self.ids).zip(&self.attempts) {
            references.push(*id, attempt + 1, &batch.requests[*place].reference);
        }
        references.write(conn, |id| marked.contains(&id), now).await?;
        Ok(marked)
    }
}
