//! Settle: what is known about an attempt becomes state and money.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use dripline_domain::delivery::AttemptOutcome;
use dripline_domain::ids::DeliveryId;
use dripline_store::ops::{self, FinishRequest, Finished, GiveUp, GiveUpRequest, PostponeRequest};
use uuid::Uuid;

use super::divide::{Undone, divide};
use crate::batch::Batcher;
use crate::environment::Environment;

/// The stage.
#[derive(Clone, Debug)]
pub(super) struct Settle {
    environment: Arc<Environment>,
    finish: Batcher<FinishRequest, Result<Finished, Undone>>,
    give_up: Batcher<GiveUpRequest, Result<Finished, Undone>>,
    postpone: Batcher<PostponeRequest, Result<Option<DateTime<Utc>>, Undone>>,
}

impl Settle {
    pub(super) fn start(environment: &Arc<Environment>) -> Self {
        let limits = environment.batches.database;
        let (finishing, giving_up) = (environment.clone(), environment.clone());
        let postponing = environment.clone();
        Self {
            environment: environment.clone(),
            finish: Batcher::spawn("finish", limits, move |batch| {
                let environment = finishing.clone();
                async move { finish(&environment, batch).await }
            }),
            give_up: Batcher::spawn("give_up", limits, move |batch| {
                let environment = giving_up.clone();
                async move { give_up(&environment, batch).await }
            }),
            postpone: Batcher::spawn("postpone", limits, move |batch| {
                let environment = postponing.clone();
                async move { postpone(&environment, batch).await }
            }),
        }
    }

    /// Records the outcome of a marked attempt, however long the database takes to answer: nobody
    /// else knows it. First in the journal, which answers at once and outlives this process.
    pub(super) async fn finish(&self, id: DeliveryId, attempt: u32, outcome: AttemptOutcome) {
        let name = outcome.as_str();
        let reason = outcome.reason().cloned();
        self.environment.journal.end(id, attempt, &outcome).await;
        let request = FinishRequest { delivery_id: id, attempt, outcome };
        let finished = self.finish.call(request).await;
        let reason = reason.as_ref().map(tracing::field::display);
        match finished {
            Ok(Ok(Finished::Sent)) => {
                tracing::debug!(delivery.id = %id, attempt, "delivery accepted by carrier");
            }
            Ok(Ok(Finished::Unknown)) => {
                tracing::warn!(delivery.id = %id, attempt, reason, "delivery may have been sent");
            }
            Ok(Ok(Finished::Failed)) => {
                tracing::warn!(delivery.id = %id, attempt, reason, "delivery failed");
            }
            Ok(Ok(finished)) => {
                tracing::debug!(delivery.id = %id, attempt, reason, ?finished, "attempt settled");
            }
            Ok(Err(Undone)) | Err(_) => {
                // It stays `sending` in our name. When we are gone, whoever finds our journal settles
                // it; without the journal, a sweep makes it `unknown`.
                tracing::error!(
                    delivery.id = %id, attempt, outcome = name,
                    "the outcome of an attempt was not recorded"
                );
            }
        }
    }

    /// Ends or postpones a delivery that was not handed over.
    pub(super) async fn give_up(&self, id: DeliveryId, attempt: u32, cause: GiveUp) {
        let reason = describe(&cause);
        let request = GiveUpRequest { delivery_id: id, attempt, cause };
        match self.give_up.call(request).await {
            Ok(Ok(Finished::AlreadyDone)) => {}
            Ok(Ok(Finished::Requeued { due_at })) => tracing::warn!(
                delivery.id = %id, reason, %due_at,
                "delivery could not be prepared and will be tried again"
            ),
            Ok(Ok(finished)) => tracing::info!(
                delivery.id = %id, reason, ?finished,
                "delivery ended before the wire"
            ),
            // It stays queued without a ticket; the sweep for missing tickets issues one.
            Ok(Err(Undone)) | Err(_) => {
                tracing::error!(delivery.id = %id, "giving a delivery up was not recorded");
            }
        }
    }

    /// Puts a delivery whose route is halted or paused to a later time. Not logged for each: the halt was.
    pub(super) async fn postpone(&self, request: PostponeRequest) {
        let id = request.delivery_id;
        match self.postpone.call(request).await {
            Ok(Ok(due_at)) => {
                let due_at = due_at.map(tracing::field::display);
                tracing::trace!(delivery.id = %id, due_at, "delivery waits for its route");
            }
            // It stays queued without a ticket; the sweep for missing tickets issues one.
            Ok(Err(Undone)) | Err(_) => {
                tracing::error!(delivery.id = %id, "postponing a delivery was not recorded");
            }
        }
    }
}

fn describe(cause: &GiveUp) -> String {
    match cause {
        GiveUp::Expired => "its time has passed".to_owned(),
        GiveUp::Closed => {
            "its workflow, enrollment or contact is closed, or it was sent before".to_owned()
        }
        GiveUp::Refused(reason) | GiveUp::Retry(reason) => reason.to_string(),
    }
}

async fn finish(
    environment: &Environment,
    batch: Vec<FinishRequest>,
) -> Vec<Result<Finished, Undone>> {
    let transaction = |batch: Vec<FinishRequest>| async move {
        let batch_id = Uuid::now_v7();
        environment
            .outage
            .outlast("op.finish_attempts", || {
                ops::finish_attempts(
                    &environment.pool,
                    &*environment.clock,
                    &environment.retry,
                    environment.worker_id,
                    batch_id,
                    &batch,
                )
            })
            .await
    };
    let attempts: Vec<_> = batch.iter().map(|end| (end.delivery_id, end.attempt)).collect();
    let answers = divide("op.finish_attempts", batch, &transaction).await;
    let settled = attempts.into_iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
    environment.journal.settled(settled.map(|(attempt, _)| attempt));
    answers
}

async fn give_up(
    environment: &Environment,
    batch: Vec<GiveUpRequest>,
) -> Vec<Result<Finished, Undone>> {
    let transaction = |batch: Vec<GiveUpRequest>| async move {
        let batch_id = Uuid::now_v7();
        environment
            .outage
            .outlast("op.give_up", || {
                ops::give_up(
                    &environment.pool,
                    &*environment.clock,
                    &environment.retry,
                    environment.worker_id,
                    batch_id,
                    &batch,
                )
            })
            .await
    };
    divide("op.give_up", batch, &transaction).await
}

async fn postpone(
    environment: &Environment,
    batch: Vec<PostponeRequest>,
) -> Vec<Result<Option<DateTime<Utc>>, Undone>> {
    let transaction = |batch: Vec<PostponeRequest>| async move {
        environment.outage.outlast("op.postpone", || ops::postpone(&environment.pool, &batch)).await
    };
    divide("op.postpone", batch, &transaction).await
}
