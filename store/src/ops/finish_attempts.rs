//! Settles hand-overs: takes or gives back their money, and sends their enrollments on or ends them.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::delivery::{AttemptOutcome, DeliveryState};
use dripline_domain::enrollment::ExitCause;
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::{ContactId, DeliveryId, WorkerId};
use dripline_domain::retry::RetryPolicy;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::Books;
use super::hearing::{Hearing, Said};
use super::settle::{Changes, DeliveryTo};
use super::situation::{self, Situation, Timings};
use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::{Pool, StoreError};

/// What became of one hand-over.
#[derive(Clone, Debug)]
pub struct FinishRequest {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// Which hand-over.
    pub attempt: u32,
    /// What happened.
    pub outcome: AttemptOutcome,
}

/// What a settled or given-up delivery became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Captured; its enrollment has gone on or is finished.
    Sent,
    /// Back in the queue.
    Requeued {
        /// When it is due again.
        due_at: DateTime<Utc>,
    },
    /// Released, and its enrollment has ended.
    Failed,
    /// Released since its time had passed, and its enrollment has ended.
    Expired,
    /// Its money stays held until somebody knows.
    Unknown,
    /// Released, since its workflow was closed, its enrollment ended or its contact opted out.
    Cancelled,
    /// It was settled before, or by somebody else; nothing changed now.
    AlreadyDone,
}

/// Settles a batch of hand-overs in one transaction, with one entry per account and kind. Gives the
/// answers in the order of the requests.
///
/// Every hand-over is settled once: running the batch again with the same `batch_id`, after its COMMIT
/// got no answer, changes nothing and answers [`Finished::AlreadyDone`] for what it had settled. An
/// unknown outcome can be settled later, by evidence ([`super::resolve_unknown()`]) or by another call. An
/// outcome that comes after the decision moves nothing, and is recorded as evidence when it contradicts that; but
/// what was sent after all, and waits to be sent once more, is settled as sent.
///
/// A carrier that says the contact has opted out ([`dripline_domain::delivery::Reason::is_stop`]) ends
/// all of the contact's enrollments, in transactions of their own after this one.
pub async fn finish_attempts(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    worker: WorkerId,
    batch_id: Uuid,
    requests: &[FinishRequest],
) -> Result<Vec<Finished>, StoreError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let actor = worker_actor(worker);
    let mut retries = Retries::default();
    let (finished, stopped) = loop {
        match run(pool, clock, policy, &actor, batch_id, requests).await {
            Ok(done) => break done,
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    };
    for contact_id in stopped {
        super::opt_out::leave_all(pool, clock, contact_id, &actor).await?;
    }
    Ok(finished)
}

/// How a worker signs what it does.
pub(super) fn worker_actor(worker: WorkerId) -> String {
    format!("worker {worker}")
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    actor: &str,
    batch_id: Uuid,
    requests: &[FinishRequest],
) -> Result<(Vec<Finished>, BTreeSet<ContactId>), StoreError> {
    let ids: Vec<i64> = requests.iter().map(|request| request.delivery_id.0).collect();
    let mut tx = pool.begin().await?;
    let workflows = situation::lock_workflows(&mut tx, &ids).await?;
    let stopped = mark_stopped(&mut tx, requests).await?;
    let mut situations = situation::read(&mut tx, &ids).await?;
    let goes_on = requests.iter().any(|request| {
        situations.get(&request.delivery_id).is_some_and(|s| {
            let accepted = matches!(request.outcome, AttemptOutcome::Accepted { .. });
            (accepted || s.said_sent.is_some()) && s.live() && s.next.is_some()
        })
    });
    let timings =
        if goes_on { situation::read_timings(&mut tx, &workflows).await? } else { HashMap::new() };
    let now = clock.now();
    let mut changes = Changes::default();
    let mut finished = Vec::with_capacity(requests.len());
    for request in requests {
        // Taken out, so that a request that comes twice in one batch is settled once.
        let situation = situations.remove(&request.delivery_id);
        finished.push(match situation {
            Some(situation) => decide(&situation, request, policy, &timings, now, &mut changes)?,
            None => Finished::AlreadyDone,
        });
    }
    let mut books = Books::new(batch_id, actor, now);
    let hearing = Hearing { batch_id, actor, now };
    let late = late(requests, &finished);
    hearing.note_late(&mut tx, &workflows, &late, &mut changes).await?;
    changes.write(&mut tx, &mut books, actor, now).await?;
    commit(tx, Commit::FinishAttempts).await?;
    Ok((finished, stopped))
}

/// What came too late to decide anything, as evidence: it may contradict what was decided instead.
fn late<'a>(requests: &'a [FinishRequest], finished: &[Finished]) -> Vec<Said<'a>> {
    let late = requests.iter().zip(finished);
    let late = late.filter(|(_, finished)| **finished == Finished::AlreadyDone);
    let said = late.filter_map(|(request, _)| {
        let (finding, carrier_reference) = match &request.outcome {
            AttemptOutcome::Accepted { carrier_reference } => {
                (Finding::Sent, carrier_reference.as_deref())
            }
            AttemptOutcome::Refused(_) | AttemptOutcome::NotSent { .. } => (Finding::NotSent, None),
            AttemptOutcome::Unknown(_) => return None,
        };
        Some(Said {
            delivery_id: request.delivery_id,
            attempt: Some(request.attempt),
            evidence: Evidence::Worker(finding),
            carrier_reference,
            reason: request.outcome.reason().map(ToString::to_string),
        })
    });
    said.collect()
}

