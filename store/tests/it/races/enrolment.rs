//! Races of enrolments of many chunks: against a pause that comes while they are under way, and against
//! an edit. Afterwards each cent that was reserved is in one receipt.

use std::sync::Arc;

use dripline_domain::ids::OperationId;
use dripline_domain::ledger::Balance;
use dripline_domain::money::Micros;
use dripline_store::listing::operations;
use dripline_store::ops::{
    Closing, Edit, EditWorkflowError, EnrollError, NewEnrolment, StartRequest, begin_enrolment,
    edit_workflow, end_enrolment, enroll_reserved, finish_attempts, pause_workflow, start_attempts,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Enrolment, Scene};
use dripline_store::{Pool, account, plan, worker_registry, workflow};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{assert_sound, clock, rounds, violations};
use crate::support::{accepted, outcomes, policy};

const STEPS: usize = 3;

fn closing(scene: &Scene) -> Closing {
    Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None }
}

async fn balance(pool: &Pool, scene: &Scene) -> Balance {
    account::balance(pool, scene.account_id).await.unwrap().unwrap()
}

/// Enrols everybody at the prices of that revision, chunk by chunk, until it is done or stopped. Each
/// chunk is told. `None`: it was refused before it had begun.
async fn enrol(
    pool: &Pool,
    scene: &Scene,
    revision: i64,
    size: usize,
    told: &Semaphore,
) -> Option<(OperationId, u64)> {
    let enrolment = Enrolment { steps: Some(STEPS), ..Enrolment::default() };
    let priced: Vec<_> = scene.contacts.iter().map(|id| enrolment.price(*id)).collect();
    let new = NewEnrolment::of(scene.workflow_id, revision, ACTOR, &priced);
    let begun = match begin_enrolment(pool, &clock(), &new).await {
        Ok(begun) => begun,
        Err(EnrollError::WorkflowChanged { .. } | EnrollError::PurgeUnfinished { .. }) => {
            told.add_permits(1_000);
            return None;
        }
        Err(error) => panic!("{error:?}"),
    };
    let id = begun.operation_id;
    let mut enrolled = 0;
    for (number, some) in (1..).zip(scene.contacts.chunks(size)) {
        let mut chunk = enrolment.chunk(scene.workflow_id, some);
        chunk.revision = revision;
        match enroll_reserved(pool, &clock(), id, number, &chunk).await {
            Ok(done) => enrolled += done.enrolled.len() as u64,
            Err(
                EnrollError::EnrolmentEnded { .. }
                | EnrollError::WorkflowChanged { .. }
                | EnrollError::PurgeUnfinished { .. },
            ) => break,
            Err(error) => panic!("{error:?}"),
        }
        told.add_permits(1);
    }
    told.add_permits(1_000);
    end_enrolment(pool, &clock(), id).await.unwrap();
    Some((id, enrolled))
}

