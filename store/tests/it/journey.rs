//! Moving messages along without a worker: what a handler would ask the store to do.

use std::time::Duration;

use dripline_domain::clock::Clock;
use dripline_domain::delivery::AttemptOutcome;
use dripline_domain::ids::{DeliveryId, RouteId, WorkerId, WorkflowId};
use dripline_domain::retry::RetryPolicy;
use dripline_store::Pool;
use dripline_store::ops::{
    FinishRequest, Finished, GivenKey, GivenReference, Start, StartRequest, finish_attempts,
    start_attempts, start_referenced_attempts,
};
use uuid::Uuid;

/// The worker that does it all.
pub(crate) const WORKER: WorkerId = WorkerId(1);

/// Three attempts, at once after each other.
pub(crate) const POLICY: RetryPolicy =
    RetryPolicy { max_attempts: 3, first: Duration::ZERO, ceiling: Duration::ZERO };

/// A message as far as its next hand-over needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) delivery_id: DeliveryId,
    pub(crate) attempt: u32,
    pub(crate) held_segments: u32,
}

/// What is queued of a workflow, oldest first.
pub(crate) async fn queued(pool: &Pool, workflow_id: WorkflowId) -> Vec<Waiting> {
    let rows: Vec<(i64, i32, i64)> = sqlx::query_as(
        "SELECT delivery_id, attempt, held_segments FROM deliveries
         WHERE workflow_id = $1 AND state = 'queued' ORDER BY delivery_id",
    )
    .bind(workflow_id.0)
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(delivery_id, attempt, held_segments)| Waiting {
            delivery_id: DeliveryId(delivery_id),
            attempt: attempt.try_into().unwrap(),
            held_segments: held_segments.try_into().unwrap(),
        })
        .collect()
}

/// Marks a message with a text of that many segments.
pub(crate) async fn start(
    pool: &Pool,
    clock: &dyn Clock,
    waiting: Waiting,
    segments: u32,
) -> Start {
    let request = StartRequest {
        delivery_id: waiting.delivery_id,
        attempt: waiting.attempt + 1,
        segments,
        route_id: None,
    };
    let starts = start_attempts(pool, clock, WORKER, Uuid::new_v4(), &[request]).await;
    starts.unwrap().pop().unwrap()
}

/// The same, over a carrier that keeps a key of it.
pub(crate) async fn start_keyed(
    pool: &Pool,
    clock: &dyn Clock,
    waiting: Waiting,
    segments: u32,
) -> Start {
    let request = StartRequest {
        delivery_id: waiting.delivery_id,
        attempt: waiting.attempt + 1,
        segments,
        route_id: None,
    };
    let key = [Some(given(waiting.delivery_id))];
    let starts =
        start_referenced_attempts(pool, clock, WORKER, Uuid::new_v4(), &[request], &key).await;
    starts.unwrap().pop().unwrap()
}

/// Under what the carrier knows a message, for hours.
pub(crate) fn given(delivery_id: DeliveryId) -> GivenReference {
    GivenReference {
        route_id: RouteId(1),
        route_revision: 1,
        carrier: "keyed-carrier".to_owned(),
        reference: format!("in5-{delivery_id}-0"),
        key: Some(GivenKey {
            lifetime: Duration::from_hours(3),
            request_digest: "same".to_owned(),
        }),
    }
}

/// Settles the hand-over that `start` marked.
pub(crate) async fn finish(
    pool: &Pool,
    clock: &dyn Clock,
    waiting: Waiting,
    outcome: AttemptOutcome,
) -> Finished {
    let request =
        FinishRequest { delivery_id: waiting.delivery_id, attempt: waiting.attempt + 1, outcome };
    let finished = finish_attempts(pool, clock, &POLICY, WORKER, Uuid::new_v4(), &[request]).await;
    finished.unwrap().pop().unwrap()
}

/// Marks and settles a message whose text has as many segments as are held.
pub(crate) async fn hand_over(
    pool: &Pool,
    clock: &dyn Clock,
    waiting: Waiting,
    outcome: AttemptOutcome,
) -> Finished {
    let started = start(pool, clock, waiting, waiting.held_segments).await;
    assert!(matches!(started, Start::Started { .. }), "{started:?}");
    finish(pool, clock, waiting, outcome).await
}
