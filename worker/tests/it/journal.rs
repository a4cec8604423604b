//! What a worker knew outlives the database's outages and its own end, and moves no money twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use dripline_domain::ids::{DeliveryId, WorkerId};
use dripline_domain::retry::RetryPolicy;
use dripline_embedded_postgres::{EmbeddedOptions, EmbeddedPostgres};
use dripline_store::ConnectOptions;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::ops::{FinishRequest, Finished, finish_attempts};
use uuid::Uuid;

use crate::support::{PATIENCE, Scene, Stage, pause};

/// Long enough to do something between a mark and its answer.
const SLOW: &str = "latency_ms = [3000, 3000]";

/// The journals in a state directory.
fn journals(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state.join("journal")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// How many attempts have their outcome in the only journal of a state directory.
fn ends(state: &Path) -> usize {
    let journals = journals(state);
    let [journal] = &journals[..] else { return 0 };
    let text = std::fs::read_to_string(journal).unwrap();
    text.matches(r#""record":"end""#).count()
}

/// Sends a message to everybody, keeps the worker from settling any, and kills it when its journal has
/// all their outcomes and the database has none. The carrier must take its time.
async fn leave_everything_to_the_journal(stage: &Stage, scene: &Scene) {
    let mut doomed = stage.worker().start();
    stage.wait_for(scene, DeliveryState::Sending, scene.contacts).await;
    // Whoever settles must share the workflows' rows.
    let held = stage.hold("SELECT FROM workflows FOR UPDATE");
    let begun = Instant::now();
    while ends(stage.home()) < usize::try_from(scene.contacts).unwrap() {
        assert!(begun.elapsed() < PATIENCE, "{} ended", ends(stage.home()));
        pause().await;
    }
    doomed.kill();
    drop(held);
    assert_eq!(stage.count(scene, DeliveryState::Sending).await, scene.contacts);
}

async fn wait_until_settled(journal: &Path) {
    let begun = Instant::now();
    while journal.exists() {
        assert!(begun.elapsed() < PATIENCE, "{} is not dealt with", journal.display());
        pause().await;
    }
}

/// Ids and numbers of attempts.
async fn attempts(stage: &Stage, scene: &Scene) -> BTreeMap<DeliveryId, (DeliveryState, u32)> {
    let filter = DeliveryFilter { limit: 1_000, ..DeliveryFilter::default() };
    let listed = deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap();
    listed.into_iter().map(|d| (d.delivery_id, (d.state, d.attempt))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_survive_an_outage_and_the_end_of_the_process() {
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
    let stage = Stage::on(url, pool, "latency_ms = [3000, 3000]", None);
    // As many as are on the wire at once.
    let scene = stage.enrol(1, 32).await;

    let mut doomed = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sending, 32).await;
    let options = server.options().clone();
    tokio::task::spawn_blocking(move || EmbeddedPostgres::stop(&options).unwrap()).await.unwrap();
    let begun = Instant::now();
    while ends(stage.home()) < 32 {
        assert!(begun.elapsed() < PATIENCE, "{} ended", ends(stage.home()));
        pause().await;
    }
    doomed.kill();
    let options = server.options().clone();
    tokio::task::spawn_blocking(move || EmbeddedPostgres::ensure_started(&options).unwrap())
        .await
        .unwrap();

    let worker = stage.worker().start();
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 32);
    assert_eq!(journals(stage.home()), Vec::<PathBuf>::new());
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_comes_twice_moves_no_money_twice() {
    let plan = r#"
        latency_ms = [3000, 3000]
        [[rules]]
        recipients = "1"
        fault = "refuse"
        code = 21211
    "#;
    let stage = Stage::with_faults(plan).await;
    let scene = stage.enrol(2, 20).await;
    leave_everything_to_the_journal(&stage, &scene).await;
    let journal = journals(stage.home()).remove(0);
    let copy = std::fs::read(&journal).unwrap();

    let worker = stage.worker().start();
    wait_until_settled(&journal).await;
    stage.wait_until_quiet(&scene).await;
    worker.stop().await;
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 36);
    assert_eq!(stage.count(&scene, DeliveryState::Failed).await, 2);
    stage.assert_invariants().await;
    let before = attempts(&stage, &scene).await;

    std::fs::write(&journal, copy).unwrap();
    let worker = stage.worker().start();
    wait_until_settled(&journal).await;
    let log = worker.stop().await;
    assert!(log.contains("attempts=0"), "{log}");
    assert_eq!(attempts(&stage, &scene).await, before);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_does_not_overrule_what_was_decided_meanwhile() {
    let stage = Stage::with_faults(SLOW).await;
    let scene = stage.enrol(1, 20).await;
    leave_everything_to_the_journal(&stage, &scene).await;
    let journal = journals(stage.home()).remove(0);

    // Somebody decides ten of them otherwise: not sent, so that they have failed for good.
    let decided: Vec<DeliveryId> = attempts(&stage, &scene).await.into_keys().take(10).collect();
    let requests: Vec<FinishRequest> = decided
        .iter()
        .map(|id| FinishRequest {
            delivery_id: *id,
            attempt: 1,
            outcome: AttemptOutcome::Refused(Reason::new("decided", "by somebody")),
        })
        .collect();
    let finished = finish_attempts(
        &stage.pool,
        &SystemClock,
        &RetryPolicy::default(),
        WorkerId(1),
        Uuid::now_v7(),
        &requests,
    )
    .await
    .unwrap();
    assert_eq!(finished, [Finished::Failed; 10]);

    let worker = stage.worker().start();
    wait_until_settled(&journal).await;
    worker.stop().await;
    for (id, (state, _)) in attempts(&stage, &scene).await {
        let wanted =
            if decided.contains(&id) { DeliveryState::Failed } else { DeliveryState::Sent };
        assert_eq!(state, wanted);
    }
    // The tenth would say, rightly, that the carrier has taken what somebody decided to be refused.
    stage.assert_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_share_a_state_directory_keep_to_their_own_journals() {
    let stage = Stage::with_faults(SLOW).await;
    let scene = stage.enrol(1, 10).await;
    leave_everything_to_the_journal(&stage, &scene).await;
    let journal = journals(stage.home()).remove(0);

    let other = Stage::new().await;
    // It is a copy with the same ids, also that of the installation, so that a mistake would find
    // something to settle.
    let others = other.enrol(1, 10).await;
    let worker = other.worker().state_dir(stage.home()).start();
    other.wait_for(&others, DeliveryState::Sent, 10).await;
    let log = worker.stop().await;
    assert!(!log.contains("left in its journal"), "{log}");
    assert!(journal.exists());
    assert_eq!(stage.count(&scene, DeliveryState::Sending).await, 10);

    let worker = stage.worker().start();
    wait_until_settled(&journal).await;
    worker.stop().await;
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 10);
    stage.assert_invariants().await;
    other.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_worker_deals_with_the_journal_of_one_that_has_gone() {
    let stage = Stage::with_faults(SLOW).await;
    let first = stage.enrol(1, 10).await;
    leave_everything_to_the_journal(&stage, &first).await;
    let journal = journals(stage.home()).remove(0);
    let text = std::fs::read_to_string(&journal).unwrap();
    for secret in ["+1555", "Hello", "auth-token"] {
        assert!(!text.contains(secret), "the journal shows {secret}: {text}");
    }
    let hidden = journal.with_extension("elsewhere");
    std::fs::rename(&journal, &hidden).unwrap();

    let worker = stage.worker().start();
    // Without the journal they are unknown once their worker is buried ...
    stage.wait_for(&first, DeliveryState::Unknown, 10).await;
    // ... and what is unknown is settled when it turns up, by a worker at its work.
    std::fs::rename(&hidden, &journal).unwrap();
    wait_until_settled(&journal).await;
    assert_eq!(stage.count(&first, DeliveryState::Sent).await, 10);
    worker.stop().await;
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_an_end_stays_unknown() {
    let stage = Stage::with_faults("latency_ms = [20000, 20000]").await;
    let scene = stage.enrol(1, 10).await;
    let mut doomed = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sending, 10).await;
    doomed.kill();
    let journal = journals(stage.home()).remove(0);
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Unknown, 10).await;
    wait_until_settled(&journal).await;
    let log = worker.stop().await;
    assert!(log.contains("unended=10"), "{log}");
    assert_eq!(stage.count(&scene, DeliveryState::Unknown).await, 10);
    stage.assert_invariants().await;
}
