//! Many workers at one queue.

use std::time::Duration;

use dripline_domain::delivery::DeliveryState;
use dripline_store::testing::factory::step;

use crate::support::{Stage, Worker};

const WORKERS: usize = 20;
/// In flight at most, of one worker.
const CONCURRENCY: u64 = 4;
/// Killed in the middle of their work.
const KILLED: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_workers_send_each_message_once_while_some_of_them_die() {
    let stage = Stage::with_faults("latency_ms = [200, 400]").await;
    let start = || {
        let worker = stage.worker().setting("WORKER__CONCURRENCY", &CONCURRENCY);
        let worker = worker.setting("WORKER__CLAIM_SIZE", &CONCURRENCY);
        // Together no more than the server takes.
        worker.setting("DATABASE__MAX_CONNECTIONS", &5).setting("WORKER__CONNECTIONS", &3).start()
    };
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| start()).collect();
    let steps = vec![step(Duration::ZERO), step(Duration::ZERO)];
    let scene = stage.enrol_in(steps, 600).await;
    stage.wait_for(&scene, DeliveryState::Sent, 100).await;
    for worker in &mut workers[..KILLED] {
        worker.kill();
    }
    // Both steps, but for those whose first one nobody knows.
    stage.wait_until_quiet(&scene).await;
    let (sent, unknown) = (
        stage.count(&scene, DeliveryState::Sent).await,
        stage.count(&scene, DeliveryState::Unknown).await,
    );
    assert!(unknown <= KILLED as u64 * CONCURRENCY, "{unknown} are unknown");
    let first = "SELECT count(*) FROM deliveries WHERE state = 'unknown' AND position = 1";
    let kept_back = u64::try_from(stage.number(first)).unwrap();
    assert_eq!(sent + unknown + kept_back, 1_200);
    let busy = stage.number("SELECT count(DISTINCT worker_id) FROM attempts");
    assert!(busy > 10, "only {busy} of them had a share");
    for worker in workers.drain(KILLED..) {
        worker.stop().await;
    }
    stage.assert_invariants().await;
}
