//! Carriers that are down, and plugins that fail: their routes are halted, what is due for them waits
//! without losing an attempt, and nobody else notices.

use std::time::{Duration, Instant};

use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::workflow::StepDraft;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::ops::{self, PausedRoute};
use dripline_store::queue;
use dripline_store::route;
use dripline_store::route_halt::{self, RouteHalt};
use dripline_store::testing::factory::{ROUTE, step};

use crate::support::{HOSTILE, PATIENCE, Scene, Stage, WorkerCommand, pause};

/// Few in flight, and a breaker that is quick to halt and to probe.
fn worker(stage: &Stage) -> WorkerCommand {
    stage
        .worker()
        .setting("WORKER__CONCURRENCY", &8)
        .setting("WORKER__BREAKER__FAILURES", &3)
        .setting("WORKER__BREAKER__COOL_DOWN_SECONDS", &1)
        .setting("WORKER__BREAKER__CEILING_SECONDS", &2)
}

/// In flight at most.
const CONCURRENCY: i64 = 8;

/// Counts every claim of a ticket from now on.
fn count_claims(stage: &Stage) {
    stage.sql(
        "CREATE TABLE claims (delivery_id BIGINT NOT NULL);
         CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO claims VALUES ((convert_from(NEW.job, 'UTF8')::JSONB ->> 'delivery_id')::BIGINT);
             RETURN NULL;
         END $$;
         CREATE TRIGGER note_claim AFTER UPDATE ON apalis.jobs FOR EACH ROW
         WHEN (OLD.status = 'Pending' AND NEW.status = 'Running') EXECUTE FUNCTION note_claim()",
    );
}

