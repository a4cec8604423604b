//! Races of a removal by filter: against marks, of which none may be late, and against settlements that
//! insert the next step, which nobody may be left with.

use std::collections::BTreeSet;
use std::sync::Arc;

use dripline_domain::ids::{EnrollmentId, WorkerId};
use dripline_domain::money::Micros;
use dripline_store::listing::operations;
use dripline_store::ops::{
    Closing, FinishRequest, Removals, RemovedContacts, Start, StartRequest, finish_attempts,
    pause_workflow, remove_contacts, start_attempts,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Enrolment, PRICE, Scene};
use dripline_store::{Pool, account, worker_registry};
use tokio::sync::{Barrier, Semaphore};
use uuid::Uuid;

use super::{assert_sound, clock, rounds, violations};
use crate::support::{accepted, outcomes, policy};

const MARKERS: usize = 4;
/// Of each marker.
const CONTACTS: usize = 6;
const BATCH: usize = 2;

/// What the markers do with a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// Leave it on the wire.
    Stay,
    /// Settle it as accepted, which inserts the next step, and go on with that.
    Settle,
}

/// Takes enrollments out, somehow.
trait Remove {
    async fn remove(&self, pool: &Pool, scene: &Scene, enrollments: &[i64]);
}

/// Ours; keeps what the removal said.
#[derive(Default)]
struct Ours(std::sync::Mutex<Option<RemovedContacts>>);

impl Remove for Ours {
    async fn remove(&self, pool: &Pool, scene: &Scene, enrollments: &[i64]) {
        let removals = Removals {
            account_id: scene.account_id,
            workflow_id: scene.workflow_id,
            enrollments: enrollments.iter().copied().map(EnrollmentId).collect(),
            selection: "half of them".to_owned(),
            batch_id: Uuid::new_v4(),
            actor: ACTOR.to_owned(),
            reason: None,
        };
        let done = remove_contacts(pool, &clock(), &removals).await.unwrap();
        *self.0.lock().unwrap() = Some(done);
    }
}

/// Looks right: it cancels what it has found queued. But between the two statements that may be marked.
struct CancelsWhatItRead;

impl Remove for CancelsWhatItRead {
    async fn remove(&self, pool: &Pool, _: &Scene, enrollments: &[i64]) {
        let mut tx = pool.begin().await.unwrap();
        let queued: Vec<i64> = sqlx::query_scalar(
            "SELECT delivery_id FROM deliveries
             WHERE enrollment_id = ANY ($1) AND settled_at IS NULL AND state = 'queued'",
        )
        .bind(enrollments)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        sqlx::query(
            "UPDATE deliveries
             SET state = 'cancelled', ticket_id = NULL, settled_at = now(),
                 released_segments = held_segments, released_micros = held_micros,
                 release_entry_id = 0
             WHERE delivery_id = ANY ($1)",
        )
        .bind(&queued)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }
}

/// Looks right: one statement cancels what is queued and only that, the next ends the enrollments. But
/// in between a settlement may queue the next step.
struct CancelsBeforeItEnds;

impl Remove for CancelsBeforeItEnds {
    async fn remove(&self, pool: &Pool, _: &Scene, enrollments: &[i64]) {
        // It also locks in another order than a settlement does, and is then what Postgres undoes now and then.
        while let Err(error) = self.try_remove(pool, enrollments).await {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            assert_eq!(code.as_deref(), Some("40P01"), "{error:?}");
        }
    }
}

impl CancelsBeforeItEnds {
    async fn try_remove(&self, pool: &Pool, enrollments: &[i64]) -> sqlx::Result<()> {
        let mut tx = pool.begin().await?;
        sqlx::query(
            "UPDATE deliveries
             SET state = 'cancelled', ticket_id = NULL, settled_at = now(),
                 released_segments = held_segments, released_micros = held_micros,
                 release_entry_id = 0
             WHERE enrollment_id = ANY ($1) AND settled_at IS NULL AND state = 'queued'",
        )
        .bind(enrollments)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "UPDATE enrollments
             SET exit_cause = 'removed', exited_by = 'test', exited_at = now(),
                 remaining_segments = 0, remaining_micros = 0
             WHERE enrollment_id = ANY ($1) AND exit_cause IS NULL",
        )
        .bind(enrollments)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}

