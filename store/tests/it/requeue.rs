//! Failed deliveries and their way back.

use std::time::Duration;

use dripline_domain::clock::Clock as _;
use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::{ContactId, DeliveryId};
use dripline_domain::money::Micros;
use dripline_store::listing::failed::{self, FailedDelivery, FailedFilter, RequeueObstacle};
use dripline_store::ops::{
    Closing, EnrollError, Finished, GiveUp, GiveUpRequest, PricedContact, Repeat, RequeueChunk,
    Requeued, Resolved, StaleReason, StaleRepeat, Start, StartRequest, delete_workflow, give_up,
    opt_out, requeue,
};
use dripline_store::plan::{self, Then, UnknownFilter};
use dripline_store::testing::factory::{
    ACTOR, Account, Contacts, Enrolment, PRICE, Scene, Workflow, step,
};
use uuid::Uuid;

use crate::evidence::says;
use crate::repeats::again;
use crate::support::{Stage, accepted, balance, outcomes, policy, refused, requests};

const FULL: i64 = 1_000_000_000_000;

async fn failed(stage: &Stage, scene: &Scene) -> Vec<FailedDelivery> {
    let filter = FailedFilter::default();
    failed::page(stage.pool(), scene.account_id, &filter, None, 1_000).await.unwrap()
}

fn priced(contact_id: ContactId, steps: usize) -> PricedContact {
    Enrolment { steps: Some(steps), ..Enrolment::default() }.price(contact_id)
}

fn chunk(scene: &Scene, failed: &[FailedDelivery], steps: usize) -> RequeueChunk {
    RequeueChunk {
        workflow_id: scene.workflow_id,
        revision: 1,
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        deliveries: failed
            .iter()
            .map(|one| (one.delivery_id, priced(one.contact_id, steps)))
            .collect(),
        required: Micros::ZERO,
    }
}

async fn run(stage: &Stage, chunk: &RequeueChunk) -> Requeued {
    requeue(stage.pool(), &stage.clock, chunk).await.unwrap()
}

/// Three steps, of which everybody's first was sent and whose second failed.
async fn failed_at_the_second(stage: &Stage, contacts: usize) -> Scene {
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 3, contacts).await;
    stage.send_due(&accepted()).await;
    stage.send_due(&refused()).await;
    scene
}

#[tokio::test]
async fn a_requeued_message_begins_at_its_step_and_holds_only_what_is_to_come() {
    let stage = Stage::new().await;
    let scene = failed_at_the_second(&stage, 4).await;
    let price = PRICE.0;
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - 4 * price, 0, 4 * price));
    let found = failed(&stage, &scene).await;
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|one| one.position == 2 && one.obstacle.is_none()));
    assert!(found.iter().all(|one| one.reason.code == "twilio:30006"));

    let chunk = chunk(&scene, &found, 3);
    let done = run(&stage, &chunk).await;
    assert_eq!((done.requeued.len(), done.segments, done.held), (4, 8, Micros(8 * price)));
    assert!(done.skipped.is_empty());
    // Its COMMIT may have got no answer.
    assert_eq!(run(&stage, &chunk).await, done);
    stage.assert_sound().await;
    assert_eq!(
        stage.balance(scene.account_id).await,
        balance(FULL - 12 * price, 8 * price, 4 * price)
    );

    let (tickets, due) = stage.claim_due().await;
    assert!(due.len() == 4 && due.iter().all(|due| due.position == 2 && due.attempt == 0));
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts, &accepted())).await;
    stage.acknowledge(&tickets).await;
    stage.send_due(&accepted()).await;
    stage.assert_sound().await;
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - 12 * price, 0, 12 * price));
    let exits = stage.exits(scene.contacts[0]).await;
    assert_eq!(exits, [Some("failed".to_owned()), Some("finished".to_owned())]);
    // The failed ones are what they were.
    let states = stage.states(scene.workflow_id).await;
    assert_eq!(states.iter().filter(|state| **state == DeliveryState::Failed).count(), 4);
    let found = failed(&stage, &scene).await;
    assert!(found.iter().all(|one| one.obstacle == Some(RequeueObstacle::AlreadyRequeued)));
}

