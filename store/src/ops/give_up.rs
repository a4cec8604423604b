//! Ends or postpones deliveries before their hand-over: too late, impossible, or not now.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{DeliveryId, WorkerId};
use dripline_domain::retry::RetryPolicy;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::Books;
use super::finish_attempts::{Finished, finished, worker_actor};
use super::settle::Changes;
use super::situation::{self, Situation, Timings};
use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::{Pool, StoreError};

/// A delivery that will not be handed over now.
#[derive(Clone, Debug)]
pub struct GiveUpRequest {
    /// Which.
    pub delivery_id: DeliveryId,
    /// Its attempt as it was loaded: the number of hand-overs so far.
    pub attempt: u32,
    /// Why.
    pub cause: GiveUp,
}

/// Why a delivery will not be handed over now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// Its time has passed: released, and its enrollment ends.
    Expired,
    /// It can never be sent: released, and its enrollment ends.
    Refused(Reason),
    /// It could not be prepared now: counts as an attempt that was not sent, and comes back later.
    Retry(Reason),
    /// Its workflow was closed, its enrollment ended, its contact opted out, or somebody says that it was
    /// sent. Nothing happens when none of these is so.
    Closed,
}

/// Gives up a batch of queued deliveries in one transaction. One whose message was sent before, as somebody
/// says, ends by that, whatever the cause. Gives the answers in the order of the requests;
/// [`Finished::AlreadyDone`] for those that are not queued at that attempt any more.
/// Running the batch again with the same `batch_id` changes nothing.
pub async fn give_up(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    worker: WorkerId,
    batch_id: Uuid,
    requests: &[GiveUpRequest],
) -> Result<Vec<Finished>, StoreError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, policy, worker, batch_id, requests).await {
            Ok(done) => return Ok(done),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    worker: WorkerId,
    batch_id: Uuid,
    requests: &[GiveUpRequest],
) -> Result<Vec<Finished>, StoreError> {
    let ids: Vec<i64> = requests.iter().map(|request| request.delivery_id.0).collect();
    let mut tx = pool.begin().await?;
    let workflows = situation::lock_workflows(&mut tx, &ids).await?;
    let mut situations = situation::read(&mut tx, &ids).await?;
    let timings = if situations.values().any(|situation| situation.said_sent.is_some()) {
        situation::read_timings(&mut tx, &workflows).await?
    } else {
        HashMap::new()
    };
    let now = clock.now();
    let mut changes = Changes::default();
    let mut counted = Counted::default();
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let situation = situations.remove(&request.delivery_id);
        answers.push(match situation {
            Some(situation) => match sent_before(&situation, request, &timings, now, &mut changes)?
            {
                Some(sent) => sent,
                None => decide(&situation, request, policy, now, &mut changes, &mut counted),
            },
            None => Finished::AlreadyDone,
        });
    }
    let actor = worker_actor(worker);
    let mut books = Books::new(batch_id, &actor, now);
    // First, since it takes no lock that others wait for longer than for their own deliveries.
    counted.insert(&mut tx, worker, batch_id, now).await?;
    changes.write(&mut tx, &mut books, &actor, now).await?;
    commit(tx, Commit::GiveUp).await?;
    Ok(answers)
}

/// Settles a delivery whose message was sent before, as somebody says.
fn sent_before(
    situation: &Situation,
    request: &GiveUpRequest,
    timings: &Timings,
    now: DateTime<Utc>,
    changes: &mut Changes,
) -> Result<Option<Finished>, StoreError> {
    let Some(said) = situation.said_sent.as_ref().filter(|_| is_waiting(situation, request)) else {
        return Ok(None);
    };
    let to = situation.need_not_be_sent(said, changes, timings, now)?;
    let finished = finished(&to);
    let reason = (finished != Finished::Sent).then(|| {
        Reason::new("said_sent", "the failed message that this takes up again was sent, as is said")
    });
    changes.deliveries.push(situation.change(to, reason));
    Ok(Some(finished))
}

/// Whether it is still queued as it was loaded.
fn is_waiting(situation: &Situation, request: &GiveUpRequest) -> bool {
    let same_attempt = u32::try_from(situation.attempt) == Ok(request.attempt);
    same_attempt && situation.state == DeliveryState::Queued
}

fn decide(
    situation: &Situation,
    request: &GiveUpRequest,
    policy: &RetryPolicy,
    now: DateTime<Utc>,
    changes: &mut Changes,
    counted: &mut Counted,
) -> Finished {
    if !is_waiting(situation, request) {
        return Finished::AlreadyDone;
    }
    let mut attempt_after = situation.attempt;
    let mut reason = None;
    let to = match (situation.revoked(changes), &request.cause) {
        (Some(revoked), _) => revoked,
        (None, GiveUp::Closed) => return Finished::AlreadyDone,
        (None, GiveUp::Expired) => {
            changes.enrollments.push(situation.exit(ExitCause::Expired));
            situation.unsent(DeliveryState::Expired)
        }
        (None, GiveUp::Refused(why)) => {
            reason = Some(why.clone());
            changes.enrollments.push(situation.exit(ExitCause::Failed));
            situation.unsent(DeliveryState::Failed)
        }
        (None, GiveUp::Retry(why)) => {
            reason = Some(why.clone());
            attempt_after += 1;
            counted.push(situation, attempt_after, why);
            situation.try_again(changes, policy, attempt_after, None, now)
        }
    };
    let finished = finished(&to);
    let mut change = situation.change(to, reason);
    change.attempt_after = attempt_after;
    changes.deliveries.push(change);
    finished
}

/// Attempts that ended before there was anything to hand over.
#[derive(Default)]
struct Counted {
    deliveries: Vec<i64>,
    attempts: Vec<i32>,
    workflows: Vec<i64>,
    epochs: Vec<i64>,
    codes: Vec<String>,
    texts: Vec<String>,
}

impl Counted {
    fn push(&mut self, situation: &Situation, attempt: i32, why: &Reason) {
        self.deliveries.push(situation.delivery_id.0);
        self.attempts.push(attempt);
        self.workflows.push(situation.owner.workflow_id.0);
        self.epochs.push(situation.epoch);
        self.codes.push(why.code.clone());
        self.texts.push(why.text.clone());
    }

    async fn insert(
        &self,
        conn: &mut PgConnection,
        worker: WorkerId,
        batch_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if self.deliveries.is_empty() {
            return Ok(());
        }
        let inserted = sqlx::query!(
            "INSERT INTO attempts (delivery_id, attempt, workflow_id, epoch, reason_code, reason_text,
                                   worker_id, batch_id, segments, started_at, finished_at, outcome)
             SELECT q.*, $7::BIGINT, $8::UUID, 0, $9::TIMESTAMPTZ, $9::TIMESTAMPTZ, 'not_sent'
             FROM unnest($1::BIGINT[], $2::INTEGER[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[],
                         $6::TEXT[]) AS q
             ON CONFLICT DO NOTHING",
            &self.deliveries,
            &self.attempts,
            &self.workflows,
            &self.epochs,
            &self.codes,
            &self.texts,
            worker.0,
            batch_id,
            now,
        )
        .execute(conn)
        .await?;
        // Another worker has just made the same attempt of one of them.
        if inserted.rows_affected() == self.deliveries.len() as u64 {
            Ok(())
        } else {
            Err(StoreError::Raced)
        }
    }
}
