//! Mark: the point of no return. One transaction for everything that waits.

use std::sync::Arc;

use dripline_domain::delivery::Reason;
use dripline_domain::money::Micros;
use dripline_domain::workflow::SurplusPolicy;
use dripline_store::delivery::DueDelivery;
use dripline_store::ops::{
    self, GiveUp, GivenReference, StaleReason, Start, StartRequest, WaitsFor,
};
use uuid::Uuid;

use super::Outcome;
use super::divide::{Undone, divide};
use super::routes::ReadyRoute;
use crate::batch::Batcher;
use crate::environment::Environment;

/// What is to be marked, and under what the carrier will know it.
type Marking = (StartRequest, Option<GivenReference>);

/// The stage.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    batcher: Batcher<Marking, Result<Start, Undone>>,
}

impl Mark {
    pub(super) fn start(environment: &Arc<Environment>) -> Self {
        let limits = environment.batches.database;
        let environment = environment.clone();
        let batcher = Batcher::spawn("mark", limits, move |batch| {
            let environment = environment.clone();
            async move { mark(&environment, batch).await }
        });
        Self { batcher }
    }

    /// Marks the delivery for the route and returns the number of the attempt, once its COMMIT is acknowledged.
    pub(super) async fn call(
        &self,
        delivery: &DueDelivery,
        route: &ReadyRoute,
        segments: u32,
        given: Option<GivenReference>,
    ) -> Result<u32, Outcome> {
        let attempt = delivery.attempt + 1;
        let DueDelivery { delivery_id, .. } = *delivery;
        let route_id = Some(route.route_id);
        let request = StartRequest { delivery_id, attempt, segments, route_id };
        match self.batcher.call((request, given)).await {
            Ok(Ok(Start::Started { .. })) => Ok(attempt),
            Ok(Ok(Start::Stale(reason))) => Err(stale(delivery, reason)),
            Ok(Ok(Start::OverHold { needed_segments, held_segments, policy, available })) => {
                let over = OverHold { needed_segments, held_segments, policy, available };
                Err(Outcome::given_up(delivery, GiveUp::Refused(over.reason())))
            }
            Ok(Ok(Start::Throttled { until })) => {
                Err(Outcome::waits(delivery, until, WaitsFor::Turn))
            }
            Ok(Err(Undone)) | Err(_) => Err(Outcome::Interrupted),
        }
    }
}

/// What to do about a delivery that may not be marked. The transaction that gives it up looks for
/// itself once more, so that nothing here decides about money.
fn stale(delivery: &DueDelivery, reason: StaleReason) -> Outcome {
    tracing::debug!(delivery.id = %delivery.delivery_id, ?reason, "not marked");
    match reason {
        StaleReason::NotQueued | StaleReason::Superseded | StaleReason::NotDue => Outcome::Stale,
        StaleReason::WorkflowClosed | StaleReason::OptedOut | StaleReason::SaidSent => {
            Outcome::given_up(delivery, GiveUp::Closed)
        }
        StaleReason::Expired => Outcome::given_up(delivery, GiveUp::Expired),
        // It is looked at again, with its routes as they are now.
        StaleReason::RoutePaused | StaleReason::RouteChanged => Outcome::Released,
    }
}

struct OverHold {
    needed_segments: u32,
    held_segments: u32,
    policy: SurplusPolicy,
    available: Micros,
}

impl OverHold {
    fn reason(&self) -> Reason {
        let Self { needed_segments, held_segments, .. } = self;
        let lengths =
            format!("the text has {needed_segments} segments and {held_segments} were held for it");
        match self.policy {
            SurplusPolicy::Fail => {
                let text = format!("{lengths}; the workflow's surplus policy is to fail");
                Reason::new("over_hold", text)
            }
            SurplusPolicy::Charge => {
                let text = format!("{lengths}; the balance of {} is too small", self.available);
                Reason::new("over_balance", text)
            }
        }
    }
}

/// Marks the batch. A COMMIT whose answer was lost is asked again under the same batch id, and then
/// tells what that batch had marked.
async fn mark(environment: &Environment, batch: Vec<Marking>) -> Vec<Result<Start, Undone>> {
    let transaction = |batch: Vec<Marking>| async move {
        let batch_id = Uuid::now_v7();
        let (batch, given): (Vec<StartRequest>, Vec<_>) = batch.into_iter().unzip();
        environment
            .outage
            .outlast("op.start_attempts", || {
                ops::start_referenced_attempts(
                    &environment.pool,
                    &*environment.clock,
                    environment.worker_id,
                    batch_id,
                    &batch,
                    &given,
                )
            })
            .await
    };
    let attempts: Vec<_> = batch.iter().map(|(mark, _)| (mark.delivery_id, mark.attempt)).collect();
    let answers = divide("op.start_attempts", batch, &transaction).await;
    let started = attempts.into_iter().zip(&answers);
    let started = started.filter(|(_, answer)| matches!(answer, Ok(Start::Started { .. })));
    environment.journal.start(started.map(|(attempt, _)| attempt)).await;
    answers
}