/// Sends what is there, a few messages, until told to stop.
async fn send_some(
    pool: Pool,
    scene: Scene,
    worker: dripline_domain::ids::WorkerId,
    until: Arc<Semaphore>,
) {
    while !until.is_closed() {
        let queued: Vec<(i64, i32)> = sqlx::query_as(
            "SELECT delivery_id, attempt FROM deliveries
             WHERE workflow_id = $1 AND settled_at IS NULL AND state = 'queued' LIMIT 20",
        )
        .bind(scene.workflow_id.0)
        .fetch_all(&pool)
        .await
        .unwrap();
        let request = |(id, _): &(i64, i32)| StartRequest {
            delivery_id: (*id).into(),
            attempt: 1,
            segments: 1,
            route_id: None,
        };
        let requests: Vec<StartRequest> = queued.iter().map(request).collect();
        start_attempts(&pool, &clock(), worker, Uuid::new_v4(), &requests).await.unwrap();
        let finishes = outcomes(&requests, &accepted());
        finish_attempts(&pool, &clock(), &policy(), worker, Uuid::new_v4(), &finishes)
            .await
            .unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pause_while_many_are_being_enrolled_leaves_nobody_and_no_cent_behind() {
    const CHUNKS: usize = 20;
    let contacts = rounds(10_000, 100_000);
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &clock(), "racer").await.unwrap();
    for chunks_before in [0, 7, 15] {
        let scene = Scene::create(pool, &clock(), STEPS, contacts).await;
        let before = balance(pool, &scene).await;
        let told = Arc::new(Semaphore::new(0));
        let until = Arc::new(Semaphore::new(0));
        let sender = tokio::spawn(send_some(
            pool.clone(),
            scene.clone(),
            worker.worker_id,
            Arc::clone(&until),
        ));
        let enrolling = tokio::spawn({
            let (pool, scene, told) = (pool.clone(), scene.clone(), Arc::clone(&told));
            async move { enrol(&pool, &scene, 1, contacts / CHUNKS, &told).await }
        });
        drop(told.acquire_many(chunks_before).await.unwrap());
        let paused = pause_workflow(pool, &clock(), &closing(&scene)).await.unwrap();
        until.close();
        sender.await.unwrap();
        let Some((id, enrolled)) = enrolling.await.unwrap() else {
            assert_eq!(chunks_before, 0);
            continue;
        };
        let receipt = operations::show(pool, id).await.unwrap().unwrap();
        assert!(receipt.finished_at.is_some());
        assert_eq!(receipt.enrolled_enrollments, enrolled);
        // An enrolment that had not begun before the pause is not stopped by it.
        let again = pause_workflow(pool, &clock(), &closing(&scene)).await.unwrap();
        assert_eq!(plan::still_in_flight(pool, again.operation_id).await.unwrap(), []);
        let after = balance(pool, &scene).await;
        assert_eq!(after.held, Micros::ZERO);
        assert_eq!(before.available - after.available, after.spent);
        let reserved = receipt.preview.unwrap().micros;
        let given_back = paused.released + again.released + receipt.released_micros;
        assert_eq!(reserved, given_back + after.spent, "after {chunks_before} chunks");
        let live: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM enrollments WHERE workflow_id = $1 AND exit_cause IS NULL",
        )
        .bind(scene.workflow_id.0)
        .fetch_one(pool)
        .await
        .unwrap();
        assert_eq!(live, 0);
        assert_sound(pool).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_edit_that_races_with_an_enrolment_is_before_it_or_refused() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &clock(), STEPS, 30).await;
    let before = balance(pool, &scene).await;
    let (mut edited, mut refused) = (0, 0);
    let rounds = rounds(60, 1_000);
    for number in 0..rounds {
        let shown = workflow::show(pool, scene.workflow_id).await.unwrap().unwrap();
        let edit = Edit {
            workflow_id: scene.workflow_id,
            draft: shown.to_draft(),
            expected_revision: None,
            actor: ACTOR.to_owned(),
        };
        let told = Semaphore::new(0);
        let revision = shown.workflow.revision;
        let editing = async {
            drop(told.acquire_many(u32::try_from(number % 3).unwrap()).await.unwrap());
            edit_workflow(pool, &clock(), &edit).await
        };
        let (enrolled, done) = tokio::join!(enrol(pool, &scene, revision, 10, &told), editing);
        let enrolled = enrolled.map_or(0, |(_, enrolled)| enrolled);
        match done {
            Ok(_) => {
                edited += 1;
                assert_eq!(enrolled, 0, "round {number}: enrolled at the prices of old texts");
            }
            Err(EditWorkflowError::Active(active)) => {
                refused += 1;
                assert!(active.contacts > 0);
                assert_eq!(enrolled, 30, "round {number}");
            }
            Err(error) => panic!("{error:?}"),
        }
        pause_workflow(pool, &clock(), &closing(&scene)).await.unwrap();
        assert_eq!(balance(pool, &scene).await, before, "round {number}");
    }
    assert!(edited > 0 && refused > 0, "{edited} edits came first, {refused} were refused");
    assert_sound(pool).await;
}

/// Looks right: it enrols in the epoch that it has read. But a pause may have closed that since.
async fn enrol_naively(pool: &Pool, scene: &Scene, meanwhile: impl Future<Output = ()>) {
    let mut tx = pool.begin().await.unwrap();
    let epoch: i64 = sqlx::query_scalar("SELECT epoch FROM workflows WHERE workflow_id = $1")
        .bind(scene.workflow_id.0)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    meanwhile.await;
    let ids: Vec<i64> = scene.contacts.iter().map(|id| id.0).collect();
    sqlx::query(
        "INSERT INTO enrollments (account_id, workflow_id, contact_id, epoch, exclusive,
                                  step_segments, step_micros, position, remaining_segments,
                                  remaining_micros, hold_entry_id, enrolled_by, enrolled_at)
         SELECT $1, $2, id, $3, true, '{1}', '{0}', 1, 0, 0, 0, 'test', now()
         FROM unnest($4::BIGINT[]) AS id
         ON CONFLICT DO NOTHING",
    )
    .bind(scene.account_id.0)
    .bind(scene.workflow_id.0)
    .bind(epoch)
    .bind(&ids)
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_naive_enrolment_would_be_caught() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &clock(), 1, 4).await;
    // Nothing keeps a pause out between its two statements, so that no luck is needed.
    let pause = async {
        pause_workflow(pool, &clock(), &closing(&scene)).await.unwrap();
    };
    enrol_naively(pool, &scene, pause).await;
    assert!(violations(pool, 6).await > 0, "the pause left nobody behind");
}
