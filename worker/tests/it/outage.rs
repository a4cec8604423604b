//! Postgres goes away under a working worker, and comes back.

use std::time::{Duration, Instant};

use dripline_domain::delivery::DeliveryState;
use dripline_embedded_postgres::{EmbeddedOptions, EmbeddedPostgres};
use dripline_store::ConnectOptions;

use crate::support::{Stage, pause};

/// What the worker promises to be working again within.
const RECOVERY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_outlives_its_database() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        EmbeddedOptions { shared_buffers_mib: 32, ..EmbeddedOptions::new(directory.path()) };
    let server = tokio::task::spawn_blocking(move || EmbeddedPostgres::throwaway(options).unwrap())
        .await
        .unwrap();
    let url = server.running().url.clone();
    let connect = ConnectOptions {
        url: url.clone(),
        max_connections: 4,
        application_name: "dripline-test".to_owned(),
    };
    let pool = dripline_store::connect(&connect).await.unwrap();
    dripline_store::migrate(&pool).await.unwrap();

    let stage = Stage::on(url, pool, "latency_ms = [5, 30]", None);
    let scene = stage.enrol(3, 1_000).await;
    let mut worker = stage.worker().start();
    for _ in 0..3 {
        let before = stage.count(&scene, DeliveryState::Sent).await;
        stage.wait_for(&scene, DeliveryState::Sent, before + 50).await;
        let options = server.options().clone();
        tokio::task::spawn_blocking(move || {
            EmbeddedPostgres::stop(&options).unwrap();
            EmbeddedPostgres::ensure_started(&options).unwrap();
        })
        .await
        .unwrap();
        let back = Instant::now();
        let at_return = stage.count(&scene, DeliveryState::Sent).await;
        if at_return < 3_000 {
            while stage.count(&scene, DeliveryState::Sent).await == at_return {
                assert!(back.elapsed() < RECOVERY, "not at work {RECOVERY:?} after the return");
                pause().await;
            }
        }
        assert!(worker.is_running());
    }
    stage.wait_until_quiet(&scene).await;
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 3_000);
    let log = worker.stop().await;
    let reports = log.matches("the database does not answer").count();
    assert!((1..=12).contains(&reports), "{reports} reports of three outages:\n{log}");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_taken_for_dead_goes_on_under_a_new_name() {
    let stage = Stage::with_faults("latency_ms = [5, 30]").await;
    let scene = stage.enrol(2, 600).await;
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sent, 50).await;
    stage.sql("UPDATE workers SET stopped_at = now()");
    stage.wait_until_quiet(&scene).await;
    let log = worker.stop().await;
    assert!(log.contains("going on under a new name"), "{log}");
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 1_200);
    stage.assert_invariants().await;
}
