//! A second route for what the first one cannot hand over, and for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::ContactId;
use dripline_domain::retry::RetryPolicy;
use dripline_domain::workflow::{StepDraft, SurplusPolicy};
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::ops::{Resolution, pause_route, resolve_unknown};
use dripline_store::route;
use dripline_store::route_halt;
use dripline_store::testing::factory::{
    Account, Contacts, Enrolment, ROUTE, Route, Workflow, step,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{PATIENCE, Scene, Simulator, Stage, Worker, WorkerCommand, pause, route_to};

const SECOND: &str = "second";

/// Who is written to.
struct Audience {
    scene: Scene,
    ids: Vec<ContactId>,
}

/// Two carriers, each behind a route of its own.
struct Two {
    /// The carrier of the first route is this one's.
    stage: Stage,
    second: Simulator,
    _home: TempDir,
}

impl Two {
    /// The first carrier misbehaves by this plan.
    async fn with_faults(plan: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let second = Simulator::start(home.path(), "");
        Self { stage: Stage::with_faults(plan).await, second, _home: home }
    }

    /// An account whose steps go over `first`, which fails over to `second`, with so many contacts.
    async fn account(&self, first: Route, second: Route, contacts: usize) -> Audience {
        let (pool, clock) = (&self.stage.pool, &SystemClock);
        let account_id = Account::default().create(pool, clock).await;
        let second = Route { name: Some(SECOND.to_owned()), ..second };
        second.create(pool, clock, account_id).await;
        let first = Route { failover: Some(SECOND.to_owned()), ..first };
        first.create(pool, clock, account_id).await;
        let ids = Contacts::many(contacts).create(pool, clock, account_id).await;
        Audience { scene: Scene { account_id, contacts: ids.len() as u64 }, ids }
    }

    /// Writes to all of them.
    async fn enrol(&self, audience: &Audience, steps: Vec<StepDraft>, segments: u32) {
        let (pool, clock) = (&self.stage.pool, &SystemClock);
        let enrolment = Enrolment {
            steps: Some(steps.len()),
            segments: Some(segments),
            ..Enrolment::default()
        };
        let workflow = Workflow {
            steps: Some(steps),
            surplus_policy: SurplusPolicy::Fail,
            ..Workflow::default()
        };
        let workflow_id = workflow.create(pool, clock, audience.scene.account_id).await;
        enrolment.create(pool, clock, workflow_id, &audience.ids).await;
    }

    /// Writes so many messages to so many contacts, over routes to the two carriers.
    async fn write(&self, steps: usize, contacts: usize) -> Audience {
        let first = route_to(&self.stage.carrier.origin());
        let audience = self.account(first, route_to(&self.second.origin()), contacts).await;
        self.enrol(&audience, vec![step(Duration::ZERO); steps], 1).await;
        audience
    }

    /// A worker whose breakers are quick to halt and to probe.
    fn worker(&self) -> WorkerCommand {
        self.stage
            .worker()
            .setting("WORKER__CONCURRENCY", &8)
            .setting("WORKER__BREAKER__FAILURES", &3)
            .setting("WORKER__BREAKER__COOL_DOWN_SECONDS", &1)
            .setting("WORKER__BREAKER__CEILING_SECONDS", &1)
    }

    async fn pause(&self, scene: &Scene, name: &str) {
        let pool = &self.stage.pool;
        let route = route::find(pool, scene.account_id, name).await.unwrap().unwrap();
        pause_route(pool, &SystemClock, route.route_id, None, "ann").await.unwrap();
    }

    /// How many attempts of each outcome went over a route.
    fn attempts(&self, route: &str, outcome: &str) -> i64 {
        self.stage.number(&format!(
            "SELECT count(*) FROM attempts JOIN routes USING (route_id)
             WHERE name = '{route}' AND outcome = '{outcome}'"
        ))
    }

    /// An operator says of everything that is unknown that it was not sent.
    async fn decide_not_sent(&self, scene: &Scene) {
        let pool = &self.stage.pool;
        let filter = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
        let all = deliveries::list(pool, scene.account_id, &filter).await.unwrap();
        let unknown = all.into_iter().filter(|one| one.state == DeliveryState::Unknown);
        let resolutions: Vec<_> = unknown
            .map(|one| Resolution {
                delivery_id: one.delivery_id,
                attempt: None,
                evidence: Evidence::Operator(Finding::NotSent),
                carrier_reference: None,
                reason: None,
            })
            .collect();
        let policy = RetryPolicy::default();
        resolve_unknown(pool, &SystemClock, &policy, "ann", Uuid::new_v4(), &resolutions)
            .await
            .unwrap();
    }

    async fn is_halted(&self, scene: &Scene) -> bool {
        !route_halt::current(&self.stage.pool, scene.account_id, None).await.unwrap().is_empty()
    }

    async fn wait_for_waiting(&self, code: &str, least: i64) {
        let query = format!(
            "SELECT count(*) FROM deliveries WHERE state = 'queued' AND reason_code = '{code}'"
        );
        let begun = Instant::now();
        while self.stage.number(&query) < least {
            assert!(begun.elapsed() < PATIENCE, "they do not wait: {code}");
            pause().await;
        }
    }

    async fn end(self, worker: Worker) {
        worker.stop().await;
        self.stage.assert_invariants_with(Some(&self.second)).await;
    }
}

fn accepted(carrier: &Simulator) -> usize {
    carrier.log().iter().filter(|entry| entry.accepted).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_has_not_sent_goes_over_the_second() {
    let two = Two::with_faults("[[rules]]\nfault = \"throttle\"\n").await;
    let Audience { scene, .. } = two.write(1, 40).await;
    let worker = two.worker().start();
    two.stage.wait_for(&scene, DeliveryState::Sent, 40).await;
    assert_eq!(accepted(&two.stage.carrier), 0);
    let reached: BTreeSet<String> = two.second.log().into_iter().map(|entry| entry.to).collect();
    assert_eq!((reached.len(), accepted(&two.second)), (40, 40), "everybody once");
    assert_eq!(two.attempts(SECOND, "accepted"), 40);
    assert!(two.attempts(ROUTE, "not_sent") >= 3, "the first was tried");
    assert_eq!(two.attempts(ROUTE, "accepted"), 0);
    // Whoever came when the first was halted lost no attempt to it.
    assert!(two.stage.number("SELECT count(*) FROM deliveries WHERE attempt = 1") > 0);
    assert_eq!(two.stage.number("SELECT max(attempt) FROM deliveries"), 2);
    two.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_first_is_down_everything_goes_over_the_second_until_it_is_back() {
    let mut two = Two::with_faults("").await;
    two.stage.carrier.stop();
    let audience = two.write(3, 20).await;
    let worker = two.worker().start();
    two.stage.wait_for(&audience.scene, DeliveryState::Sent, 60).await;
    assert_eq!(accepted(&two.second), 60);
    two.stage.carrier.start_again();
    // A message that wants to go over the halted route is its probe, once the cool-down is over.
    let begun = Instant::now();
    while two.is_halted(&audience.scene).await {
        assert!(begun.elapsed() < PATIENCE, "the first stays halted");
        two.enrol(&audience, vec![step(Duration::ZERO)], 1).await;
        two.stage.wait_until_quiet(&audience.scene).await;
        pause().await;
    }
    let before = accepted(&two.second);
    two.enrol(&audience, vec![step(Duration::ZERO)], 1).await;
    two.stage.wait_until_quiet(&audience.scene).await;
    assert_eq!(accepted(&two.second), before, "the first is back");
    two.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_sent_goes_over_no_other_route() {
    // Taken or not, nobody knows: whoever sent it over another route might send it twice.
    let plan = "[[rules]]\nattempts = 1\nfault = \"reset-before\"\n\
                [[rules]]\nattempts = 1\nfault = \"throttle\"\n";
    let two = Two::with_faults(plan).await;
    let Audience { scene, .. } = two.write(1, 2).await;
    let worker = two.worker().start();
    two.stage.wait_for(&scene, DeliveryState::Unknown, 2).await;
    assert_eq!(two.attempts(ROUTE, "unknown"), 2);
    // Not even when somebody decides that it was not sent, and it is not sent the next time either.
    two.decide_not_sent(&scene).await;
    two.stage.wait_for(&scene, DeliveryState::Sent, 2).await;
    assert_eq!(two.second.log(), []);
    assert_eq!(two.attempts(ROUTE, "accepted"), 2);
    assert_eq!(two.stage.number("SELECT min(attempt) FROM deliveries"), 3);
    two.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_cannot_be_used_hands_over_to_the_second() {
    let two = Two::with_faults("").await;
    let secrets = BTreeMap::from([("auth_token".to_owned(), "env:NOBODY_HAS_SET_THIS".to_owned())]);
    let first = Route { secrets, ..route_to(&two.stage.carrier.origin()) };
    let audience = two.account(first, route_to(&two.second.origin()), 2).await;
    two.enrol(&audience, vec![step(Duration::ZERO)], 1).await;
    // A message that comes back within a second would be the next probe, and the next.
    let worker = two.worker().setting("WORKER__BREAKER__CEILING_SECONDS", &60).start();
    two.stage.wait_for(&audience.scene, DeliveryState::Sent, 2).await;
    assert_eq!(accepted(&two.second), 2);
    assert_eq!(two.stage.number("SELECT max(attempt) FROM deliveries"), 1, "no attempt is lost");
    two.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_route_keeps_its_messages_and_a_paused_second_takes_none() {
    let mut two = Two::with_faults("").await;
    let waiting = two.write(1, 5).await;
    two.pause(&waiting.scene, ROUTE).await;
    let alone = two.write(1, 5).await;
    two.pause(&alone.scene, SECOND).await;
    two.stage.carrier.stop();
    let worker = two.worker().start();
    two.wait_for_waiting("route_paused", 5).await;
    two.wait_for_waiting("route_halted", 1).await;
    assert_eq!(two.second.log(), []);
    two.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_that_does_not_take_the_text_is_not_taken() {
    let mut two = Two::with_faults("").await;
    let second =
        Route { carrier: Some("brief-carrier".to_owned()), ..route_to(&two.second.origin()) };
    let first = route_to(&two.stage.carrier.origin());
    let audience = two.account(first, second, 10).await;
    let umbrella = StepDraft { template: "Take an ☂".to_owned(), ..step(Duration::ZERO) };
    two.enrol(&audience, vec![umbrella], 1).await;
    two.stage.carrier.stop();
    let worker = two.worker().start();
    two.wait_for_waiting("route_halted", 1).await;
    two.stage.carrier.start_again();
    two.stage.wait_for(&audience.scene, DeliveryState::Sent, 10).await;
    assert_eq!(two.second.log(), []);
    two.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_that_would_need_more_segments_is_not_taken() {
    let mut two = Two::with_faults("").await;
    // Telnyx cuts between code points and Twilio between graphemes: 33 flags fill two segments, or begin
    // a third.
    let origin = two.stage.carrier.origin();
    let first = Route {
        carrier: Some("telnyx".to_owned()),
        settings: BTreeMap::from([("api_base".to_owned(), origin.clone())]),
        secrets: BTreeMap::from([("api_key".to_owned(), "env:TEST_AUTH_TOKEN".to_owned())]),
        allowed_origins: vec![origin],
        ..Route::default()
    };
    let audience = two.account(first, route_to(&two.second.origin()), 10).await;
    let flags = StepDraft { template: "\u{1f1e9}\u{1f1ea}".repeat(33), ..step(Duration::ZERO) };
    two.enrol(&audience, vec![flags], 2).await;
    two.stage.carrier.stop();
    let worker = two.worker().start();
    two.wait_for_waiting("route_halted", 1).await;
    two.stage.carrier.start_again();
    two.stage.wait_for(&audience.scene, DeliveryState::Sent, 10).await;
    assert_eq!(two.second.log(), []);
    two.end(worker).await;
}
