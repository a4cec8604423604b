//! The process dies at every step between ticket and acknowledgement, and the next one goes on:
//! nothing is lost, nothing is sent twice, and what was on the wire is unknown and listed.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::listing::enrollments;
use dripline_worker::crash::POINTS;

use crate::support::{Scene, Stage};

const CONTACTS: usize = 60;
const STEPS: usize = 3;

/// Whether a crash at that point leaves attempts of which nobody knows how they ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// Nothing had been marked, or everything marked had been settled.
    MaybeUnknown,
    /// Something was marked and not settled.
    Unknown,
}

async fn check(point: &str, passages: u32, leaves: Leaves) {
    assert!(POINTS.contains(&point));
    let stage = Stage::with_faults("latency_ms = [0, 20]").await;
    let scene = stage.enrol(STEPS, CONTACTS).await;
    let mut doomed = stage.worker().failpoints(&format!("{point}={passages}*off->return")).start();
    let status = doomed.ended().await;
    assert!(!status.success(), "it passed `{point}`: {}", doomed.describe());

    let worker = stage.worker().start();
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;

    assert_nothing_is_lost(&stage, &scene).await;
    let unknown = stage.count(&scene, DeliveryState::Unknown).await;
    if leaves == Leaves::Unknown {
        assert!(unknown > 0, "nothing was on the wire");
    }
    stage.assert_invariants().await;
}

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

macro_rules! crash {
    ($($name:ident: $point:literal after $passages:literal leaves $leaves:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                check($point, $passages, Leaves::$leaves).await;
            }
        )*

        #[test]
        fn every_point_is_tested() {
            assert_eq!([$($point),*], POINTS);
        }
    };
}

crash! {
    before_a_claim: "claim-begin" after 2 leaves MaybeUnknown;
    after_a_claim: "claim-committed" after 2 leaves MaybeUnknown;
    before_loading: "load-begin" after 2 leaves MaybeUnknown;
    after_loading: "load-done" after 2 leaves MaybeUnknown;
    after_rendering: "render-done" after 30 leaves MaybeUnknown;
    after_building: "build-done" after 30 leaves MaybeUnknown;
    before_the_mark: "mark-begin" after 2 leaves MaybeUnknown;
    after_the_mark: "mark-committed" after 2 leaves Unknown;
    before_the_wire: "wire-begin" after 30 leaves Unknown;
    after_the_answer: "wire-answered" after 30 leaves Unknown;
    after_reading: "read-done" after 30 leaves Unknown;
    before_settling: "settle-begin" after 2 leaves Unknown;
    after_settling: "settle-committed" after 2 leaves MaybeUnknown;
    before_acknowledging: "acknowledge-begin" after 2 leaves MaybeUnknown;
    after_acknowledging: "acknowledge-committed" after 2 leaves MaybeUnknown;
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
