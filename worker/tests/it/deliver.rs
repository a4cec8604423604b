//! Messages that arrive, and messages that do not.

use std::time::Duration;

use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::workflow::StepDraft;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::queue;
use dripline_store::testing::factory::step;

use crate::support::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_of_three_steps_reaches_everybody_once() {
    let stage = Stage::new().await;
    let scene = stage.enrol(3, 200).await;
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sent, 600).await;
    let log = worker.stop().await;

    stage.assert_invariants().await;
    let accepted = stage.carrier.log().iter().filter(|entry| entry.accepted).count();
    assert_eq!(accepted, 600);
    assert_eq!(queue::stats(&stage.pool, &SystemClock).await.unwrap().claimed, 0);
    for secret in ["+1555", "the-auth-token", "Hello"] {
        assert!(!log.contains(secret), "the log shows {secret}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_carrier_throttles_comes_back_and_what_it_refuses_does_not() {
    let plan = r#"
        [[rules]]
        recipients = "1"
        attempts = 1
        fault = "throttle"
        retry_after_seconds = 1

        [[rules]]
        recipients = "2"
        fault = "refuse"
        code = 21211

        [[rules]]
        recipients = "3"
        fault = "error-after"
    "#;
    let stage = Stage::with_faults(plan).await;
    let scene = stage.enrol(1, 40).await;
    let worker = stage.worker().start();
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;

    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 32);
    assert_eq!(stage.count(&scene, DeliveryState::Failed).await, 4);
    assert_eq!(stage.count(&scene, DeliveryState::Unknown).await, 4);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cannot_be_is_released_with_its_reason() {
    let stage = Stage::new().await;
    let missing = StepDraft { template: "Hello {{ surname }}".to_owned(), ..step(Duration::ZERO) };
    let long = StepDraft { template: "long ".repeat(100), ..step(Duration::ZERO) };
    let missing = stage.enrol_in(vec![missing], 3).await;
    let long = stage.enrol_in(vec![long], 3).await;
    let worker = stage.worker().start();
    for (scene, code) in [(&missing, "missing-field"), (&long, "over_hold")] {
        stage.wait_for(scene, DeliveryState::Failed, 3).await;
        let failed =
            deliveries::list(&stage.pool, scene.account_id, &DeliveryFilter::default()).await;
        for delivery in failed.unwrap() {
            let reason = delivery.reason.unwrap();
            assert!(reason.code.contains(code), "{reason}");
        }
    }
    worker.stop().await;
    assert!(stage.carrier.log().is_empty());
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_late_is_released_and_not_sent() {
    let stage = Stage::new().await;
    let scene = stage.enrol(2, 20).await;
    stage.sql("UPDATE deliveries SET expires_at = now() - INTERVAL '1 second'");
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Expired, 20).await;
    worker.stop().await;
    assert!(stage.carrier.log().is_empty());
    stage.assert_invariants().await;
}
