//! Enrolment: what it holds, whom it skips, and what it does when it meets others.

use dripline_domain::ids::{ContactId, WorkflowId};
use dripline_domain::ledger::InsufficientBalance;
use dripline_domain::money::Micros;
use dripline_store::ops::{
    Closing, EnrollError, SkipReason, enroll, fence_workflow, opt_out, pause_workflow,
};
use dripline_store::testing::factory::{
    self, Account, Contacts, Enrolment, PRICE, Route, Scene, Workflow,
};

use crate::support::{Stage, balance};

fn closing(workflow_id: WorkflowId) -> Closing {
    Closing { workflow_id, actor: "test".to_owned(), reason: None }
}

#[tokio::test]
async fn a_chunk_enrols_once_however_often_it_runs() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::create(pool, &stage.clock, 3, 5).await;
    let chunk = Enrolment::default().chunk(scene.workflow_id, &scene.contacts);
    let first = enroll(pool, &stage.clock, &chunk).await.unwrap();
    assert_eq!((first.enrolled.len(), first.segments, first.held.0), (5, 15, 15 * PRICE.0));
    let again = enroll(pool, &stage.clock, &chunk).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(stage.balance(scene.account_id).await.held, Micros(15 * PRICE.0));
    assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 5);
    stage.assert_sound().await;
}

#[tokio::test]
async fn those_who_cannot_be_enrolled_are_skipped_with_their_reason() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::create(pool, &stage.clock, 1, 4).await;
    let one = Enrolment { steps: Some(1), ..Enrolment::default() };
    let busy = Workflow { name: Some("busy".to_owned()), ..Workflow::with_steps(1) };
    let busy = busy.create(pool, &stage.clock, scene.account_id).await;
    one.create(pool, &stage.clock, busy, &scene.contacts[..1]).await;
    one.create(pool, &stage.clock, scene.workflow_id, &scene.contacts[1..2]).await;
    opt_out(pool, &stage.clock, scene.contacts[2], "test").await.unwrap();
    let stranger = {
        let other = Account::default().create(pool, &stage.clock).await;
        Contacts::many(1).create(pool, &stage.clock, other).await[0]
    };
    let nobody = ContactId(-7);
    let mut contacts = scene.contacts.clone();
    contacts.extend([stranger, nobody, scene.contacts[3]]);
    let done = one.create(pool, &stage.clock, scene.workflow_id, &contacts).await;
    assert_eq!(done.enrolled, [scene.contacts[3]]);
    assert_eq!(
        done.skipped,
        [
            (nobody, SkipReason::NotFound),
            (scene.contacts[0], SkipReason::InOtherWorkflow { name: "busy".to_owned() }),
            (scene.contacts[1], SkipReason::AlreadyEnrolled),
            (scene.contacts[2], SkipReason::OptedOut),
            (stranger, SkipReason::NotFound),
            (scene.contacts[3], SkipReason::AlreadyEnrolled),
        ]
    );
    assert_eq!(done.held, PRICE);
    stage.assert_sound().await;
}

