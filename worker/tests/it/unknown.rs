//! What becomes of messages whose answer was lost, by the carrier's class: told again under the same key,
//! asked by our reference, or left to receipts, operators and the deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use dripline_domain::delivery::DeliveryState;
use dripline_domain::evidence::{Verdict, Witness};
use dripline_domain::workflow::StepDraft;
use dripline_store::listing::deliveries::{self, DeliveryDetail, DeliveryFilter};
use dripline_store::testing::factory::step;

use crate::support::{Scene, Stage, WorkerCommand};

/// The carrier takes every message and its answer is lost, the first time.
const TAKEN_AND_LOST: &str = "[[rules]]\nattempts = 1\nfault = \"reset-after\"\n";
/// The request is lost on its way, the first time.
const LOST: &str = "[[rules]]\nattempts = 1\nfault = \"reset-before\"\n";
const CONTACTS: usize = 12;

fn steps(count: usize) -> Vec<StepDraft> {
    vec![step(Duration::ZERO); count]
}

/// A worker that is in no hurry to take anything for lost, since the machine is busy.
fn worker(stage: &Stage) -> WorkerCommand {
    stage.worker().setting("WORKER__RETRY__MAX_ATTEMPTS", &20)
}

/// All deliveries of the scene, with what was said about them.
async fn shown(stage: &Stage, scene: &Scene) -> Vec<DeliveryDetail> {
    let filter = DeliveryFilter { limit: 1_000, ..DeliveryFilter::default() };
    let listed = deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap();
    let mut shown = Vec::new();
    for delivery in listed {
        shown.push(deliveries::show(&stage.pool, delivery.delivery_id).await.unwrap().unwrap());
    }
    shown
}

