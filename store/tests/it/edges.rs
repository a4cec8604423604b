//! Where one more or one less makes the difference.

use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::{OperationId, WorkerId};
use dripline_domain::ledger::{EntryKind, Hold};
use dripline_domain::money::Micros;
use dripline_domain::receipt::ReceiptStatus;
use dripline_domain::workflow::SurplusPolicy;
use dripline_store::ledger::{self, LedgerEntry, LedgerFilter};
use dripline_store::listing::failed::RequeueObstacle;
use dripline_store::ops::{
    Closing, CreateRouteError, Finished, GiveUp, GiveUpRequest, InvalidRoute, NewEnrolment,
    PurgeProgress, Receipt, ReceiptOf, Received, Repeat, RequeueChunk, Resolution, Resolved,
    StaleReason, Start, begin_enrolment, create_route, end_enrolment, fence_workflow, give_up,
    opt_out, pause_workflow, purge, purge_chunk, record_receipts, requeue,
};
use dripline_store::route::RouteDraft;
use dripline_store::testing::factory::{
    ACTOR, Account, Contacts, Enrolment, PRICE, Route, Scene, Workflow,
};
use dripline_store::testing::route_of;
use dripline_store::{installation, trail};
use uuid::Uuid;

use crate::evidence::says;
use crate::repeats::again;
use crate::support::{Stage, accepted, balance, not_sent, outcomes, policy, refused, requests};

const FULL: i64 = 1_000_000_000_000;

impl Stage {
    /// The account's entries of that kind, the newest first.
    async fn entries(&self, scene: &Scene, kind: EntryKind) -> Vec<LedgerEntry> {
        let filter = LedgerFilter { kind: Some(kind), ..LedgerFilter::default() };
        ledger::list(self.pool(), scene.account_id, &filter).await.unwrap()
    }
}

fn closing(scene: &Scene) -> Closing {
    Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None }
}

#[tokio::test]
async fn a_reserve_of_money_without_segments_comes_back() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = Scene::create(pool, clock, 1, 0).await;
    for reserved in [
        Hold { segments: 0, micros: PRICE },
        Hold { segments: 1, micros: Micros::ZERO },
        Hold { segments: 1, micros: PRICE },
    ] {
        let new = NewEnrolment {
            segments: reserved.segments,
            micros: reserved.micros,
            ..NewEnrolment::of(scene.workflow_id, 1, ACTOR, &[])
        };
        let begun = begin_enrolment(pool, clock, &new).await.unwrap();
        let available = FULL - reserved.micros.0;
        let held = reserved.micros.0;
        assert_eq!(stage.balance(scene.account_id).await, balance(available, held, 0));
        let rest = end_enrolment(pool, clock, begun.operation_id).await.unwrap();
        assert_eq!(rest, reserved.micros);
        assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn who_was_passed_over_by_a_purge_is_taken_out_behind_all_others() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 5).await;
    let fenced = fence_workflow(stage.pool(), &stage.clock, &closing(&scene)).await.unwrap();
    sqlx::query("UPDATE operations SET purged_to_contact_id = $1")
        .bind(scene.contacts[2].0)
        .execute(stage.pool())
        .await
        .unwrap();
    let mut left = Vec::new();
    for removed in [2, 2, 1] {
        let done = purge_chunk(stage.pool(), &stage.clock, fenced.operation_id, 2).await.unwrap();
        assert_eq!((done.removed, done.done), (removed, removed < 2));
        for (place, contact) in scene.contacts.iter().enumerate() {
            if stage.exits(*contact).await != [None] && !left.contains(&place) {
                left.push(place);
            }
        }
    }
    assert_eq!(left, [3, 4, 0, 1, 2]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_pause_that_gives_nothing_back_writes_no_entry() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let (_, due) = stage.claim_due().await;
    stage.start(&requests(&due, 1)).await;
    let paused = pause_workflow(stage.pool(), &stage.clock, &closing(&scene)).await.unwrap();
    assert_eq!((paused.removed, paused.cancelled, paused.in_flight.len()), (2, 0, 2));
    assert!(stage.entries(&scene, EntryKind::Release).await.is_empty());
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_enrolment_of_nobody_writes_no_entry() {
    let stage = Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 3, 1).await;
    opt_out(stage.pool(), &stage.clock, scene.contacts[0], ACTOR).await.unwrap();
    let enrolled = Enrolment::default()
        .create(stage.pool(), &stage.clock, scene.workflow_id, &scene.contacts)
        .await;
    assert_eq!((enrolled.enrolled.len(), enrolled.skipped.len()), (0, 1));
    assert!(stage.entries(&scene, EntryKind::Hold).await.is_empty());
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_entry_names_the_worker_and_the_one_workflow_of_its_rows() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = Scene::enrolled(pool, clock, 2, 2).await;
    stage.send_due(&accepted()).await;
    let second = Workflow::with_steps(1).create(pool, clock, scene.account_id).await;
    let contacts = Contacts::many(1).create(pool, clock, scene.account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, clock, second, &contacts).await;
    stage.send_due(&accepted()).await;

    let captures = stage.entries(&scene, EntryKind::Capture).await;
    let workflows: Vec<_> = captures.iter().map(|entry| entry.workflow_id).collect();
    assert_eq!(workflows, [None, Some(scene.workflow_id)]);
    let WorkerId(worker) = stage.id();
    assert!(captures.iter().all(|entry| entry.actor == format!("worker {worker}")));
}

