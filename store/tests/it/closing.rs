//! Pause, delete and removal.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{EnrollmentId, OperationId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_store::ops::{
    CloseWorkflowError, Closing, Finished, GiveUp, GiveUpRequest, Removal, RemoveContactError,
    delete_workflow, fence_workflow, give_up, pause_workflow, purge, purge_chunk, remove_contact,
};
use dripline_store::testing::factory::{Enrolment, PRICE, Scene, Workflow};
use dripline_store::{sweep, workflow};
use uuid::Uuid;

use crate::support::{GRACE, Stage, accepted, balance, not_sent, outcomes, policy, requests};

const FULL: i64 = 1_000_000_000_000;

fn closing(workflow_id: WorkflowId) -> Closing {
    Closing { workflow_id, actor: "operator".to_owned(), reason: Some("wrong text".to_owned()) }
}

#[tokio::test]
async fn a_pause_takes_everybody_out_and_pays_back_what_was_not_sent() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 3, 5).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    // One was sent and stands at its second step, one is on the wire, three wait.
    stage.start(&starts[..2]).await;
    stage.finish(&outcomes(&starts[..1], &accepted())).await;

    let paused = pause_workflow(pool, &stage.clock, &closing(scene.workflow_id)).await.unwrap();
    assert_eq!((paused.removed, paused.cancelled), (5, 2 + 2 + 3 * 3));
    assert_eq!((paused.segments, paused.released), (13, Micros(13 * PRICE.0)));
    assert_eq!(paused.in_flight.len(), 1);
    assert_eq!(paused.in_flight[0].delivery_id, starts[1].delivery_id);
    assert_eq!(paused.in_flight[0].worker.as_deref(), Some("worker-1"));
    assert_eq!(
        stage.balance(scene.account_id).await,
        balance(FULL - 2 * PRICE.0, PRICE.0, PRICE.0)
    );
    for contact in &scene.contacts {
        assert_eq!(stage.exits(*contact).await, [Some("workflow_paused".to_owned())]);
    }
    stage.assert_sound().await;

    // What was on the wire is captured and goes no further.
    assert_eq!(stage.finish(&outcomes(&starts[1..2], &accepted())).await, [Finished::Sent]);
    assert_eq!(stage.balance(scene.account_id).await.held, Micros::ZERO);
    assert_eq!(stage.count("SELECT count(*) FROM deliveries WHERE state = 'queued'").await, 0);
    stage.assert_sound().await;

    // And everybody can be enrolled again, from the first message.
    let again = Enrolment::default();
    let done = again.create(pool, &stage.clock, scene.workflow_id, &scene.contacts).await;
    assert_eq!(done.enrolled.len(), 5);
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_was_not_sent_after_a_pause_is_cancelled_and_not_tried_again() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 2, 2).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    let fenced = fence_workflow(pool, &stage.clock, &closing(scene.workflow_id)).await.unwrap();
    assert_eq!(fenced.in_flight.len(), 2);
    // Once before the purge and once after it.
    let first = outcomes(&starts[..1], &not_sent());
    assert_eq!(stage.finish(&first).await, [Finished::Cancelled]);
    stage.assert_sound().await;
    let purged = purge(pool, &stage.clock, fenced.operation_id).await.unwrap();
    assert_eq!((purged.removed, purged.cancelled), (2, 2));
    let second = outcomes(&starts[1..], &not_sent());
    assert_eq!(stage.finish(&second).await, [Finished::Cancelled]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_half_done_purge_is_sound_and_finished_by_the_sweep() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 2, 25).await;
    let fenced = fence_workflow(pool, &stage.clock, &closing(scene.workflow_id)).await.unwrap();
    let chunk = purge_chunk(pool, &stage.clock, fenced.operation_id, 10).await.unwrap();
    assert_eq!((chunk.done, chunk.removed, chunk.cancelled), (false, 10, 20));
    stage.assert_sound().await;
    assert_eq!(sweep::unfinished_purges(pool, &stage.clock).await.unwrap(), 1);
    assert_eq!(sweep::unfinished_purges(pool, &stage.clock).await.unwrap(), 0);
    let purged = purge(pool, &stage.clock, fenced.operation_id).await.unwrap();
    assert_eq!((purged.removed, purged.cancelled, purged.segments), (25, 50, 50));
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 0);
    stage.assert_sound().await;
    let nothing = purge_chunk(pool, &stage.clock, OperationId(-1), 10).await.unwrap();
    assert!(nothing.done);
}