/// How often the carrier decided what about each reference.
fn decisions(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    let mut decisions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in stage.carrier.log() {
        decisions.entry(entry.reference.unwrap()).or_default().push(entry.decision);
    }
    decisions
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_the_same_request_is_made_again_and_taken_once() {
    for (plan, second) in [(TAKEN_AND_LOST, "replay"), (LOST, "accept")] {
        let stage = Stage::with_faults(plan).await;
        let scene = stage.enrol_over("keyed-carrier", steps(2), CONTACTS).await;
        let worker = worker(&stage).start();
        stage.wait_for(&scene, DeliveryState::Sent, 2 * CONTACTS as u64).await;
        worker.stop().await;

        let mut repeated = 0;
        for delivery in shown(&stage, &scene).await {
            let outcomes: Vec<_> =
                delivery.attempts.iter().map(|a| a.outcome.as_deref().unwrap()).collect();
            match outcomes[..] {
                ["accepted"] => {}
                ["repeated", "accepted"] => repeated += 1,
                ref other => panic!("{other:?}"),
            }
            assert!(delivery.delivery.carrier_reference.is_some());
        }
        assert_eq!(repeated, CONTACTS);
        // Every attempt of a delivery had the same reference, and was the same request to the carrier.
        let decisions = decisions(&stage);
        assert_eq!(decisions.len(), 2 * CONTACTS);
        assert!(decisions.keys().all(|reference| reference.ends_with("-0")));
        let twice: Vec<_> = decisions.values().filter(|made| made.len() > 1).collect();
        assert_eq!(twice.len(), CONTACTS);
        assert!(twice.iter().all(|made| made[1..] == [second]), "{twice:?}");
        stage.assert_invariants().await;
    }
}

/// More is under way at a time than there are connections: whoever has one must be able to go on.
#[tokio::test(flavor = "multi_thread")]
async fn few_connections_do_not_keep_inquiries_from_ending() {
    let many = 64;
    let stage = Stage::with_faults(TAKEN_AND_LOST).await;
    let scene = stage.enrol_over("keyed-carrier", steps(1), many).await;
    let worker = worker(&stage)
        .setting("DATABASE__MAX_CONNECTIONS", &3)
        .setting("WORKER__CONNECTIONS", &1)
        // However many answers are lost, the route is not halted.
        .setting("WORKER__BREAKER__FAILURES", &100_000)
        .start();
    stage.wait_for(&scene, DeliveryState::Sent, many as u64).await;
    let said = worker.stop().await;
    assert!(!said.contains("pool timed out"), "{said}");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_can_be_asked_is_asked() {
    let stage = Stage::with_faults(TAKEN_AND_LOST).await;
    let scene = stage.enrol_over("queried-carrier", steps(2), CONTACTS).await;
    let worker = worker(&stage).start();
    stage.wait_for(&scene, DeliveryState::Sent, 2 * CONTACTS as u64).await;
    worker.stop().await;

    let mut asked = 0;
    for delivery in shown(&stage, &scene).await {
        assert_eq!(delivery.attempts.len(), 1);
        assert!(delivery.delivery.carrier_reference.is_some());
        if let [piece] = &delivery.evidence[..] {
            assert_eq!((piece.witness, piece.verdict), (Witness::Carrier, Verdict::Sent));
            assert!(piece.actor.starts_with("worker "), "{}", piece.actor);
            asked += 1;
        }
    }
    assert_eq!(asked, CONTACTS);
    for (reference, made) in decisions(&stage) {
        assert!(reference.ends_with("-1"), "{reference}");
        assert!(matches!(made.len(), 1 | 2), "{reference}: {made:?}");
    }
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_carrier_says_it_does_not_have_is_sent_again_under_another_reference() {
    let stage = Stage::with_faults(LOST).await;
    let scene = stage.enrol_over("queried-carrier", steps(1), CONTACTS).await;
    let worker = worker(&stage).start();
    stage.wait_for(&scene, DeliveryState::Sent, CONTACTS as u64).await;
    worker.stop().await;

    for delivery in shown(&stage, &scene).await {
        let outcomes: Vec<_> =
            delivery.attempts.iter().map(|a| a.outcome.as_deref().unwrap()).collect();
        assert_eq!(outcomes, ["not_sent", "accepted"]);
        let [piece] = &delivery.evidence[..] else { panic!("{:?}", delivery.evidence) };
        assert_eq!((piece.witness, piece.verdict), (Witness::Carrier, Verdict::NotSent));
        // The first no came too early to be believed.
        let finished = delivery.attempts[0].started_at;
        assert!(piece.recorded_at >= finished + chrono::TimeDelta::seconds(2), "{piece:?}");
    }
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_ask_and_repeat_once_each() {
    for carrier in ["keyed-carrier", "queried-carrier"] {
        let stage = Stage::with_faults(TAKEN_AND_LOST).await;
        let scene = stage.enrol_over(carrier, steps(1), 40).await;
        // Long enough a pause that what is asked twice was taken on twice.
        let patient = |stage: &Stage| {
            worker(stage)
                .setting("WORKER__RETRY__FIRST_SECONDS", &60)
                .setting("WORKER__RETRY__CEILING_SECONDS", &60)
                // What meets a halted route is put off for that pause, too.
                .setting("WORKER__BREAKER__FAILURES", &100_000)
        };
        let workers = [patient(&stage).start(), patient(&stage).start()];
        stage.wait_for(&scene, DeliveryState::Sent, 40).await;
        for worker in workers {
            worker.stop().await;
        }
        let decisions = decisions(&stage);
        assert_eq!(decisions.len(), 40);
        assert!(decisions.values().all(|made| made.len() == 2), "{carrier}: {decisions:?}");
        stage.assert_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_on_the_wire_leaves_what_the_next_one_clears_up() {
    for carrier in ["keyed-carrier", "queried-carrier"] {
        let stage = Stage::new().await;
        let scene = stage.enrol_over(carrier, steps(2), CONTACTS).await;
        let mut doomed = worker(&stage).failpoints("wire-answered=5*off->return").start();
        assert!(!doomed.ended().await.success());
        let worker = worker(&stage).start();
        stage.wait_for(&scene, DeliveryState::Sent, 2 * CONTACTS as u64).await;
        worker.stop().await;
        stage.assert_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_repeated_for_a_workflow_that_was_paused() {
    use dripline_domain::clock::SystemClock;
    use dripline_store::ops::{Closing, pause_workflow};
    // Every answer is lost, also those to repetitions.
    let stage = Stage::with_faults("[[rules]]\nfault = \"reset-after\"\n").await;
    let scene = stage.enrol_over("keyed-carrier", steps(1), CONTACTS).await;
    let filter = "info,dripline_worker=debug";
    let worker = worker(&stage).setting("TELEMETRY__FILTER", &filter).start();
    stage.wait_for(&scene, DeliveryState::Unknown, CONTACTS as u64).await;
    let filter = DeliveryFilter { limit: 1, ..DeliveryFilter::default() };
    let one = deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap();
    let closing =
        Closing { workflow_id: one[0].workflow_id, actor: "test".to_owned(), reason: None };
    pause_workflow(&stage.pool, &SystemClock, &closing).await.unwrap();
    // What was being repeated at that moment comes to its end.
    stage.wait_for(&scene, DeliveryState::Unknown, CONTACTS as u64).await;
    let before = stage.carrier.log().len();
    stage.sql("UPDATE inquiries SET due_at = now()");
    worker.says("WorkflowClosed").await;
    worker.stop().await;
    assert_eq!(stage.carrier.log().len(), before);
    assert_eq!(stage.count(&scene, DeliveryState::Unknown).await, CONTACTS as u64);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_neither_be_asked_nor_repeated_waits_for_the_deadline() {
    let stage = Stage::with_faults(TAKEN_AND_LOST).await;
    let scene = stage.enrol_in(steps(2), CONTACTS).await;
    let first = worker(&stage).start();
    stage.wait_for(&scene, DeliveryState::Unknown, CONTACTS as u64).await;
    stage.sql("UPDATE attempts SET finished_at = finished_at - INTERVAL '72 hours'");
    stage.wait_for(&scene, DeliveryState::Sent, 2 * CONTACTS as u64).await;
    first.stop().await;

    let presumed = shown(&stage, &scene).await.into_iter().filter(|delivery| {
        delivery.evidence.first().is_some_and(|piece| piece.witness == Witness::Deadline)
    });
    assert_eq!(presumed.count(), CONTACTS);
    assert!(decisions(&stage).values().all(|made| made.len() == 1));
    stage.assert_invariants().await;
}
