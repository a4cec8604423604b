//! Races of those who close a workflow: two pauses, a deletion during a pause, and a pause while the
//! worker that has messages on the wire dies.

use std::collections::BTreeSet;
use std::time::Duration;

use dripline_domain::clock::{Clock, ManualClock};
use dripline_domain::ids::WorkerId;
use dripline_domain::money::Micros;
use dripline_store::listing::operations;
use dripline_store::ops::{
    CloseWorkflowError, Closing, Paused, StartRequest, delete_workflow, finish_attempts,
    pause_workflow, purge_chunk, start_attempts,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Enrolment, PRICE, Scene};
use dripline_store::{Pool, account, plan, sweep, worker_registry};
use uuid::Uuid;

use super::{assert_sound, clock, rounds};
use crate::support::{accepted, noon, outcomes, policy};

const CONTACTS: usize = 60;
const STEPS: usize = 2;

fn closing(scene: &Scene) -> Closing {
    Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None }
}

async fn queued(pool: &Pool, scene: &Scene) -> Vec<StartRequest> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT delivery_id FROM deliveries
         WHERE workflow_id = $1 AND settled_at IS NULL AND state = 'queued' ORDER BY 1",
    )
    .bind(scene.workflow_id.0)
    .fetch_all(pool)
    .await
    .unwrap();
    let request = |id: &i64| StartRequest {
        delivery_id: (*id).into(),
        attempt: 1,
        segments: 1,
        route_id: None,
    };
    ids.iter().map(request).collect()
}

/// Sends everything in batches, as long as something may leave.
async fn send(pool: &Pool, worker: WorkerId, scene: &Scene) {
    let requests = queued(pool, scene).await;
    for batch in requests.chunks(5) {
        let now = clock();
        start_attempts(pool, &now, worker, Uuid::new_v4(), batch).await.unwrap();
        // What was not marked is answered with `AlreadyDone`.
        let finishes = outcomes(batch, &accepted());
        finish_attempts(pool, &now, &policy(), worker, Uuid::new_v4(), &finishes).await.unwrap();
    }
}

/// What the operation's receipt says that it gave back.
async fn receipt(pool: &Pool, paused: &Paused) -> (u64, Micros) {
    let receipt = operations::show(pool, paused.operation_id).await.unwrap().unwrap();
    assert!(receipt.finished_at.is_some());
    assert_eq!(receipt.removed_enrollments, paused.removed);
    assert_eq!(receipt.released_micros, paused.released);
    assert!(receipt.removed_enrollments <= receipt.preview.unwrap().contacts);
    (paused.removed, paused.released)
}

/// Everybody left, everything is paid or given back, and the receipts say so to the micro.
async fn assert_settled(pool: &Pool, scene: &Scene, before: Micros, receipts: &[(u64, Micros)]) {
    let after = account::balance(pool, scene.account_id).await.unwrap().unwrap();
    assert_eq!(after.held, Micros::ZERO);
    let spent: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(captured_micros), 0)::BIGINT FROM deliveries WHERE workflow_id = $1",
    )
    .bind(scene.workflow_id.0)
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(before - after.available, Micros(spent));
    let price = PRICE.0 * i64::try_from(STEPS * CONTACTS).unwrap();
    let released: Micros = receipts.iter().map(|(_, released)| *released).sum();
    assert_eq!(released + Micros(spent), Micros(price));
    let removed: u64 = receipts.iter().map(|(removed, _)| removed).sum();
    assert!(removed <= u64::try_from(CONTACTS).unwrap());
    assert_sound(pool).await;
}