/// Waits until a route of the account is halted in a certain way.
async fn wait_for_halt(
    stage: &Stage,
    scene: &Scene,
    enough: impl Fn(&RouteHalt) -> bool,
) -> RouteHalt {
    let started = Instant::now();
    loop {
        let halts = route_halt::current(&stage.pool, scene.account_id, None).await.unwrap();
        if let Some(halt) = halts.iter().find(|halt| enough(halt)) {
            return halt.clone();
        }
        assert!(started.elapsed() < PATIENCE, "not halted like that: {halts:?}");
        pause().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_is_away_costs_nobody_a_message_or_an_attempt() {
    let mut stage = Stage::new().await;
    let scene = stage.enrol(2, 300).await;
    count_claims(&stage);
    stage.carrier.stop();
    let worker = worker(&stage).start();
    let first = wait_for_halt(&stage, &scene, |halt| halt.waiting >= 290).await;
    assert_eq!((first.route.as_str(), first.reason.code.as_str()), ("main", "connect"));
    let halt = wait_for_halt(&stage, &scene, |halt| halt.failed_probes >= 3).await;
    assert_eq!(halt.halted_at, first.halted_at, "one halt, however many probes fail");

    // What was in flight when it was halted, and the probes, are all that it has cost.
    let probes = i64::try_from(halt.failed_probes).unwrap() + 2;
    let attempts = stage.number("SELECT count(*) FROM attempts");
    assert!(attempts <= CONCURRENCY + probes, "{attempts} attempts");
    let most = stage.number(
        "SELECT max(claims) FROM (SELECT count(*) AS claims FROM claims GROUP BY delivery_id) c",
    );
    assert!(most <= 2 * (probes + 1), "one delivery was claimed {most} times in {probes} probes");

    stage.carrier.start_again();
    stage.wait_for(&scene, DeliveryState::Sent, 600).await;
    assert!(route_halt::current(&stage.pool, scene.account_id, None).await.unwrap().is_empty());
    let log = worker.stop().await;
    assert_eq!(log.matches("route halted").count(), 1, "{log}");
    assert_eq!(log.matches("route runs again").count(), 1, "{log}");
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 600);
    assert_eq!(queue::stats(&stage.pool, &SystemClock).await.unwrap().claimed, 0);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_while_the_carrier_is_away_is_released_and_never_sent() {
    let mut stage = Stage::new().await;
    let mut soon = step(Duration::ZERO);
    soon.timing.expires_after = Some(Duration::from_secs(5));
    let scene = stage.enrol_in(vec![soon, step(Duration::ZERO)], 60).await;
    stage.carrier.stop();
    let worker = worker(&stage).start();
    wait_for_halt(&stage, &scene, |_| true).await;
    stage.wait_for(&scene, DeliveryState::Expired, 60).await;
    stage.carrier.start_again();
    let other = stage.enrol(1, 5).await;
    stage.wait_for(&other, DeliveryState::Sent, 5).await;
    worker.stop().await;
    assert_eq!(stage.carrier.log().len(), 5, "nothing late has left");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_plugin_that_fails_halts_its_own_route_only() {
    let stage = Stage::new().await;
    let trap = StepDraft {
        template: "panic".to_owned(),
        route: HOSTILE.to_owned(),
        ..step(Duration::ZERO)
    };
    let hostile = stage.enrol_in(vec![trap], 200).await;
    let harmless = stage.enrol(2, 100).await;
    count_claims(&stage);
    let worker = worker(&stage).start();
    stage.wait_for(&harmless, DeliveryState::Sent, 200).await;
    let halt = wait_for_halt(&stage, &hostile, |halt| halt.failed_probes >= 2).await;
    assert_eq!(halt.route, HOSTILE);
    assert!(halt.reason.code.starts_with("plugin_"), "{}", halt.reason);
    let healthy = route_halt::current(&stage.pool, harmless.account_id, None).await.unwrap();
    assert!(healthy.is_empty());
    worker.stop().await;

    assert_eq!(stage.count(&hostile, DeliveryState::Queued).await, 200);
    // Three to halt it, and one for each probe.
    let probes = i64::try_from(halt.failed_probes).unwrap() + 2;
    let attempts = stage.number(
        "SELECT sum(attempt) FROM deliveries JOIN steps USING (workflow_id, position)
         WHERE template = 'panic'",
    );
    assert!(attempts <= 3 + probes, "{attempts} attempts of {probes} probes");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_secret_halts_the_route_instead_of_failing_everybody() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 50).await;
    stage.sql("UPDATE routes SET secrets = '{\"auth_token\": \"env:NO_SUCH_SECRET\"}'");
    let worker = worker(&stage).start();
    let halt = wait_for_halt(&stage, &scene, |halt| halt.waiting >= 40).await;
    assert_eq!(halt.reason.code, "route_secret");
    stage.sql(
        "UPDATE routes SET secrets = '{\"auth_token\": \"env:TEST_AUTH_TOKEN\"}',
                           revision = revision + 1",
    );
    stage.wait_for(&scene, DeliveryState::Sent, 50).await;
    worker.stop().await;
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_on_one_queue_send_everything_once() {
    let stage = Stage::with_faults("latency_ms = [5, 30]").await;
    let scene = stage.enrol(2, 400).await;
    let workers = [worker(&stage).start(), worker(&stage).start()];
    stage.wait_for(&scene, DeliveryState::Sent, 800).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(stage.number("SELECT count(DISTINCT worker_id) FROM attempts"), 2);
    assert_eq!(stage.carrier.log().len(), 800);
    assert!(stage.carrier.log().iter().all(|entry| entry.accepted));
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_throttled_for_ever_fails_with_its_reason_and_others_go_on() {
    let plan = r#"
        [[rules]]
        recipients = "7"
        fault = "throttle"
        retry_after_seconds = 1
    "#;
    let stage = Stage::with_faults(plan).await;
    let scene = stage.enrol(1, 50).await;
    let worker = stage.worker().setting("WORKER__RETRY__MAX_ATTEMPTS", &3).start();
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 45);
    let filter = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
    let failed = deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap();
    assert_eq!(failed.len(), 5);
    for delivery in failed {
        assert_eq!(delivery.attempt, 3);
        assert_eq!(delivery.reason.unwrap().code, "twilio:20429");
        assert_eq!(delivery.released_micros, delivery.held_micros);
    }
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_over_a_paused_route_until_it_runs_again() {
    let stage = Stage::new().await;
    let scene = stage.enrol_in(vec![step(Duration::ZERO); 2], 10).await;
    let route = route::find(&stage.pool, scene.account_id, ROUTE).await.unwrap().unwrap();
    let paused = ops::pause_route(&stage.pool, &SystemClock, route.route_id, Some("test"), "ann");
    assert_eq!(paused.await.unwrap(), PausedRoute { changed: true, in_flight: 0 });
    let worker = worker(&stage).start();
    // Everything that is due has been looked at and put off, without an attempt.
    let waiting = "SELECT count(*) FROM deliveries WHERE reason_code = 'route_paused'
                   AND state = 'queued' AND attempt = 0 AND due_at > now() + INTERVAL '4 minutes'";
    let begun = Instant::now();
    while stage.number(waiting) < 10 {
        assert!(begun.elapsed() < PATIENCE, "they do not wait");
        pause().await;
    }
    assert_eq!(stage.carrier.log(), []);
    stage.assert_invariants().await;
    assert!(ops::reopen_route(&stage.pool, &SystemClock, route.route_id, "ann").await.unwrap());
    assert!(!ops::reopen_route(&stage.pool, &SystemClock, route.route_id, "ann").await.unwrap());
    stage.wait_for(&scene, DeliveryState::Sent, 20).await;
    worker.stop().await;
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_to_leave_after_the_pause_of_a_route_has_returned() {
    let stage = Stage::with_faults("latency_ms = [1, 3]\n").await;
    let scene = stage.enrol(3, 200).await;
    let route = route::find(&stage.pool, scene.account_id, ROUTE).await.unwrap().unwrap();
    let first = worker(&stage).start();
    let second = worker(&stage).start();
    for _ in 0..5 {
        let begun = Instant::now();
        let before = stage.carrier.log().len();
        while stage.carrier.log().len() < before + 20 {
            assert!(begun.elapsed() < PATIENCE, "nothing leaves");
            pause().await;
        }
        ops::pause_route(&stage.pool, &SystemClock, route.route_id, None, "ann").await.unwrap();
        // Whatever begins from here on would have a later mark.
        let marks = "SELECT count(*) FROM attempts";
        let marked = stage.number(marks);
        for _ in 0..10 {
            pause().await;
        }
        assert_eq!(stage.number(marks), marked);
        ops::reopen_route(&stage.pool, &SystemClock, route.route_id, "ann").await.unwrap();
    }
    stage.wait_for(&scene, DeliveryState::Sent, 600).await;
    first.stop().await;
    second.stop().await;
    stage.assert_invariants().await;
}