#[tokio::test]
async fn nobody_is_enrolled_without_the_money_for_all() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let account = Account { available: Some(Micros(10 * PRICE.0)), ..Account::default() };
    let account_id = account.create(pool, &stage.clock).await;
    Route::default().create(pool, &stage.clock, account_id).await;
    let workflow_id = Workflow::with_steps(3).create(pool, &stage.clock, account_id).await;
    let contacts = Contacts::many(4).create(pool, &stage.clock, account_id).await;
    // The whole needs twelve; the first chunk alone would fit.
    let mut chunk = Enrolment::default().chunk(workflow_id, &contacts[..2]);
    chunk.required = Micros(12 * PRICE.0);
    let error = enroll(pool, &stage.clock, &chunk).await.unwrap_err();
    let EnrollError::InsufficientBalance(InsufficientBalance { needed, available }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((needed.0, available.0), (12 * PRICE.0, 10 * PRICE.0));
    // A lie about the whole is found out by the balance itself.
    let mut chunk = Enrolment::default().chunk(workflow_id, &contacts);
    chunk.required = PRICE;
    let error = enroll(pool, &stage.clock, &chunk).await.unwrap_err();
    assert!(matches!(error, EnrollError::InsufficientBalance(_)), "{error:?}");
    assert_eq!(stage.balance(account_id).await, balance(10 * PRICE.0, 0, 0));
    assert_eq!(stage.count("SELECT count(*) FROM enrollments").await, 0);
    assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 0);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_workflow_that_changed_or_is_being_purged_takes_nobody() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::create(pool, &stage.clock, 3, 3).await;
    let enrolment = Enrolment::default();
    let refusal = async |chunk| enroll(pool, &stage.clock, &chunk).await.unwrap_err();

    let mut old = enrolment.chunk(scene.workflow_id, &scene.contacts);
    old.revision = 7;
    let error = refusal(old).await;
    assert!(matches!(error, EnrollError::WorkflowChanged { priced: 7, found: 1 }), "{error:?}");
    let short = Enrolment { steps: Some(2), ..enrolment };
    let error = refusal(short.chunk(scene.workflow_id, &scene.contacts)).await;
    assert!(matches!(error, EnrollError::WrongSteps { priced: 2, steps: 3, .. }), "{error:?}");
    let error = refusal(enrolment.chunk(WorkflowId(-1), &scene.contacts)).await;
    assert!(matches!(error, EnrollError::WorkflowNotFound(_)), "{error:?}");

    enrolment.create(pool, &stage.clock, scene.workflow_id, &scene.contacts[..1]).await;
    fence_workflow(pool, &stage.clock, &closing(scene.workflow_id)).await.unwrap();
    let error = refusal(enrolment.chunk(scene.workflow_id, &scene.contacts)).await;
    assert!(matches!(error, EnrollError::PurgeUnfinished { .. }), "{error:?}");
    dripline_store::sweep::unfinished_purges(pool, &stage.clock).await.unwrap();
    let done = enrolment.create(pool, &stage.clock, scene.workflow_id, &scene.contacts).await;
    assert_eq!(done.enrolled.len(), 3);
    stage.assert_sound().await;
}

#[tokio::test]
async fn two_that_enrol_the_same_contacts_enrol_each_once() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::create(pool, &stage.clock, 2, 300).await;
    let other = Workflow::with_steps(2).create(pool, &stage.clock, scene.account_id).await;
    let enrolment = Enrolment { steps: Some(2), ..Enrolment::default() };
    let chunks: Vec<_> = [scene.workflow_id, other, scene.workflow_id, other]
        .map(|workflow_id| enrolment.chunk(workflow_id, &scene.contacts))
        .into();
    let enrolling = chunks.iter().map(|chunk| enroll(pool, &stage.clock, chunk));
    let mut enrolled = 0;
    for done in futures::future::join_all(enrolling).await {
        let done = done.unwrap();
        assert_eq!(done.enrolled.len() + done.skipped.len(), 300);
        enrolled += done.enrolled.len();
    }
    assert_eq!(enrolled, 300);
    assert_eq!(stage.balance(scene.account_id).await.held, Micros(600 * PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_enrolment_that_races_with_a_pause_is_before_it_or_after_it() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let account_id = Account::default().create(pool, &stage.clock).await;
    Route::default().create(pool, &stage.clock, account_id).await;
    let contacts = Contacts::many(60).create(pool, &stage.clock, account_id).await;
    let workflow = Workflow {
        steps: Some(vec![factory::step(std::time::Duration::ZERO)]),
        ..Workflow::default()
    };
    let workflow_id = workflow.create(pool, &stage.clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    for _ in 0..30 {
        let chunks: Vec<_> =
            contacts.chunks(20).map(|some| enrolment.chunk(workflow_id, some)).collect();
        let enrolling =
            futures::future::join_all(chunks.iter().map(|chunk| enroll(pool, &stage.clock, chunk)));
        let closing = closing(workflow_id);
        let (enrolled, paused) =
            tokio::join!(enrolling, pause_workflow(pool, &stage.clock, &closing));
        let paused = paused.unwrap();
        let mut inside = 0;
        for done in enrolled {
            match done {
                Ok(done) => inside += done.enrolled.len() as u64,
                Err(EnrollError::PurgeUnfinished { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let live = stage.count("SELECT count(*) FROM enrollments WHERE exit_cause IS NULL").await;
        assert_eq!(paused.removed + u64::try_from(live).unwrap(), inside);
        pause_workflow(pool, &stage.clock, &closing).await.unwrap();
    }
    assert_eq!(stage.balance(account_id).await.held, Micros::ZERO);
    assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 0);
    stage.assert_sound().await;
}
