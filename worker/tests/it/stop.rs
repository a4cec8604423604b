//! Stopping with work in hand.

use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_store::queue;

use crate::support::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signal_finishes_what_is_on_the_wire() {
    let stage = Stage::with_faults("latency_ms = [1000, 1500]").await;
    let scene = stage.enrol(1, 100).await;
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sending, 10).await;
    worker.stop().await;

    let sent = stage.count(&scene, DeliveryState::Sent).await;
    let queued = stage.count(&scene, DeliveryState::Queued).await;
    assert!(sent >= 10, "{sent} sent");
    assert!(queued > 0, "everything was sent; the signal came too late to show anything");
    assert_eq!(sent + queued, 100);
    let tickets = queue::stats(&stage.pool, &SystemClock).await.unwrap();
    assert_eq!((tickets.due, tickets.claimed), (queued, 0));
    stage.assert_invariants().await;
}

/// Who takes longer to finish than others wait before they look whether it is dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_long_to_stop_is_not_taken_for_dead() {
    let stage = Stage::with_faults("latency_ms = [6000, 6500]").await;
    let scene = stage.enrol(1, 60).await;
    let worker = stage.worker().setting("WORKER__DEAD_AFTER_SECONDS", &2).start();
    stage.wait_for(&scene, DeliveryState::Sending, 10).await;
    // It sweeps every second, and takes up what the first one leaves.
    let other = stage.worker().setting("WORKER__DEAD_AFTER_SECONDS", &2).start();
    worker.stop().await;
    stage.wait_for(&scene, DeliveryState::Sent, 60).await;
    other.stop().await;
    assert_eq!(stage.number("SELECT count(*) FROM attempts WHERE attempt > 1"), 0);
    assert_eq!(stage.number("SELECT count(*) FROM attempts WHERE outcome <> 'accepted'"), 0);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_drops_it_and_says_so() {
    let stage = Stage::with_faults("latency_ms = [15000, 15000]").await;
    let scene = stage.enrol(1, 100).await;
    let mut worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sending, 10).await;
    worker.terminate();
    // Two signals of one kind that meet before they are taken are one signal.
    worker.says("a second signal drops it").await;
    worker.terminate();
    assert!(worker.ended().await.success());

    let unknown = stage.count(&scene, DeliveryState::Unknown).await;
    assert!(unknown >= 10, "{unknown} unknown");
    assert_eq!(stage.count(&scene, DeliveryState::Sending).await, 0);
    let tickets = queue::stats(&stage.pool, &SystemClock).await.unwrap();
    assert_eq!(tickets.claimed, 0);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_stops_at_once() {
    let stage = Stage::new().await;
    let worker = stage.worker().start();
    worker.stop().await;
}