#[tokio::test]
async fn two_pauses_at_once_share_the_work_and_refund_once() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    for _ in 0..5 {
        let scene = Scene::enrolled(pool, &stage.clock, 3, 200).await;
        let closing = closing(scene.workflow_id);
        let chunked = async || {
            let fenced = fence_workflow(pool, &stage.clock, &closing).await.unwrap();
            let mut removed = 0;
            loop {
                let chunk = purge_chunk(pool, &stage.clock, fenced.operation_id, 17).await.unwrap();
                removed += chunk.removed;
                if chunk.done {
                    return removed;
                }
            }
        };
        let (a, b, c) =
            tokio::join!(chunked(), chunked(), sweep::unfinished_purges(pool, &stage.clock));
        c.unwrap();
        assert!(a + b <= 200);
        let removed = stage
            .count("SELECT coalesce(sum(removed_enrollments), 0)::BIGINT FROM operations")
            .await;
        assert_eq!(removed % 200, 0);
        assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    }
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_inactive_workflow_is_paused_without_effect_and_an_unknown_one_refused() {
    let stage = Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 1, 1).await;
    let closing_this = closing(scene.workflow_id);
    let paused = pause_workflow(stage.pool(), &stage.clock, &closing_this).await.unwrap();
    assert_eq!((paused.removed, paused.cancelled), (0, 0));
    let error = pause_workflow(stage.pool(), &stage.clock, &closing(WorkflowId(-1))).await;
    assert!(matches!(error, Err(CloseWorkflowError::NotFound(_))));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_deleted_workflow_is_gone_with_its_texts_and_its_place() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 2, 3).await;
    let below = Workflow::default().create(pool, &stage.clock, scene.account_id).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due[..1], 1);
    stage.start(&starts).await;
    let deleted = delete_workflow(pool, &stage.clock, &closing(scene.workflow_id)).await.unwrap();
    assert_eq!((deleted.removed, deleted.cancelled, deleted.in_flight.len()), (3, 5, 1));
    let left = workflow::choices(pool, scene.account_id).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].workflow_id, below);
    assert_eq!(stage.count("SELECT min(position)::BIGINT FROM workflow_positions").await, 1);
    assert_eq!(stage.exits(scene.contacts[2]).await, [Some("workflow_deleted".to_owned())]);
    let again = delete_workflow(pool, &stage.clock, &closing(scene.workflow_id)).await;
    assert!(matches!(again, Err(CloseWorkflowError::NotFound(_))));
    // What was on the wire is settled although the steps are gone.
    assert_eq!(stage.finish(&outcomes(&starts, &accepted())).await, [Finished::Sent]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - PRICE.0, 0, PRICE.0));
    stage.assert_sound().await;
}

async fn enrollment_of(stage: &Stage, contact: dripline_domain::ids::ContactId) -> EnrollmentId {
    let id: i64 = sqlx::query_scalar(
        "SELECT enrollment_id FROM enrollments WHERE contact_id = $1 AND exit_cause IS NULL",
    )
    .bind(contact.0)
    .fetch_one(stage.pool())
    .await
    .unwrap();
    EnrollmentId(id)
}

fn removal(enrollment_id: EnrollmentId) -> Removal {
    Removal { enrollment_id, actor: "operator".to_owned(), reason: None }
}