/// Notes on the contacts of stopped messages that they want to hear nothing more. Gives the contacts.
async fn mark_stopped(
    conn: &mut PgConnection,
    requests: &[FinishRequest],
) -> Result<BTreeSet<ContactId>, StoreError> {
    let stopped: Vec<i64> = requests
        .iter()
        .filter(|request| is_stop(&request.outcome))
        .map(|request| request.delivery_id.0)
        .collect();
    if stopped.is_empty() {
        return Ok(BTreeSet::new());
    }
    let contacts = sqlx::query_scalar!(
        "SELECT DISTINCT contact_id FROM deliveries WHERE delivery_id = ANY ($1)",
        &stopped,
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(super::opt_out::note(conn, &contacts).await?.into_iter().collect())
}

fn is_stop(outcome: &AttemptOutcome) -> bool {
    matches!(outcome, AttemptOutcome::Refused(reason) if reason.is_stop())
}

/// Decides one request. What it changes is added to `changes`.
fn decide(
    situation: &Situation,
    request: &FinishRequest,
    policy: &RetryPolicy,
    timings: &Timings,
    now: DateTime<Utc>,
    changes: &mut Changes,
) -> Result<Finished, StoreError> {
    let same_attempt = u32::try_from(situation.attempt) == Ok(request.attempt);
    let decides = same_attempt && situation.state.is_on_the_wire();
    if !decides && !is_late_acceptance(situation, request) {
        return Ok(Finished::AlreadyDone);
    }
    // Whatever a repetition met, the attempt that it repeats may have been taken.
    let inconclusive = request.outcome.reason().filter(|_| situation.repeats > 0);
    let outcome = match inconclusive {
        Some(reason) => &AttemptOutcome::Unknown(reason.clone()),
        None => &request.outcome,
    };
    let (to, finished) = match (outcome, &situation.said_sent) {
        (AttemptOutcome::Refused(_) | AttemptOutcome::NotSent { .. }, Some(said)) => {
            let to = situation.need_not_be_sent(said, changes, timings, now)?;
            let finished = finished(&to);
            (to, finished)
        }
        (AttemptOutcome::Accepted { carrier_reference }, _) => {
            let to = situation.sent(changes, timings, carrier_reference.clone(), now)?;
            (to, Finished::Sent)
        }
        (AttemptOutcome::Refused(reason), None) => {
            if situation.live() {
                let cause = if reason.is_stop() { ExitCause::OptedOut } else { ExitCause::Failed };
                changes.enrollments.push(situation.exit(cause));
            }
            (situation.unsent(DeliveryState::Failed), Finished::Failed)
        }
        (AttemptOutcome::NotSent { retry_after, .. }, None) => {
            let attempt = situation.attempt;
            let to = situation.try_again(changes, policy, attempt, *retry_after, now);
            let finished = finished(&to);
            (to, finished)
        }
        (AttemptOutcome::Unknown(_), _) if situation.state == DeliveryState::Unknown => {
            return Ok(Finished::Unknown);
        }
        (AttemptOutcome::Unknown(_), _) => (DeliveryTo::Unknown, Finished::Unknown),
    };
    let mut change = situation.change(to, request.outcome.reason().cloned());
    change.outcome = Some(outcome.as_str());
    changes.deliveries.push(change);
    Ok(finished)
}

/// Whether the carrier has taken an attempt that was repeated since, of a delivery of which nobody knows.
/// All of them were one request under one key, so that the carrier has the message. A journal tells so
/// when its worker died before it could, and its carrier was told again meanwhile. Anything else that is
/// heard of a repeated attempt says nothing about its repetitions.
fn is_late_acceptance(situation: &Situation, request: &FinishRequest) -> bool {
    let last = situation.attempt;
    let repeated = i32::try_from(request.attempt)
        .is_ok_and(|attempt| (last - situation.repeats..last).contains(&attempt));
    repeated
        && situation.state == DeliveryState::Unknown
        && matches!(request.outcome, AttemptOutcome::Accepted { .. })
}

/// How a change of a delivery that was not sent is reported.
pub(super) fn finished(to: &DeliveryTo) -> Finished {
    match to {
        DeliveryTo::Queued { due_at } => Finished::Requeued { due_at: *due_at },
        DeliveryTo::Unknown => Finished::Unknown,
        DeliveryTo::Settled { state, .. } => match state {
            DeliveryState::Sent => Finished::Sent,
            DeliveryState::Expired => Finished::Expired,
            DeliveryState::Cancelled => Finished::Cancelled,
            _ => Finished::Failed,
        },
    }
}
