//! The process is killed from outside, again and again, and the next one goes on: nothing is lost,
//! nothing is sent twice, and what was on the wire is unknown and listed. Each single point at which it
//! can die has a scene of its own in the package `dripline-crash`.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::listing::enrollments;

use crate::support::{Scene, Stage};

const STEPS: usize = 3;

/// Everybody has all messages, or waits behind one whose fate nobody knows.
async fn assert_nothing_is_lost(stage: &Stage, scene: &Scene) {
    let unknown = stage.count(scene, DeliveryState::Unknown).await;
    let exits = enrollments::exits(&stage.pool, scene.account_id, None).await.unwrap();
    let finished: u64 =
        exits.iter().filter(|e| e.cause == ExitCause::Finished).map(|e| e.contacts).sum();
    assert_eq!(finished + unknown, scene.contacts, "{exits:?}");
    let filter =
        DeliveryFilter { state: Some(DeliveryState::Unknown), ..DeliveryFilter::default() };
    let filter = DeliveryFilter { limit: 1_000, ..filter };
    let listed = deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap();
    assert_eq!(listed.len() as u64, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_from_outside_again_and_again() {
    let stage = Stage::with_faults("latency_ms = [0, 40]").await;
    // Each kill may leave as many unknown as there are messages in flight.
    let scene = stage.enrol(STEPS, 500).await;
    for _ in 0..4 {
        let mut worker = stage.worker().start();
        let sent = stage.count(&scene, DeliveryState::Sent).await;
        stage.wait_for(&scene, DeliveryState::Sent, sent + 40).await;
        worker.kill();
    }
    let worker = stage.worker().start();
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;
    assert_nothing_is_lost(&stage, &scene).await;
    stage.assert_invariants().await;
}