#[tokio::test]
async fn of_two_reports_that_say_the_same_the_first_is_kept() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts, &accepted())).await;
    let installation = installation::id(stage.pool()).await.unwrap().simple();
    let over = route_of(stage.pool(), due[0].delivery_id).await;
    let report = |status| Receipt {
        over,
        of: ReceiptOf::Ours(format!("{installation}-{}-1", due[0].delivery_id)),
        status,
        carrier_reference: None,
        reason: None,
    };
    let (sent, delivered) = (report(ReceiptStatus::Sent), report(ReceiptStatus::Delivered));
    let reports = [sent, delivered.clone(), delivered];
    let (policy, batch) = (policy(), Uuid::new_v4());
    let received =
        record_receipts(stage.pool(), &stage.clock, &policy, ACTOR, batch, &reports).await;
    assert_eq!(received.unwrap(), [Received::Known, Received::Recorded, Received::Known]);
}

#[tokio::test]
async fn of_two_failed_messages_of_one_contact_the_latest_is_requeued() {
    let stage = Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 1, 1).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    let mut failed = Vec::new();
    for _ in 0..2 {
        enrolment.create(stage.pool(), &stage.clock, scene.workflow_id, &scene.contacts).await;
        let (tickets, due) = stage.claim_due().await;
        let starts = requests(&due, 1);
        stage.start(&starts).await;
        stage.finish(&outcomes(&starts, &refused())).await;
        stage.acknowledge(&tickets).await;
        failed.push(due[0].delivery_id);
    }
    let priced = enrolment.price(scene.contacts[0]);
    let chunk = RequeueChunk {
        workflow_id: scene.workflow_id,
        revision: 1,
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        deliveries: failed.iter().map(|id| (*id, priced.clone())).collect(),
        required: PRICE,
    };
    // Nor is any by a price that is another contact's.
    let stranger = Contacts::many(1).create(stage.pool(), &stage.clock, scene.account_id).await;
    let deliveries = vec![(failed[1], enrolment.price(stranger[0]))];
    let mistaken = RequeueChunk { batch_id: Uuid::new_v4(), deliveries, ..chunk.clone() };
    let done = requeue(stage.pool(), &stage.clock, &mistaken).await.unwrap();
    assert_eq!(done.skipped, [(failed[1], RequeueObstacle::NotFailed)]);

    let done = requeue(stage.pool(), &stage.clock, &chunk).await.unwrap();
    assert_eq!(done.requeued, [failed[1]]);
    assert_eq!(done.skipped, [(failed[0], RequeueObstacle::AlreadyEnrolled)]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_message_for_which_no_segment_is_held_has_no_price_to_grow_by() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let account_id = Account::default().create(pool, clock).await;
    Route::default().create(pool, clock, account_id).await;
    let workflow = Workflow { surplus_policy: SurplusPolicy::Charge, ..Workflow::with_steps(1) };
    let workflow_id = workflow.create(pool, clock, account_id).await;
    let contacts = Contacts::many(1).create(pool, clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), segments: Some(0), ..Enrolment::default() };
    enrolment.create(pool, clock, workflow_id, &contacts).await;
    let (_, due) = stage.claim_due().await;
    let [start] = stage.start(&requests(&due, 1)).await[..] else { panic!("one is due") };
    assert!(matches!(start, Start::OverHold { held_segments: 0, .. }), "{start:?}");
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_one_message_needs_on_top_is_not_booked_to_the_one_beside_it() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let account_id = Account::default().create(pool, clock).await;
    let route_id = Route::default().create(pool, clock, account_id).await;
    let workflow = Workflow { surplus_policy: SurplusPolicy::Charge, ..Workflow::with_steps(1) };
    let workflow_id = workflow.create(pool, clock, account_id).await;
    let contacts = Contacts::many(3).create(pool, clock, account_id).await;
    let scene = Scene { account_id, route_id, workflow_id, contacts };
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, clock, workflow_id, &scene.contacts).await;
    let (_, due) = stage.claim_due().await;
    let mut starts = requests(&due, 1);
    starts[1].segments = 3;
    for start in stage.start(&starts).await {
        assert!(matches!(start, Start::Started { .. }), "{start:?}");
    }
    let holds = stage.entries(&scene, EntryKind::Hold).await;
    assert_eq!((holds[0].items, holds[0].amount_micros), (1, Micros(2 * PRICE.0)));
    let pointing =
        stage.count("SELECT count(*) FROM attempts WHERE extra_hold_entry_id IS NOT NULL");
    assert_eq!(pointing.await, 1);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_late_outcome_that_comes_twice_in_one_batch_settles_once() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts, &not_sent())).await;
    let late = outcomes(&[starts[0], starts[0]], &accepted());
    assert_eq!(stage.finish(&late).await, [Finished::AlreadyDone; 2]);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Sent]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - PRICE.0, 0, PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_route_may_be_free_but_not_pay_and_needs_every_sender() {
    let stage = Stage::new().await;
    let account_id = Account::default().create(stage.pool(), &stage.clock).await;
    let draft = |name: &str, price, senders: &[&str]| RouteDraft {
        name: name.to_owned(),
        carrier: "twilio".to_owned(),
        price_per_segment: Micros(price),
        senders: senders.iter().map(ToString::to_string).collect(),
        ..RouteDraft::default()
    };
    let create = async |draft: RouteDraft| {
        create_route(stage.pool(), &stage.clock, account_id, &draft, ACTOR).await
    };
    create(draft("free", 0, &["+4930123456"])).await.unwrap();
    let done = trail::list(stage.pool(), account_id, None, 1).await.unwrap();
    assert_eq!((done[0].action.as_str(), done[0].subject.as_str()), ("route.create", "free"));
    assert_eq!(done[0].detail["carrier"], "twilio");
    assert_eq!(done[0].detail["senders"], serde_json::json!(["+4930123456"]));

    for (price, senders, wrong) in [
        (-1, &["+4930123456"][..], InvalidRoute::NegativePrice(Micros(-1))),
        (1, &[], InvalidRoute::NoSender),
        (1, &["+4930123456", " "], InvalidRoute::NoSender),
    ] {
        let refused = create(draft("other", price, senders)).await;
        let Err(CreateRouteError::Invalid(found)) = refused else { panic!("{refused:?}") };
        assert_eq!(found.to_string(), wrong.to_string());
    }
}