/// What is on the wire of these enrollments.
async fn on_the_wire(pool: &Pool, enrollments: &[i64]) -> BTreeSet<i64> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT delivery_id FROM deliveries
         WHERE enrollment_id = ANY ($1) AND settled_at IS NULL AND state = 'sending'",
    )
    .bind(enrollments)
    .fetch_all(pool)
    .await
    .unwrap();
    ids.into_iter().collect()
}

/// Marks some enrollments' messages, batch by batch, for as long as any may be.
async fn mark_all(
    pool: Pool,
    worker: WorkerId,
    enrollments: Vec<i64>,
    marks: Marks,
    marked: Arc<Semaphore>,
) {
    loop {
        let mut started = 0;
        for some in enrollments.chunks(BATCH) {
            let queued: Vec<i64> = sqlx::query_scalar(
                "SELECT delivery_id FROM deliveries
                 WHERE enrollment_id = ANY ($1) AND settled_at IS NULL AND state = 'queued'",
            )
            .bind(some)
            .fetch_all(&pool)
            .await
            .unwrap();
            let requests: Vec<StartRequest> = queued
                .iter()
                .map(|id| StartRequest {
                    delivery_id: (*id).into(),
                    attempt: 1,
                    segments: 1,
                    route_id: None,
                })
                .collect();
            let now = clock();
            let starts = start_attempts(&pool, &now, worker, Uuid::new_v4(), &requests);
            let starts = starts.await.unwrap();
            marked.add_permits(1);
            let sent: Vec<StartRequest> = requests
                .into_iter()
                .zip(starts)
                .filter(|(_, start)| matches!(start, Start::Started { .. }))
                .map(|(request, _)| request)
                .collect();
            started += sent.len();
            if marks == Marks::Settle {
                settle(&pool, worker, &outcomes(&sent, &accepted())).await;
            }
        }
        if started == 0 {
            // Nobody waits any more for how far this has come.
            marked.add_permits(1_000);
            return;
        }
    }
}

async fn settle(pool: &Pool, worker: WorkerId, finishes: &[FinishRequest]) {
    finish_attempts(pool, &clock(), &policy(), worker, Uuid::new_v4(), finishes).await.unwrap();
}

/// Enrols everybody, lets the markers run and removes half of the contacts once `head_start` batches
/// have been marked. Gives who was to be removed.
async fn race(
    pool: &Pool,
    scene: &Scene,
    worker: WorkerId,
    (steps, marks): (usize, Marks),
    head_start: u32,
    remove: &impl Remove,
) -> Vec<i64> {
    let enrolment = Enrolment { steps: Some(steps), ..Enrolment::default() };
    enrolment.create(pool, &clock(), scene.workflow_id, &scene.contacts).await;
    let enrollments: Vec<i64> = sqlx::query_scalar(
        "SELECT enrollment_id FROM enrollments
         WHERE workflow_id = $1 AND exit_cause IS NULL ORDER BY contact_id",
    )
    .bind(scene.workflow_id.0)
    .fetch_all(pool)
    .await
    .unwrap();
    let chosen: Vec<i64> = enrollments.iter().copied().step_by(2).collect();
    let barrier = Arc::new(Barrier::new(MARKERS + 1));
    let marked = Arc::new(Semaphore::new(0));
    let markers: Vec<_> = enrollments
        .chunks(CONTACTS)
        .map(|some| {
            let (pool, some) = (pool.clone(), some.to_vec());
            let (barrier, marked) = (Arc::clone(&barrier), Arc::clone(&marked));
            tokio::spawn(async move {
                barrier.wait().await;
                mark_all(pool, worker, some, marks, marked).await;
            })
        })
        .collect();
    assert_eq!(markers.len(), MARKERS);
    barrier.wait().await;
    drop(marked.acquire_many(head_start).await.unwrap());
    remove.remove(pool, scene, &chosen).await;
    for marker in markers {
        marker.await.unwrap();
    }
    chosen
}

