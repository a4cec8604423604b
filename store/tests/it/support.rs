//! What several tests need: a stage to play on, and a small worker that plays by hand.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use dripline_domain::clock::ManualClock;
use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use dripline_domain::ids::{AccountId, ContactId, DeliveryId, RouteId, WorkerId, WorkflowId};
use dripline_domain::ledger::Balance;
use dripline_domain::money::Micros;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{
    FinishRequest, Finished, Start, StartRequest, finish_attempts, start_attempts,
};
use dripline_store::route::{self, RouteDraft};
use dripline_store::testing::TestDatabase;
use dripline_store::worker_registry::{self, Registration};
use dripline_store::{Pool, account, audit, delivery, queue};
use uuid::Uuid;

/// A database, a clock that stands still, and a registered worker.
pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) clock: ManualClock,
    pub(crate) worker: Registration,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::new().await;
        let clock = ManualClock::new(noon());
        let worker = worker_registry::register(database.pool(), &clock, "worker-1").await.unwrap();
        Self { database, clock, worker }
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.database.pool()
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.worker.worker_id
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// Claims everything that is due, reads it and gives it with its tickets.
    pub(crate) async fn claim_due(&self) -> (Vec<String>, Vec<delivery::DueDelivery>) {
        let claimed = queue::claim(self.pool(), &self.clock, &self.worker.name, 10_000).await;
        let claimed = claimed.unwrap();
        let ids: Vec<DeliveryId> =
            claimed.iter().map(|ticket| queue::read_payload(&ticket.payload).unwrap()).collect();
        let mut due = delivery::load_due(self.pool(), &ids).await.unwrap();
        due.sort_by_key(|due| due.delivery_id);
        (claimed.into_iter().map(|ticket| ticket.ticket_id).collect(), due)
    }

    pub(crate) async fn acknowledge(&self, tickets: &[String]) -> u64 {
        queue::acknowledge(self.pool(), &self.worker.name, tickets).await.unwrap()
    }

    pub(crate) async fn start(&self, requests: &[StartRequest]) -> Vec<Start> {
        self.start_as(Uuid::new_v4(), requests).await
    }

    pub(crate) async fn start_as(&self, batch_id: Uuid, requests: &[StartRequest]) -> Vec<Start> {
        start_attempts(self.pool(), &self.clock, self.id(), batch_id, requests).await.unwrap()
    }

    pub(crate) async fn finish(&self, requests: &[FinishRequest]) -> Vec<Finished> {
        self.finish_as(Uuid::new_v4(), requests).await
    }

    pub(crate) async fn finish_as(
        &self,
        batch_id: Uuid,
        requests: &[FinishRequest],
    ) -> Vec<Finished> {
        let policy = policy();
        finish_attempts(self.pool(), &self.clock, &policy, self.id(), batch_id, requests)
            .await
            .unwrap()
    }

    /// Claims, marks, settles and acknowledges everything that is due, with one outcome.
    pub(crate) async fn send_due(&self, outcome: &AttemptOutcome) -> Vec<Finished> {
        let (tickets, due) = self.claim_due().await;
        let starts = requests(&due, 1);
        for start in self.start(&starts).await {
            assert!(matches!(start, Start::Started { .. }), "{start:?}");
        }
        let finished = self.finish(&outcomes(&starts, outcome)).await;
        self.acknowledge(&tickets).await;
        finished
    }

    pub(crate) async fn balance(&self, account_id: AccountId) -> Balance {
        account::balance(self.pool(), account_id).await.unwrap().unwrap()
    }

    /// Every invariant holds.
    pub(crate) async fn assert_sound(&self) {
        for result in audit::run(self.pool(), &self.clock).await.unwrap() {
            assert!(result.holds(), "{result:?}");
        }
    }

    pub(crate) async fn states(&self, workflow_id: WorkflowId) -> Vec<DeliveryState> {
        let states: Vec<String> = sqlx::query_scalar(
            "SELECT state FROM deliveries WHERE workflow_id = $1 ORDER BY delivery_id",
        )
        .bind(workflow_id.0)
        .fetch_all(self.pool())
        .await
        .unwrap();
        states.iter().map(|state| state.parse().unwrap()).collect()
    }

    /// Exit causes of the contact's enrollments, oldest first; `None` for a live one.
    pub(crate) async fn exits(&self, contact_id: ContactId) -> Vec<Option<String>> {
        sqlx::query_scalar(
            "SELECT exit_cause FROM enrollments WHERE contact_id = $1 ORDER BY enrollment_id",
        )
        .bind(contact_id.0)
        .fetch_all(self.pool())
        .await
        .unwrap()
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.unwrap()
    }
}

/// The route as it is, to be changed.
pub(crate) async fn route_draft(pool: &Pool, route_id: RouteId) -> RouteDraft {
    let route = route::load(pool, route_id).await.unwrap().unwrap();
    RouteDraft {
        name: route.name,
        carrier: route.carrier,
        senders: route.senders,
        price_per_segment: route.price_micros_per_segment,
        failover: route.failover,
        ..RouteDraft::default()
    }
}

pub(crate) fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 12, 0, 0).unwrap()
}

/// How long a delivery may be due before its ticket is looked for.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

pub(crate) fn policy() -> RetryPolicy {
    RetryPolicy { max_attempts: 3, ..RetryPolicy::default() }
}

pub(crate) fn requests(due: &[delivery::DueDelivery], segments: u32) -> Vec<StartRequest> {
    due.iter()
        .map(|due| StartRequest {
            delivery_id: due.delivery_id,
            attempt: due.attempt + 1,
            segments,
            route_id: Some(due.route.route_id),
        })
        .collect()
}

pub(crate) fn outcomes(starts: &[StartRequest], outcome: &AttemptOutcome) -> Vec<FinishRequest> {
    starts
        .iter()
        .map(|start| FinishRequest {
            delivery_id: start.delivery_id,
            attempt: start.attempt,
            outcome: outcome.clone(),
        })
        .collect()
}

pub(crate) fn accepted() -> AttemptOutcome {
    AttemptOutcome::Accepted { carrier_reference: Some("SM1".to_owned()) }
}

pub(crate) fn refused() -> AttemptOutcome {
    AttemptOutcome::Refused(Reason::new("twilio:30006", "a landline"))
}

pub(crate) fn not_sent() -> AttemptOutcome {
    AttemptOutcome::NotSent { reason: Reason::new("connect", "refused"), retry_after: None }
}

pub(crate) fn unknown() -> AttemptOutcome {
    AttemptOutcome::Unknown(Reason::new("timeout", "no answer"))
}

pub(crate) fn balance(available: i64, held: i64, spent: i64) -> Balance {
    Balance { available: Micros(available), held: Micros(held), spent: Micros(spent) }
}