async fn enrolled(pool: &Pool) -> (Scene, Micros) {
    let scene = Scene::create(pool, &clock(), STEPS, CONTACTS).await;
    let before = account::balance(pool, scene.account_id).await.unwrap().unwrap();
    let enrolment = Enrolment { steps: Some(STEPS), ..Enrolment::default() };
    enrolment.create(pool, &clock(), scene.workflow_id, &scene.contacts).await;
    (scene, before.available)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_pauses_and_a_sweep_give_back_once() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    for _ in 0..rounds(10, 200) {
        let (scene, before) = enrolled(pool).await;
        let closing = closing(&scene);
        let now = clock();
        let ((), first, second, swept) = tokio::join!(
            send(pool, worker.worker_id, &scene),
            pause_workflow(pool, &now, &closing),
            pause_workflow(pool, &now, &closing),
            sweep::unfinished_purges(pool, &now),
        );
        swept.unwrap();
        let (first, second) = (first.unwrap(), second.unwrap());
        let receipts = [receipt(pool, &first).await, receipt(pool, &second).await];
        assert_settled(pool, &scene, before, &receipts).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deletion_during_a_pause_gives_back_once() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    for _ in 0..rounds(10, 200) {
        let (scene, before) = enrolled(pool).await;
        let closing = closing(&scene);
        let now = clock();
        // The pause goes in small chunks, so that the deletion falls among them.
        let pausing = async {
            let fenced = match dripline_store::ops::fence_workflow(pool, &now, &closing).await {
                Ok(fenced) => fenced,
                Err(CloseWorkflowError::NotFound(_)) => return None,
                Err(error) => panic!("{error:?}"),
            };
            while !purge_chunk(pool, &now, fenced.operation_id, 3).await.unwrap().done {}
            Some(fenced.operation_id)
        };
        let ((), paused, deleted) = tokio::join!(
            send(pool, worker.worker_id, &scene),
            pausing,
            delete_workflow(pool, &now, &closing),
        );
        let mut receipts = vec![receipt(pool, &deleted.unwrap()).await];
        if let Some(id) = paused {
            let paused = operations::show(pool, id).await.unwrap().unwrap();
            receipts.push((paused.removed_enrollments, paused.released_micros));
        }
        assert_settled(pool, &scene, before, &receipts).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pause_during_a_workers_death_lists_what_only_the_carrier_knows() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    for number in 0..rounds(10, 200) {
        let (scene, before) = enrolled(pool).await;
        let name = format!("doomed-{number}");
        let doomed = worker_registry::register(pool, &clock(), &name).await.unwrap();
        let worker = doomed.worker_id;
        let requests = queued(pool, &scene).await;
        let later = ManualClock::new(noon() + chrono::TimeDelta::seconds(1));
        let closing = closing(&scene);
        let now = clock();
        let dying = async {
            for batch in requests[..30].chunks(5) {
                start_attempts(pool, &now, worker, Uuid::new_v4(), batch).await.unwrap();
            }
            drop(doomed);
        };
        let burying = async {
            loop {
                let buried = sweep::dead_workers(pool, &later, Duration::ZERO).await.unwrap();
                if buried.workers > 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let ((), (), paused) = tokio::join!(dying, burying, pause_workflow(pool, &now, &closing));
        let paused = paused.unwrap();
        // Once more, for what was marked after the burial had begun.
        sweep::dead_workers(pool, &later, Duration::ZERO).await.unwrap();
        let unknown: Vec<i64> = sqlx::query_scalar(
            "SELECT delivery_id FROM deliveries WHERE workflow_id = $1 AND settled_at IS NULL",
        )
        .bind(scene.workflow_id.0)
        .fetch_all(pool)
        .await
        .unwrap();
        let unknown: BTreeSet<i64> = unknown.into_iter().collect();
        let open = plan::still_in_flight(pool, paused.operation_id).await.unwrap();
        let listed: BTreeSet<i64> = open.iter().map(|found| found.delivery_id.0).collect();
        assert_eq!(listed, unknown, "round {number}");
        assert!(open.iter().all(|found| found.state.as_str() == "unknown"), "{open:?}");
        let fenced: BTreeSet<i64> =
            paused.in_flight.iter().map(|found| found.delivery_id.0).collect();
        assert_eq!(listed, fenced, "round {number}");
        // Half of it turns out to have been sent, by a worker that lives.
        let name = format!("alive-{number}");
        let alive = worker_registry::register(pool, &later, &name).await.unwrap();
        let (sent, not): (Vec<_>, Vec<_>) = requests
            .iter()
            .filter(|request| unknown.contains(&request.delivery_id.0))
            .copied()
            .partition(|request| request.delivery_id.0 % 2 == 0);
        for (some, outcome) in [(sent, accepted()), (not, crate::support::not_sent())] {
            let finishes = outcomes(&some, &outcome);
            finish_attempts(pool, &later, &policy(), alive.worker_id, Uuid::new_v4(), &finishes)
                .await
                .unwrap();
        }
        alive.stop(pool, &later).await.unwrap();
        let not_sent: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(d.released_micros), 0)::BIGINT
             FROM operation_in_flight f JOIN deliveries d USING (delivery_id)
             WHERE f.operation_id = $1",
        )
        .bind(paused.operation_id.0)
        .fetch_one(pool)
        .await
        .unwrap();
        let receipts = [receipt(pool, &paused).await, (0, Micros(not_sent))];
        assert!(later.now() > now.now());
        assert_settled(pool, &scene, before, &receipts).await;
    }
}