#[tokio::test]
async fn a_batch_of_marks_that_runs_again_starts_nothing_that_was_settled_since() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    let batch_id = Uuid::new_v4();
    let first = stage.start_as(batch_id, &starts).await;
    stage.finish(&outcomes(&starts[..1], &accepted())).await;
    let again = stage.start_as(batch_id, &starts).await;
    assert_eq!(again, [Start::Stale(StaleReason::NotQueued), first[1]]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_is_unknown_keeps_the_reason_for_which_it_is() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_due().await;
    let other = AttemptOutcome::Unknown(Reason::new("reset", "in the middle of the answer"));
    assert_eq!(stage.finish(&outcomes(&lost, &other)).await, [Finished::Unknown]);
    let shown = stage.show(lost[0].delivery_id).await;
    assert_eq!(shown.attempts[0].reason.as_ref().unwrap().code, "timeout");
}

#[tokio::test]
async fn that_an_attempt_without_a_text_was_sent_does_not_keep_its_message_back() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let (_, due) = stage.claim_due().await;
    let delivery_id = due[0].delivery_id;
    let cause = GiveUp::Retry(Reason::new("plugin", "a trap"));
    let request = [GiveUpRequest { delivery_id, attempt: 0, cause }];
    let (policy, batch) = (policy(), Uuid::new_v4());
    let given = give_up(stage.pool(), &stage.clock, &policy, stage.id(), batch, &request).await;
    assert!(matches!(given.unwrap()[..], [Finished::Requeued { .. }]));
    let sent = Evidence::Carrier(Finding::Sent);
    let said = Resolution { attempt: Some(1), ..says(delivery_id, sent) };
    let heard = stage.resolve(&[said]).await;
    assert_eq!(heard, [Resolved::Contradicted { state: DeliveryState::Queued }]);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Queued]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_attempt_that_cannot_be_is_not_repeated() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let mut request = again(&stage.lose_keyed().await[0]);
    request.attempt = u32::MAX;
    let repeated = stage.repeat(&[request]).await;
    assert!(matches!(repeated[..], [Repeat::Stale(_)]), "{repeated:?}");
}

#[tokio::test]
async fn the_purge_of_nothing_is_done() {
    let stage = Stage::new().await;
    let done = purge(stage.pool(), &stage.clock, OperationId(-1)).await.unwrap();
    assert_eq!(done, PurgeProgress { done: true, ..PurgeProgress::default() });
}
