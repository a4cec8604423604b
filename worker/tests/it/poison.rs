//! A message whose handling kills its worker: it fails with that reason, and the others are sent.

use std::time::Instant;

use dripline_domain::delivery::DeliveryState;
use dripline_store::listing::deliveries::{self, DeliveryFilter};

use crate::support::{PATIENCE, Stage, pause};

/// Claims that a ticket may have.
const MAX_CLAIMS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_delivery_fails_after_its_claims_and_takes_nobody_with_it() {
    let stage = Stage::with_faults("latency_ms = [0, 20]").await;
    let scene = stage.enrol(1, 60).await;
    let poison = stage.number("SELECT max(delivery_id) - 20 FROM deliveries");
    let mut deaths = 0;
    let worker = loop {
        let mut worker = stage
            .worker()
            .setting("WORKER__MAX_CLAIMS", &MAX_CLAIMS)
            .failpoints(&format!("handle=return({poison})"))
            .start();
        let started = Instant::now();
        let survived = loop {
            if !worker.is_running() {
                break false;
            }
            if stage.count(&scene, DeliveryState::Queued).await == 0 {
                break true;
            }
            assert!(started.elapsed() < PATIENCE, "neither dead nor done");
            pause().await;
        };
        if survived {
            break worker;
        }
        deaths += 1;
        assert!(deaths <= MAX_CLAIMS, "it has killed {deaths} workers");
    };
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;

    assert_eq!(deaths, MAX_CLAIMS);
    let filter = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
    let failed = deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap();
    let [failed] = &failed[..] else { panic!("one has failed, not {failed:?}") };
    assert_eq!(failed.delivery_id.0, poison);
    assert_eq!(failed.reason.as_ref().unwrap().code, "kills_workers");
    assert_eq!(failed.released_micros, failed.held_micros);
    // What was on the wire when a worker died is unknown; everything else is sent.
    let sent = stage.count(&scene, DeliveryState::Sent).await;
    let unknown = stage.count(&scene, DeliveryState::Unknown).await;
    assert_eq!(sent + unknown, 59);
    stage.assert_invariants().await;
}