/// Settles what is left and takes everybody out, for the next race.
async fn clear(pool: &Pool, scene: &Scene, worker: WorkerId) {
    let left: Vec<i64> = sqlx::query_scalar(
        "SELECT delivery_id FROM deliveries WHERE settled_at IS NULL AND state = 'sending'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let left: Vec<StartRequest> = left
        .iter()
        .map(|id| StartRequest {
            delivery_id: (*id).into(),
            attempt: 1,
            segments: 1,
            route_id: None,
        })
        .collect();
    settle(pool, worker, &outcomes(&left, &accepted())).await;
    let closing = Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
    pause_workflow(pool, &clock(), &closing).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_is_marked_after_its_contact_was_removed() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    let scene = Scene::create(pool, &clock(), 1, MARKERS * CONTACTS).await;
    let (mut some, rounds) = (0, rounds(100, 1_000));
    for number in 0..rounds {
        let ours = Ours::default();
        let head_start = u32::try_from(number % 9).unwrap();
        let one = (1, Marks::Stay);
        let chosen = race(pool, &scene, worker.worker_id, one, head_start, &ours).await;
        let done = ours.0.into_inner().unwrap().unwrap();
        assert_eq!(done.removed, chosen.len() as u64, "race {number}");
        let in_flight = done.in_flight.iter().map(|found| found.delivery_id.0).collect();
        assert_eq!(on_the_wire(pool, &chosen).await, in_flight, "race {number}: a late mark");
        let cancelled = i64::try_from(chosen.len() - done.in_flight.len()).unwrap();
        assert_eq!(done.released, Micros(cancelled * PRICE.0), "race {number}");
        some += usize::from(!in_flight.is_empty() && cancelled > 0);
        clear(pool, &scene, worker.worker_id).await;
    }
    // The removal really fell among the marks.
    assert!(some > rounds / 4, "only {some} races were close");
    assert_sound(pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_removal_that_cancels_what_it_read_would_be_caught() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    for number in 0..300_u32 {
        let scene = Scene::create(pool, &clock(), 1, MARKERS * CONTACTS).await;
        let one = (1, Marks::Stay);
        race(pool, &scene, worker.worker_id, one, number % 9, &CancelsWhatItRead).await;
        if violations(pool, 8).await > 0 {
            return;
        }
    }
    panic!("none of 300 races cancelled what was on the wire; the other test proves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_who_was_removed_is_left_with_a_next_step() {
    const STEPS: usize = 4;
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    let scene = Scene::create(pool, &clock(), STEPS, MARKERS * CONTACTS).await;
    let (mut close, rounds) = (0, rounds(40, 400));
    for number in 0..rounds {
        let before = account::balance(pool, scene.account_id).await.unwrap().unwrap();
        let ours = Ours::default();
        let head_start = u32::try_from(number % 30).unwrap();
        let many = (STEPS, Marks::Settle);
        let chosen = race(pool, &scene, worker.worker_id, many, head_start, &ours).await;
        let done = ours.0.into_inner().unwrap().unwrap();
        let queued: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM deliveries
             WHERE enrollment_id = ANY ($1) AND settled_at IS NULL",
        )
        .bind(&chosen)
        .fetch_one(pool)
        .await
        .unwrap();
        assert_eq!(queued, 0, "race {number}: somebody was left with a next step");
        // Everybody else was sent all their messages, and each cent is where it should be.
        let after = account::balance(pool, scene.account_id).await.unwrap().unwrap();
        let price = Micros(PRICE.0 * i64::try_from(STEPS * scene.contacts.len()).unwrap());
        assert_eq!(after.held, Micros::ZERO, "race {number}");
        assert_eq!(after.spent - before.spent + done.released, price, "race {number}");
        assert_eq!(before.available - after.available, price - done.released, "race {number}");
        let receipt = operations::show(pool, done.operation_id).await.unwrap().unwrap();
        assert_eq!(receipt.released_micros, done.released);
        assert!(receipt.removed_enrollments <= receipt.preview.unwrap().contacts);
        let steps = u64::try_from(STEPS).unwrap();
        close += usize::from(done.cancelled > 0 && done.cancelled < steps * chosen.len() as u64);
    }
    assert!(close > rounds / 4, "only {close} races were close");
    assert_sound(pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_removal_that_cancels_before_it_ends_would_be_caught() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    for number in 0..300_u32 {
        let scene = Scene::create(pool, &clock(), 4, MARKERS * CONTACTS).await;
        let many = (4, Marks::Settle);
        race(pool, &scene, worker.worker_id, many, number % 30, &CancelsBeforeItEnds).await;
        if violations(pool, 5).await > 0 {
            return;
        }
    }
    panic!("none of 300 races left a next step behind; the other test proves nothing");
}