#[tokio::test]
async fn a_failed_message_is_requeued_once_and_its_successor_in_its_turn() {
    let stage = Stage::new().await;
    let scene = failed_at_the_second(&stage, 3).await;
    let first = failed(&stage, &scene).await;
    run(&stage, &chunk(&scene, &first, 3)).await;
    let again = run(&stage, &chunk(&scene, &first, 3)).await;
    assert!(again.requeued.is_empty() && again.held == Micros::ZERO);
    assert!(again.skipped.iter().all(|(_, why)| *why == RequeueObstacle::AlreadyRequeued));
    stage.send_due(&refused()).await;
    stage.assert_sound().await;

    let second = failed(&stage, &scene).await;
    assert_eq!(second.len(), 6);
    let done = run(&stage, &chunk(&scene, &second, 3)).await;
    assert_eq!((done.requeued.len(), done.skipped.len()), (3, 3));
    stage.send_due(&accepted()).await;
    stage.send_due(&accepted()).await;
    stage.assert_sound().await;
    assert_eq!(stage.balance(scene.account_id).await.held, Micros::ZERO);
}

#[tokio::test]
async fn two_at_once_requeue_each_message_once() {
    let stage = Stage::new().await;
    let scene = failed_at_the_second(&stage, 40).await;
    let found = failed(&stage, &scene).await;
    let (one, other) = (chunk(&scene, &found, 3), chunk(&scene, &found, 3));
    let (one, other) = tokio::join!(run(&stage, &one), run(&stage, &other));
    assert_eq!(one.requeued.len() + other.requeued.len(), 40);
    assert_eq!(one.skipped.len() + other.skipped.len(), 40);
    assert_eq!(stage.balance(scene.account_id).await.held, Micros(80 * PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_cannot_be_is_left_out_with_its_reason() {
    let stage = Stage::new().await;
    let scene = failed_at_the_second(&stage, 5).await;
    let [enrolled, elsewhere, stopped, ..] = scene.contacts[..] else { panic!("five contacts") };
    let enrolment = Enrolment::default();
    enrolment.create(stage.pool(), &stage.clock, scene.workflow_id, &[enrolled]).await;
    let other = Workflow::with_steps(3).create(stage.pool(), &stage.clock, scene.account_id).await;
    enrolment.create(stage.pool(), &stage.clock, other, &[elsewhere]).await;
    opt_out(stage.pool(), &stage.clock, stopped, ACTOR).await.unwrap();
    let found = failed(&stage, &scene).await;
    let obstacle = |contact| {
        let one = found.iter().find(|one| one.contact_id == contact).unwrap();
        one.obstacle.clone()
    };
    assert_eq!(obstacle(enrolled), Some(RequeueObstacle::AlreadyEnrolled));
    assert!(matches!(obstacle(elsewhere), Some(RequeueObstacle::InOtherWorkflow { .. })));
    assert_eq!(obstacle(stopped), Some(RequeueObstacle::OptedOut));

    // The operation decides again, whatever the plan said.
    let mut chunk = chunk(&scene, &found, 3);
    chunk.deliveries.push((DeliveryId(1), priced(scene.contacts[4], 3)));
    let done = run(&stage, &chunk).await;
    assert_eq!(done.requeued.len(), 2);
    let mut reasons: Vec<_> = done.skipped.iter().map(|(_, why)| format!("{why:?}")).collect();
    reasons.sort();
    assert_eq!(reasons.len(), 4);
    assert!(reasons[0] == "AlreadyEnrolled" && reasons[1].starts_with("InOtherWorkflow"));
    assert_eq!(reasons[2..], ["NotFailed", "OptedOut"]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_was_sent_after_all_is_not_sent_again() {
    let stage = Stage::new().await;
    let scene = failed_at_the_second(&stage, 2).await;
    let before = failed(&stage, &scene).await;
    let said = says(before[0].delivery_id, Evidence::Receipt);
    let heard = stage.resolve(&[said]).await;
    assert_eq!(heard, [Resolved::Contradicted { state: DeliveryState::Failed }]);
    let found = failed(&stage, &scene).await;
    let obstacles: Vec<_> = found.iter().map(|one| one.obstacle.clone()).collect();
    assert_eq!(obstacles, [Some(RequeueObstacle::SaidSent), None]);
    // Also when it was said after the plan was made.
    let done = run(&stage, &chunk(&scene, &before, 3)).await;
    assert_eq!(done.requeued.len(), 1);
    assert_eq!(done.skipped, [(before[0].delivery_id, RequeueObstacle::SaidSent)]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_edited_or_deleted_workflow_takes_nothing_up() {
    let stage = Stage::new().await;
    let scene = failed_at_the_second(&stage, 2).await;
    sqlx::query("UPDATE workflows SET revision = 2").execute(stage.pool()).await.unwrap();
    let found = failed(&stage, &scene).await;
    assert!(found.iter().all(|one| one.obstacle == Some(RequeueObstacle::WorkflowEdited)));
    let stale = requeue(stage.pool(), &stage.clock, &chunk(&scene, &found, 3)).await;
    assert!(matches!(stale, Err(EnrollError::WorkflowChanged { priced: 1, found: 2 })));
    let current = RequeueChunk { revision: 2, ..chunk(&scene, &found, 3) };
    let done = run(&stage, &current).await;
    assert!(done.requeued.is_empty());
    assert!(done.skipped.iter().all(|(_, why)| *why == RequeueObstacle::WorkflowEdited));

    let closing = Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
    delete_workflow(stage.pool(), &stage.clock, &closing).await.unwrap();
    let found = failed(&stage, &scene).await;
    assert!(found.iter().all(|one| one.obstacle == Some(RequeueObstacle::WorkflowDeleted)));
    let gone = requeue(stage.pool(), &stage.clock, &current).await;
    assert!(matches!(gone, Err(EnrollError::WorkflowNotFound(_))));
    stage.assert_sound().await;
}

#[tokio::test]
async fn too_small_a_balance_requeues_nothing() {
    let stage = Stage::new().await;
    let account = Account { available: Some(Micros(4 * PRICE.0)), ..Account::default() };
    let account_id = account.create(stage.pool(), &stage.clock).await;
    let route = dripline_store::testing::factory::Route::default();
    let route_id = route.create(stage.pool(), &stage.clock, account_id).await;
    let workflow = Workflow { steps: Some(vec![step(Duration::ZERO); 2]), ..Workflow::default() };
    let workflow_id = workflow.create(stage.pool(), &stage.clock, account_id).await;
    let contacts = Contacts::many(2).create(stage.pool(), &stage.clock, account_id).await;
    let scene = Scene { account_id, route_id, workflow_id, contacts };
    let enrolment = Enrolment { steps: Some(2), ..Enrolment::default() };
    enrolment.create(stage.pool(), &stage.clock, workflow_id, &scene.contacts).await;
    stage.send_due(&accepted()).await;
    stage.send_due(&refused()).await;
    let found = failed(&stage, &scene).await;
    let mut chunk = chunk(&scene, &found, 2);
    chunk.required = Micros(3 * PRICE.0);
    let short = requeue(stage.pool(), &stage.clock, &chunk).await;
    let Err(EnrollError::InsufficientBalance(short)) = short else { panic!("{short:?}") };
    assert_eq!((short.needed, short.available), (Micros(3 * PRICE.0), Micros(2 * PRICE.0)));
    assert_eq!(stage.count("SELECT count(*) FROM enrollments").await, 2);
    chunk.required = Micros(2 * PRICE.0);
    assert_eq!(run(&stage, &chunk).await.requeued.len(), 2);
    stage.assert_sound().await;
}

#[tokio::test]
async fn failures_are_found_by_workflow_reason_time_and_id() {
    let stage = Stage::new().await;
    let scene = failed_at_the_second(&stage, 3).await;
    stage.advance(3_600);
    let later = failed_at_the_second(&stage, 2).await;
    let down = AttemptOutcome::Refused(Reason::new("connect", "refused"));
    let other = Workflow::with_steps(3).create(stage.pool(), &stage.clock, scene.account_id).await;
    let contacts = Contacts::many(2).create(stage.pool(), &stage.clock, scene.account_id).await;
    Enrolment::default().create(stage.pool(), &stage.clock, other, &contacts).await;
    stage.send_due(&down).await;
    assert_eq!(failed(&stage, &later).await.len(), 2, "another account's are not ours");
    let all = failed(&stage, &scene).await;
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted_by(|a, b| a.delivery_id > b.delivery_id));
    let check = async |filter: FailedFilter, expected: usize| {
        let found = failed::page(stage.pool(), scene.account_id, &filter, None, 100).await;
        assert_eq!(found.unwrap().len(), expected, "{filter:?}");
    };
    let none = FailedFilter::default;
    check(FailedFilter { workflow_id: Some(scene.workflow_id), ..none() }, 3).await;
    check(FailedFilter { reason_code: Some("connect".to_owned()), ..none() }, 2).await;
    check(FailedFilter { since: Some(all[0].failed_at), ..none() }, 2).await;
    let ids = Some(vec![all[0].delivery_id, all[4].delivery_id]);
    check(FailedFilter { delivery_ids: ids, ..none() }, 2).await;
    let (everything, behind) = (none(), Some(all[1].delivery_id));
    let rest = failed::page(stage.pool(), scene.account_id, &everything, behind, 2).await;
    assert_eq!(rest.unwrap(), all[2..4]);
}

/// Marks whatever is due. Gives the attempts and their tickets.
async fn mark_due(stage: &Stage) -> (Vec<String>, Vec<StartRequest>) {
    let (tickets, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    let started = stage.start(&starts).await;
    assert!(started.iter().all(|start| matches!(start, Start::Started { .. })), "{started:?}");
    (tickets, starts)
}

/// What was requeued, once and then again after it had failed too.
async fn requeued(stage: &Stage, times: usize) -> (Scene, DeliveryId) {
    let scene = failed_at_the_second(stage, 1).await;
    let first = failed(stage, &scene).await[0].delivery_id;
    for time in 0..times {
        if time > 0 {
            stage.send_due(&refused()).await;
        }
        let found = failed(stage, &scene).await;
        assert_eq!(run(stage, &chunk(&scene, &found, 3)).await.requeued.len(), 1);
    }
    (scene, first)
}

/// Its enrollment goes on with the third step, and only the first and the third are paid.
async fn assert_it_goes_on(stage: &Stage, scene: &Scene) {
    stage.assert_sound().await;
    assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
    stage.advance(7_200);
    let (tickets, due) = stage.claim_due().await;
    assert_eq!(due.iter().map(|due| due.position).collect::<Vec<_>>(), [3]);
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts, &accepted())).await;
    stage.acknowledge(&tickets).await;
    stage.assert_sound().await;
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - 2 * PRICE.0, 0, 2 * PRICE.0));
    assert_eq!(stage.exits(scene.contacts[0]).await.last(), Some(&Some("finished".to_owned())));
}

#[tokio::test]
async fn what_was_sent_after_all_is_not_sent_by_what_takes_it_up() {
    for times in [1, 2] {
        let stage = Stage::new().await;
        let (scene, first) = requeued(&stage, times).await;
        let heard = stage.resolve(&[says(first, Evidence::Receipt)]).await;
        assert_eq!(heard, [Resolved::Contradicted { state: DeliveryState::Failed }]);
        let (tickets, due) = stage.claim_due().await;
        let starts = requests(&due, 1);
        assert_eq!(stage.start(&starts).await, [Start::Stale(StaleReason::SaidSent)]);
        let delivery_id = due[0].delivery_id;
        let request = GiveUpRequest { delivery_id, attempt: 0, cause: GiveUp::Closed };
        let batch_id = Uuid::new_v4();
        for expected in [Finished::Cancelled, Finished::AlreadyDone] {
            let (pool, clock) = (stage.pool(), &stage.clock);
            let one = std::slice::from_ref(&request);
            let done = give_up(pool, clock, &policy(), stage.id(), batch_id, one).await;
            assert_eq!(done.unwrap(), [expected]);
        }
        stage.acknowledge(&tickets).await;
        let reason = stage.show(delivery_id).await.delivery.reason.unwrap();
        assert_eq!(reason.code, "said_sent");
        assert_it_goes_on(&stage, &scene).await;
    }
}

#[tokio::test]
async fn what_takes_it_up_and_is_on_the_wire_is_not_tried_again() {
    let not_sent =
        AttemptOutcome::NotSent { reason: Reason::new("connect", "refused"), retry_after: None };
    for outcome in [refused(), not_sent] {
        let stage = Stage::new().await;
        let (scene, first) = requeued(&stage, 1).await;
        let (tickets, starts) = mark_due(&stage).await;
        stage.resolve(&[says(first, Evidence::Carrier(Finding::Sent))]).await;
        let finished = stage.finish(&outcomes(&starts, &outcome)).await;
        assert_eq!(finished, [Finished::Cancelled]);
        stage.acknowledge(&tickets).await;
        assert_it_goes_on(&stage, &scene).await;
    }
}

#[tokio::test]
async fn what_takes_it_up_and_is_unknown_ends_as_its_plan_says() {
    let stage = Stage::new().await;
    let (scene, first) = requeued(&stage, 1).await;
    let lost = stage.lose_due().await;
    stage.resolve(&[says(first, Evidence::Receipt)]).await;
    let (filter, policy) = (UnknownFilter::default(), policy());
    let now = stage.clock.now();
    let found =
        plan::resolve(stage.pool(), scene.account_id, &filter, Finding::NotSent, &policy, now);
    let plan = found.await.unwrap().pop().unwrap();
    assert_eq!((plan.becomes, plan.then), (DeliveryState::Cancelled, Then::GoesOn));
    assert_eq!((plan.captured_micros, plan.released_micros), (Micros::ZERO, PRICE));
    let before = stage.balance(scene.account_id).await.available;
    let not = says(lost[0].delivery_id, Evidence::Operator(Finding::NotSent));
    assert_eq!(stage.resolve(&[not]).await, [Resolved::Decided(Finished::Cancelled)]);
    let after = stage.balance(scene.account_id).await.available;
    assert_eq!(after - before, plan.released_micros);
    assert_it_goes_on(&stage, &scene).await;
}

#[tokio::test]
async fn who_requeues_and_who_says_it_was_sent_do_not_send_it_twice() {
    for _ in 0..20 {
        let stage = Stage::new().await;
        let scene = failed_at_the_second(&stage, 1).await;
        let found = failed(&stage, &scene).await;
        let (chunk, late) =
            (chunk(&scene, &found, 3), [says(found[0].delivery_id, Evidence::Receipt)]);
        let (done, _) = tokio::join!(run(&stage, &chunk), stage.resolve(&late));
        let (_, due) = stage.claim_due().await;
        assert_eq!(due.len(), done.requeued.len());
        if due.is_empty() {
            assert_eq!(done.skipped[0].1, RequeueObstacle::SaidSent);
        } else {
            let started = stage.start(&requests(&due, 1)).await;
            assert_eq!(started, [Start::Stale(StaleReason::SaidSent)]);
        }
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn who_requeues_the_last_of_a_chain_does_not_send_it_behind_the_word() {
    for _ in 0..20 {
        let stage = Stage::new().await;
        let (scene, first) = requeued(&stage, 1).await;
        stage.send_due(&refused()).await;
        let found = failed(&stage, &scene).await;
        let last: Vec<_> = found.into_iter().filter(|one| one.delivery_id != first).collect();
        let (chunk, late) = (chunk(&scene, &last, 3), [says(first, Evidence::Receipt)]);
        let (done, _) = tokio::join!(run(&stage, &chunk), stage.resolve(&late));
        let (_, due) = stage.claim_due().await;
        assert_eq!(due.len(), done.requeued.len());
        if !due.is_empty() {
            let started = stage.start(&requests(&due, 1)).await;
            assert_eq!(started, [Start::Stale(StaleReason::SaidSent)]);
        }
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn what_takes_it_up_is_not_made_again_under_its_key() {
    let stage = Stage::new().await;
    let (_, first) = requeued(&stage, 1).await;
    let lost = stage.lose_keyed().await;
    stage.resolve(&[says(first, Evidence::Receipt)]).await;
    let repeated = stage.repeat(&[again(&lost[0])]).await;
    assert_eq!(repeated, [Repeat::Stale(StaleRepeat::SaidSent)]);
}