#[tokio::test]
async fn one_contact_is_removed_and_the_others_go_on() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 3, 3).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts[1..2]).await;

    let waiting = removal(enrollment_of(&stage, scene.contacts[0]).await);
    let removed = remove_contact(pool, &stage.clock, &waiting).await.unwrap();
    assert_eq!((removed.cancelled, removed.segments), (3, 3));
    assert!(removed.in_flight.is_empty());
    let again = remove_contact(pool, &stage.clock, &waiting).await;
    let Err(RemoveContactError::Ended { cause: ExitCause::Removed, .. }) = again else {
        panic!("{again:?}");
    };
    let sending = removal(enrollment_of(&stage, scene.contacts[1]).await);
    let removed = remove_contact(pool, &stage.clock, &sending).await.unwrap();
    assert_eq!((removed.cancelled, removed.released), (2, Micros(2 * PRICE.0)));
    assert_eq!(removed.in_flight.len(), 1);
    stage.assert_sound().await;

    assert_eq!(stage.finish(&outcomes(&starts[1..2], &not_sent())).await, [Finished::Cancelled]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - 3 * PRICE.0, 3 * PRICE.0, 0));
    assert_eq!(stage.exits(scene.contacts[2]).await, [None]);
    let nobody = remove_contact(pool, &stage.clock, &removal(EnrollmentId(-1))).await;
    assert!(matches!(nobody, Err(RemoveContactError::NotFound(_))));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_removal_that_races_with_a_mark_comes_before_it_or_after_it() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::create(pool, &stage.clock, 2, 12).await;
    let enrolment = Enrolment { steps: Some(2), ..Enrolment::default() };
    for _ in 0..10 {
        enrolment.create(pool, &stage.clock, scene.workflow_id, &scene.contacts).await;
        let (tickets, due) = stage.claim_due().await;
        let starts = requests(&due, 1);
        let mut removals = Vec::new();
        for contact in &scene.contacts {
            removals.push(removal(enrollment_of(&stage, *contact).await));
        }
        let removing = futures::future::join_all(
            removals.iter().map(|removal| remove_contact(pool, &stage.clock, removal)),
        );
        let marking = futures::future::join_all(starts.chunks(3).map(|some| stage.start(some)));
        let (removed, marked) = tokio::join!(removing, marking);
        let in_flight: usize =
            removed.into_iter().map(|removed| removed.unwrap().in_flight.len()).sum();
        let started = marked.concat();
        let started = started
            .iter()
            .filter(|start| matches!(start, dripline_store::ops::Start::Started { .. }))
            .count();
        assert_eq!(in_flight, started);
        stage.finish(&outcomes(&starts, &not_sent())).await;
        stage.acknowledge(&tickets).await;
        assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    }
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_is_given_up_before_the_mark_is_released_or_comes_back() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 2, 4).await;
    let (tickets, due) = stage.claim_due().await;
    let why = dripline_domain::delivery::Reason::new("missing-field", "no first name");
    let causes =
        [GiveUp::Expired, GiveUp::Refused(why.clone()), GiveUp::Retry(why), GiveUp::Closed];
    let gone: Vec<_> = due
        .iter()
        .zip(causes)
        .map(|(due, cause)| GiveUpRequest {
            delivery_id: due.delivery_id,
            attempt: due.attempt,
            cause,
        })
        .collect();
    let batch = Uuid::new_v4();
    let policy = policy();
    let answers = give_up(pool, &stage.clock, &policy, stage.id(), batch, &gone).await.unwrap();
    assert_eq!(answers[..2], [Finished::Expired, Finished::Failed]);
    assert!(matches!(answers[2], Finished::Requeued { .. }));
    assert_eq!(answers[3], Finished::AlreadyDone);
    let again = give_up(pool, &stage.clock, &policy, stage.id(), batch, &gone).await.unwrap();
    assert_eq!(again, [Finished::AlreadyDone; 4]);
    stage.acknowledge(&tickets).await;
    assert_eq!(
        stage.states(scene.workflow_id).await,
        [
            DeliveryState::Expired,
            DeliveryState::Failed,
            DeliveryState::Queued,
            DeliveryState::Queued
        ]
    );
    stage.assert_sound().await;
    // A preparation that fails for good uses up its attempts like any other.
    stage.advance(3_600);
    assert_eq!(sweep::missing_tickets(pool, &stage.clock, GRACE).await.unwrap(), 1);
    for expected_requeue in [true, false] {
        let (tickets, due) = stage.claim_due().await;
        let due = due.iter().find(|due| due.attempt > 0).unwrap();
        let retry = GiveUpRequest {
            delivery_id: due.delivery_id,
            attempt: due.attempt,
            cause: GiveUp::Retry(dripline_domain::delivery::Reason::new("plugin_trap", "oops")),
        };
        let answer =
            give_up(pool, &stage.clock, &policy, stage.id(), Uuid::new_v4(), &[retry]).await;
        let requeued = matches!(answer.unwrap()[0], Finished::Requeued { .. });
        assert_eq!(requeued, expected_requeue);
        stage.acknowledge(&tickets).await;
        stage.advance(3_600);
        // The one that stays queued has lost its ticket each time.
        assert_eq!(sweep::missing_tickets(pool, &stage.clock, GRACE).await.unwrap(), 1);
    }
    // Closed means cancelled once the workflow is.
    fence_workflow(pool, &stage.clock, &closing(scene.workflow_id)).await.unwrap();
    let answer = give_up(pool, &stage.clock, &policy, stage.id(), Uuid::new_v4(), &gone[3..]).await;
    assert_eq!(answer.unwrap(), [Finished::Cancelled]);
    stage.assert_sound().await;
    sweep::unfinished_purges(pool, &stage.clock).await.unwrap();
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    stage.assert_sound().await;
}
