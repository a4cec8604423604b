//! Races of marks against a pause, over four connections that mark at full speed: nothing may be
//! marked after the fence has returned. The same races with the statement that everybody writes first
//! show that the test would notice.

use std::collections::BTreeSet;
use std::sync::Arc;

use dripline_domain::ids::WorkerId;
use dripline_store::ops::{
    Closing, StartRequest, fence_workflow, finish_attempts, purge, start_attempts,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{Enrolment, Scene};
use dripline_store::{Pool, worker_registry};
use tokio::sync::{Barrier, Semaphore};
use uuid::Uuid;

use super::{assert_sound, clock, rounds};
use crate::support::{accepted, outcomes, policy};

const MARKERS: usize = 4;
const BATCHES: usize = 3;
const BATCH: usize = 2;

/// Races in one scene, before its contacts have so long a past that reading it takes the time.
const SCENE: usize = 100;

/// Nothing is settled during a race, so that everything that was marked is found here.
const MARKED: &str =
    "SELECT delivery_id FROM deliveries WHERE settled_at IS NULL AND state = 'sending'";

/// One marker's batches.
type Plan = Vec<Vec<StartRequest>>;

/// Marks one batch, somehow.
trait Mark: Clone + Send + 'static {
    fn mark(
        &self,
        pool: &Pool,
        worker: WorkerId,
        batch: Vec<StartRequest>,
    ) -> impl Future<Output = ()> + Send;
}

#[derive(Clone)]
struct Ours;

impl Mark for Ours {
    async fn mark(&self, pool: &Pool, worker: WorkerId, batch: Vec<StartRequest>) {
        start_attempts(pool, &clock(), worker, Uuid::new_v4(), &batch).await.unwrap();
    }
}

/// Looks right: it marks only where the workflow's epoch is still the enrollment's. But it reads that
/// without a lock.
#[derive(Clone)]
struct Naive;

impl Mark for Naive {
    async fn mark(&self, pool: &Pool, worker: WorkerId, batch: Vec<StartRequest>) {
        let ids: Vec<i64> = batch.iter().map(|request| request.delivery_id.0).collect();
        let mut tx = pool.begin().await.unwrap();
        sqlx::query(
            "WITH marked AS (
                 UPDATE deliveries d SET state = 'sending', attempt = 1, ticket_id = NULL
                 FROM workflows w, enrollments e
                 WHERE w.workflow_id = d.workflow_id AND e.enrollment_id = d.enrollment_id
                   AND e.epoch = w.epoch AND e.exit_cause IS NULL
                   AND d.delivery_id = ANY ($1) AND d.state = 'queued'
                 RETURNING d.delivery_id, d.workflow_id, e.epoch)
             INSERT INTO attempts (delivery_id, attempt, worker_id, batch_id, epoch, workflow_id,
                                   segments, started_at)
             SELECT delivery_id, 1, $2, gen_random_uuid(), epoch, workflow_id, 1, now()
             FROM marked",
        )
        .bind(&ids)
        .bind(worker.0)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }
}

/// What a race showed.
struct Race {
    /// Marked, as the database says after everybody has stopped.
    marked: BTreeSet<i64>,
    /// In flight, as the fence says.
    in_flight: BTreeSet<i64>,
}

/// Enrols everybody, lets the markers run and fences once they have marked `head_start` batches.
async fn race(
    pool: &Pool,
    scene: &Scene,
    worker: WorkerId,
    head_start: u32,
    mark: impl Mark,
) -> Race {
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, &clock(), scene.workflow_id, &scene.contacts).await;
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT delivery_id FROM deliveries WHERE settled_at IS NULL ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let requests: Vec<StartRequest> = ids
        .iter()
        .map(|id| StartRequest {
            delivery_id: (*id).into(),
            attempt: 1,
            segments: 1,
            route_id: None,
        })
        .collect();
    let batches: Plan = requests.chunks(BATCH).map(<[_]>::to_vec).collect();
    let barrier = Arc::new(Barrier::new(MARKERS + 1));
    let batches_marked = Arc::new(Semaphore::new(0));
    let markers: Vec<_> = batches
        .chunks(BATCHES)
        .map(|plan| {
            let (pool, plan, mark) = (pool.clone(), plan.to_vec(), mark.clone());
            let barrier = Arc::clone(&barrier);
            let batches_marked = Arc::clone(&batches_marked);
            tokio::spawn(async move {
                barrier.wait().await;
                for batch in plan {
                    mark.mark(&pool, worker, batch).await;
                    batches_marked.add_permits(1);
                }
            })
        })
        .collect();
    assert_eq!(markers.len(), MARKERS);
    barrier.wait().await;
    drop(batches_marked.acquire_many(head_start).await.unwrap());
    let closing =
        Closing { workflow_id: scene.workflow_id, actor: "test".to_owned(), reason: None };
    let fenced = fence_workflow(pool, &clock(), &closing).await.unwrap();
    for marker in markers {
        marker.await.unwrap();
    }
    let marked: Vec<i64> = sqlx::query_scalar(MARKED).fetch_all(pool).await.unwrap();
    purge(pool, &clock(), fenced.operation_id).await.unwrap();
    let sent: Vec<_> = requests
        .iter()
        .filter(|request| marked.contains(&request.delivery_id.0))
        .copied()
        .collect();
    let finishes = outcomes(&sent, &accepted());
    finish_attempts(pool, &clock(), &policy(), worker, Uuid::new_v4(), &finishes).await.unwrap();
    Race {
        marked: marked.into_iter().collect(),
        in_flight: fenced.in_flight.iter().map(|message| message.delivery_id.0).collect(),
    }
}

async fn scene(pool: &Pool) -> Scene {
    Scene::create(pool, &clock(), 1, MARKERS * BATCHES * BATCH).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_is_marked_after_its_workflow_was_paused() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    let mut scene = scene(pool).await;
    let (mut none, mut some, mut all) = (0, 0, 0);
    let rounds = rounds(500, 10_000);
    for number in 0..rounds {
        if number > 0 && number % SCENE == 0 {
            scene = self::scene(pool).await;
        }
        let head_start = u32::try_from(number % 9).unwrap();
        let race = race(pool, &scene, worker.worker_id, head_start, Ours).await;
        assert_eq!(race.marked, race.in_flight, "race {number}: marked is not what was in flight");
        match race.marked.len() {
            0 => none += 1,
            marked if marked == scene.contacts.len() => all += 1,
            _ => some += 1,
        }
    }
    // The fence really fell among the marks.
    assert!(some > rounds / 3, "only {some} races were close ({none} before, {all} after)");
    assert_sound(pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_naive_mark_would_be_caught() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    let scene = scene(pool).await;
    let mut late = 0;
    for number in 0..300_u32 {
        let race = race(pool, &scene, worker.worker_id, number % 9, Naive).await;
        late += usize::from(race.marked != race.in_flight);
        if late >= 3 {
            return;
        }
    }
    panic!("only {late} of 300 races had late marks; the other test proves nothing");
}
