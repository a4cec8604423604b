//! Routes with limits: senders that may send so many segments, requests that may be on the wire, and how
//! long a carrier may take.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use chrono::TimeDelta;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::throttle::Throttle;
use dripline_store::testing::factory::{Route, step};

use crate::support::{Stage, route_to};

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_keep_to_what_a_sender_may_send() {
    let stage = Stage::new().await;
    let throttle = Throttle { segments_per_second: NonZeroU32::new(20), segments_per_day: None };
    let route = Route { throttle, ..route_to(&stage.carrier.origin()) };
    let scene = stage.enrol_on(route, vec![step(Duration::ZERO); 2], 50).await;
    let workers = [stage.worker().start(), stage.worker().start()];
    stage.wait_until_quiet(&scene).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 100);
    // Each segment takes 50 ms of its sender's time, and a second and a quarter of that can be ahead.
    let took = stage.number(
        "SELECT (extract(epoch FROM max(finished_at) - min(marked_at)) * 1000)::BIGINT FROM attempts",
    );
    assert!(took >= 100 * 50 - 1_250, "100 segments have left within {took} ms");
    assert_eq!(stage.number("SELECT max(attempt) FROM deliveries"), 1, "waiting is no attempt");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_hears_from_one_sender_of_the_pool() {
    let stage = Stage::new().await;
    let pool: Vec<String> = (1..=3).map(|n| format!("+4930000000{n}")).collect();
    let route = Route { senders: Some(pool.clone()), ..route_to(&stage.carrier.origin()) };
    let scene = stage.enrol_on(route, vec![step(Duration::ZERO); 3], 40).await;
    let worker = stage.worker().start();
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;
    let mut senders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in stage.carrier.log() {
        senders.entry(entry.to).or_default().insert(entry.from);
    }
    assert_eq!(senders.len(), 40);
    assert!(senders.values().all(|heard_from| heard_from.len() == 1), "{senders:?}");
    let used: BTreeSet<String> = senders.into_values().flatten().collect();
    assert_eq!(used, pool.into_iter().collect(), "everybody in the pool has something to send");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_are_on_the_wire_than_a_route_may_have() {
    const LATENCY_MS: i64 = 200;
    let stage = Stage::with_faults(&format!("latency_ms = [{LATENCY_MS}, {LATENCY_MS}]")).await;
    let route = Route { max_in_flight: NonZeroU32::new(2), ..route_to(&stage.carrier.origin()) };
    let scene = stage.enrol_on(route, vec![step(Duration::ZERO)], 16).await;
    let worker = stage.worker().start();
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;
    let mut came: Vec<_> = stage.carrier.log().into_iter().map(|entry| entry.at).collect();
    came.sort_unstable();
    assert_eq!(came.len(), 16);
    // The third of any three can only come when one of those before it has been answered.
    for three in came.windows(3) {
        let apart = three[2] - three[0];
        assert!(apart >= TimeDelta::milliseconds(LATENCY_MS), "three within {apart}");
    }
    assert_eq!(stage.number("SELECT max(attempt) FROM deliveries"), 1, "waiting is no attempt");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_waits_for_its_carrier_as_long_as_it_says() {
    let stage = Stage::with_faults("latency_ms = [10000, 10000]").await;
    let route =
        Route { send_timeout_ms: NonZeroU32::new(300), ..route_to(&stage.carrier.origin()) };
    let scene = stage.enrol_on(route, vec![step(Duration::ZERO)], 2).await;
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Unknown, 2).await;
    worker.stop().await;
    assert_eq!(
        stage.number("SELECT count(*) FROM attempts WHERE reason_text LIKE '%within 0.3 s%'"),
        2
    );
    stage.assert_invariants().await;
}
