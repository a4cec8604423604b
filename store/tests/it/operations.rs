//! Operations: removals by filter, what a pause records, and enrolments of many chunks.

use dripline_domain::ids::{ContactId, EnrollmentId, OperationId};
use dripline_domain::ledger::InsufficientBalance;
use dripline_domain::money::Micros;
use dripline_store::listing::enrollments::{self, EnrollmentFilter};
use dripline_store::listing::operations::{self, Operation};
use dripline_store::ops::{
    Closing, EnrollChunk, EnrollError, NewEnrolment, Removal, Removals, begin_enrolment,
    begin_removal, end_enrolment, enroll, enroll_reserved, fence_workflow, opt_out, pause_workflow,
    purge, purge_chunk, remove_contact, remove_contacts, top_up,
};
use dripline_store::plan::{self, RemovalsPlan};
use dripline_store::selection::{Audience, Conditions, EnrollmentConditions, Selection};
use dripline_store::testing::factory::{
    ACTOR, Account, Contacts, Enrolment, PRICE, Route, Scene, Workflow,
};
use dripline_store::{selection, sweep, workflow};
use uuid::Uuid;

use crate::support::{Stage, accepted, balance, not_sent, outcomes, requests, unknown};

fn micros(segments: i64) -> Micros {
    Micros(segments * PRICE.0)
}

fn closing(scene: &Scene) -> Closing {
    Closing { workflow_id: scene.workflow_id, actor: "anna".to_owned(), reason: None }
}

/// Gives every third contact of the scene a city, and every second one a time zone of its own.
async fn furnish(stage: &Stage) {
    sqlx::raw_sql(
        "UPDATE contacts SET fields = fields || '{\"city\": \"Rome\"}' WHERE contact_id % 3 = 0;
         UPDATE contacts SET fields = fields || '{\"city\": \"Oslo\"}' WHERE contact_id % 3 = 1;
         UPDATE contacts SET time_zone = 'Europe/Rome' WHERE contact_id % 2 = 0",
    )
    .execute(stage.pool())
    .await
    .unwrap();
}

fn pair(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

fn rome() -> Audience {
    let conditions = Conditions { equal: pair("city", "Rome"), ..Conditions::default() };
    Audience { among: Selection::All, conditions }
}

async fn planned(stage: &Stage, scene: &Scene, audience: &Audience) -> RemovalsPlan {
    let plan =
        plan::removals(stage.pool(), scene.account_id, scene.workflow_id, audience).await.unwrap();
    assert!(plan.enrollments.is_sorted_by_key(|planned| planned.contact_id));
    plan
}

fn removals(scene: &Scene, plan: &RemovalsPlan) -> Removals {
    Removals {
        account_id: scene.account_id,
        workflow_id: scene.workflow_id,
        enrollments: plan.enrollments.iter().map(|planned| planned.enrollment_id).collect(),
        selection: "all where field.city=Rome".to_owned(),
        batch_id: Uuid::new_v4(),
        actor: "anna".to_owned(),
        reason: Some("moved".to_owned()),
    }
}

async fn recorded(stage: &Stage, id: OperationId) -> Operation {
    operations::show(stage.pool(), id).await.unwrap().unwrap()
}

/// Whom the operation took out.
async fn taken_out(stage: &Stage, scene: &Scene, id: OperationId) -> Vec<ContactId> {
    let filter = EnrollmentFilter { operation_id: Some(id), ..EnrollmentFilter::default() };
    let left = enrollments::list(stage.pool(), scene.account_id, &filter).await.unwrap();
    let mut contacts: Vec<_> = left.into_iter().map(|left| left.contact_id).collect();
    contacts.sort_unstable();
    contacts
}

#[tokio::test]
async fn a_removal_by_filter_takes_out_who_was_shown_and_nobody_else() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = Scene::enrolled(pool, clock, 3, 30).await;
    furnish(&stage).await;
    let (_, due) = stage.claim_due().await;
    let plan = planned(&stage, &scene, &rome()).await;
    assert_eq!(plan.preview().contacts, 10);
    assert_eq!((plan.preview().segments, plan.preview().micros), (30, micros(30)));

    // Between the plan and the deed one leaves, one is on the wire, one was sent, and somebody comes
    // whom the filter would have found.
    let shown: Vec<ContactId> = plan.enrollments.iter().map(|planned| planned.contact_id).collect();
    let left = plan.enrollments[0].enrollment_id;
    let removal = Removal { enrollment_id: left, actor: ACTOR.to_owned(), reason: None };
    remove_contact(pool, clock, &removal).await.unwrap();
    let on_the_wire: Vec<_> =
        due.iter().filter(|due| shown[1..3].contains(&due.contact_id)).cloned().collect();
    let starts = requests(&on_the_wire, 1);
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts[1..], &accepted())).await;
    let newcomer = Contacts::many(1).create(pool, clock, scene.account_id).await;
    furnish(&stage).await;
    sqlx::query("UPDATE contacts SET fields = '{\"city\": \"Rome\"}' WHERE contact_id = $1")
        .bind(newcomer[0].0)
        .execute(pool)
        .await
        .unwrap();
    Enrolment::default().create(pool, clock, scene.workflow_id, &newcomer).await;

    let removals = removals(&scene, &plan);
    let done = remove_contacts(pool, clock, &removals).await.unwrap();
    assert_eq!((done.removed, done.cancelled), (9, 7 * 3 + 2 + 2));
    assert_eq!((done.segments, done.released), (25, micros(25)));
    let in_flight: Vec<_> = done.in_flight.iter().map(|found| found.delivery_id).collect();
    assert_eq!(in_flight, [starts[0].delivery_id]);
    assert_eq!(taken_out(&stage, &scene, done.operation_id).await, shown[1..]);
    assert_eq!(stage.exits(newcomer[0]).await, [None]);
    let live = stage.count("SELECT count(*) FROM enrollments WHERE exit_cause IS NULL").await;
    assert_eq!(live, 21);
    stage.assert_sound().await;

    let receipt = recorded(&stage, done.operation_id).await;
    assert_eq!((receipt.kind.as_str(), receipt.actor.as_str()), ("remove", "anna"));
    assert_eq!(receipt.selection.as_deref(), Some("all where field.city=Rome"));
    let preview = receipt.preview.unwrap();
    assert_eq!((preview.contacts, preview.segments, preview.in_flight), (9, 25, 1));
    assert!(receipt.finished_at.is_some());
    // Begun twice it is the same one, and changes nothing.
    let again = remove_contacts(pool, clock, &removals).await.unwrap();
    assert_eq!((again.operation_id, again.removed), (done.operation_id, 9));

    // What is in flight is in flight until it has an outcome.
    stage.finish(&outcomes(&starts[..1], &unknown())).await;
    let open = plan::still_in_flight(pool, done.operation_id).await.unwrap();
    assert_eq!(open.len(), 1);
    stage.finish(&outcomes(&starts[..1], &not_sent())).await;
    assert_eq!(plan::still_in_flight(pool, done.operation_id).await.unwrap(), []);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_removal_goes_on_after_its_process_died_between_chunks() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = Scene::enrolled(pool, clock, 2, 25).await;
    let audience = Selection::Enrollments(
        enrollments::list(pool, scene.account_id, &EnrollmentFilter::default())
            .await
            .unwrap()
            .iter()
            .take(20)
            .map(|listed| listed.enrollment_id)
            .collect(),
    );
    let plan = planned(&stage, &scene, &audience.into()).await;
    let begun = begin_removal(pool, clock, &removals(&scene, &plan)).await.unwrap();
    assert_eq!((begun.preview.contacts, begun.preview.messages), (20, 40));
    let chunk = purge_chunk(pool, clock, begun.operation_id, 7).await.unwrap();
    assert_eq!((chunk.done, chunk.removed, chunk.cancelled), (false, 7, 14));
    stage.assert_sound().await;
    // Others are enrolled meanwhile, and the workflow is not one that is being purged.
    let found = workflow::load(pool, scene.workflow_id).await.unwrap().unwrap();
    assert_eq!(found.purged_by, None);
    let more = Contacts::many(2).create(pool, clock, scene.account_id).await;
    let two = Enrolment { steps: Some(2), ..Enrolment::default() };
    assert_eq!(two.create(pool, clock, scene.workflow_id, &more).await.enrolled, more);
    // One of those who wait to be removed opts out before.
    let waiting = plan.enrollments[19].contact_id;
    opt_out(pool, clock, waiting, ACTOR).await.unwrap();

    assert_eq!(sweep::unfinished_purges(pool, clock).await.unwrap(), 1);
    let receipt = recorded(&stage, begun.operation_id).await;
    assert_eq!((receipt.removed_enrollments, receipt.released_micros), (19, micros(38)));
    assert!(receipt.finished_at.is_some());
    assert_eq!(stage.exits(waiting).await, [Some("opted_out".to_owned())]);
    assert_eq!(sweep::unfinished_purges(pool, clock).await.unwrap(), 0);
    let held = stage.balance(scene.account_id).await.held;
    assert_eq!(held, micros((5 + 2) * 2));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_removal_of_others_or_of_nobody_does_nothing() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = Scene::enrolled(pool, clock, 1, 2).await;
    let stranger = Scene::enrolled(pool, clock, 1, 1).await;
    let theirs = planned(&stage, &stranger, &Selection::All.into()).await;
    let mut foreign = removals(&scene, &theirs);
    foreign.enrollments.push(EnrollmentId(-1));
    let done = remove_contacts(pool, clock, &foreign).await.unwrap();
    assert_eq!((done.removed, done.released), (0, Micros::ZERO));
    assert!(recorded(&stage, done.operation_id).await.finished_at.is_some());
    assert_eq!(stage.exits(stranger.contacts[0]).await, [None]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn adding_listing_and_removing_choose_in_the_same_words() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = Scene::enrolled(pool, clock, 3, 12).await;
    furnish(&stage).await;
    let first = stage.claim_due().await.1;
    let starts = requests(&first[..4], 1);
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts, &accepted())).await;
    let text = |text: &str| vec![text.to_owned()];
    let all = Conditions::default;
    let enrollment = EnrollmentConditions::default;
    let now = crate::support::noon();
    let later = now + chrono::TimeDelta::seconds(1);
    let of_contacts = [
        ("all", all(), 12),
        ("equal", Conditions { equal: pair("city", "Rome"), ..all() }, 4),
        ("unequal", Conditions { unequal: pair("city", "Rome"), ..all() }, 8),
        ("missing", Conditions { missing: text("city"), ..all() }, 4),
        ("present", Conditions { present: text("city"), ..all() }, 8),
        ("zone", Conditions { time_zones: text("Europe/Rome"), ..all() }, 6),
        ("other zone", Conditions { other_time_zones: text("Europe/Rome"), ..all() }, 6),
        ("prefix", Conditions { phone_prefixes: text("+1555000000"), ..all() }, 12),
        ("another prefix", Conditions { phone_prefixes: text("+39"), ..all() }, 0),
        (
            "several",
            Conditions { equal: pair("city", "Rome"), time_zones: text("Europe/Rome"), ..all() },
            2,
        ),
    ];
    let of_enrollments = [
        ("from step 2", EnrollmentConditions { from_position: Some(2), ..enrollment() }, 4),
        ("to step 1", EnrollmentConditions { to_position: Some(1), ..enrollment() }, 8),
        ("enrolled from", EnrollmentConditions { enrolled_from: Some(later), ..enrollment() }, 0),
        (
            "enrolled before",
            EnrollmentConditions { enrolled_before: Some(later), ..enrollment() },
            12,
        ),
    ];
    let of_enrollments = of_enrollments
        .map(|(name, enrollment, found)| (name, Conditions { enrollment, ..all() }, found));
    let other = Workflow::default().create(pool, clock, scene.account_id).await;
    for (name, conditions, expected) in of_contacts.into_iter().chain(of_enrollments) {
        let audience = Audience { among: Selection::All, conditions: conditions.clone() };
        let mut shown: Vec<_> = planned(&stage, &scene, &audience).await.enrollments;
        shown.sort_by_key(|planned| planned.enrollment_id);
        assert_eq!(shown.len(), expected, "removing: {name}");
        let filter = EnrollmentFilter { conditions: conditions.clone(), ..Default::default() };
        let mut listed = enrollments::list(pool, scene.account_id, &filter).await.unwrap();
        listed.reverse();
        let ids: Vec<_> = listed.iter().map(|listed| listed.enrollment_id).collect();
        let shown: Vec<_> = shown.iter().map(|planned| planned.enrollment_id).collect();
        assert_eq!(ids, shown, "listing: {name}");
        if conditions.enrollment.is_empty() {
            let page = selection::page(pool, scene.account_id, other, &audience, None, 100).await;
            assert_eq!(page.unwrap().len(), expected, "adding: {name}");
        }
    }
    let ids = Selection::Enrollments(
        planned(&stage, &scene, &rome())
            .await
            .enrollments
            .iter()
            .map(|p| p.enrollment_id)
            .collect(),
    );
    assert_eq!(selection::count(pool, scene.account_id, &ids.clone().into()).await.unwrap(), 4);
    let page = selection::page(pool, scene.account_id, other, &ids.into(), None, 100).await;
    assert_eq!(page.unwrap().len(), 4);
}

#[tokio::test]
async fn a_pause_records_what_it_found_and_what_it_could_not_stop() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = Scene::enrolled(pool, clock, 3, 5).await;
    let starts = requests(&stage.claim_due().await.1[..2], 1);
    stage.start(&starts).await;
    let fenced = fence_workflow(pool, clock, &closing(&scene)).await.unwrap();
    assert_eq!(recorded(&stage, fenced.operation_id).await.preview, None);
    purge_chunk(pool, clock, fenced.operation_id, 2).await.unwrap();
    let halfway = recorded(&stage, fenced.operation_id).await;
    let preview = halfway.preview.unwrap();
    assert_eq!((preview.contacts, preview.messages, preview.segments), (5, 13, 13));
    assert_eq!((preview.micros, preview.in_flight), (micros(13), 2));
    assert_eq!(halfway.removed_enrollments, 2);
    let purged = purge(pool, clock, fenced.operation_id).await.unwrap();
    assert_eq!((purged.removed, purged.released), (5, preview.micros));
    assert_eq!(recorded(&stage, fenced.operation_id).await.preview, Some(preview));

    let open = plan::still_in_flight(pool, fenced.operation_id).await.unwrap();
    assert_eq!(open, fenced.in_flight);
    stage.finish(&outcomes(&starts[..1], &accepted())).await;
    stage.finish(&outcomes(&starts[1..], &unknown())).await;
    let open = plan::still_in_flight(pool, fenced.operation_id).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].delivery_id, starts[1].delivery_id);
    assert_eq!(open[0].state, dripline_domain::delivery::DeliveryState::Unknown);
    stage.assert_sound().await;
}

/// A scene with money for 60 segments and 20 contacts who need three each.
async fn tight(stage: &Stage) -> Scene {
    let (pool, clock) = (stage.pool(), &stage.clock);
    let account = Account { available: Some(micros(60)), ..Account::default() };
    let account_id = account.create(pool, clock).await;
    let route_id = Route::default().create(pool, clock, account_id).await;
    let workflow_id = Workflow::with_steps(3).create(pool, clock, account_id).await;
    let contacts = Contacts::many(20).create(pool, clock, account_id).await;
    Scene { account_id, route_id, workflow_id, contacts }
}

fn chunks(scene: &Scene, size: usize) -> Vec<EnrollChunk> {
    let enrolment = Enrolment::default();
    scene.contacts.chunks(size).map(|some| enrolment.chunk(scene.workflow_id, some)).collect()
}

fn new_enrolment(scene: &Scene) -> NewEnrolment {
    let priced: Vec<_> =
        scene.contacts.iter().map(|contact| Enrolment::default().price(*contact)).collect();
    NewEnrolment::of(scene.workflow_id, 1, ACTOR, &priced)
}

#[tokio::test]
async fn an_enrolment_of_many_chunks_has_the_money_for_all_or_enrols_nobody() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = tight(&stage).await;
    let new = new_enrolment(&scene);
    assert_eq!((new.contacts, new.messages, new.segments, new.micros), (20, 60, 60, micros(60)));
    let mut more = new.clone();
    more.micros = micros(61);
    let error = begin_enrolment(pool, clock, &more).await.unwrap_err();
    let EnrollError::InsufficientBalance(InsufficientBalance { needed, available }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((needed, available), (micros(61), micros(60)));
    assert_eq!(stage.count("SELECT count(*) FROM operations").await, 0);

    opt_out(pool, clock, scene.contacts[9], ACTOR).await.unwrap();
    let enrolment = begin_enrolment(pool, clock, &new).await.unwrap();
    let id = enrolment.operation_id;
    assert_eq!(begin_enrolment(pool, clock, &new).await.unwrap().operation_id, id);
    assert_eq!(stage.balance(scene.account_id).await, balance(0, 60 * PRICE.0, 0));
    stage.assert_sound().await;
    // Nobody else can spend it between the chunks.
    let chunks = chunks(&scene, 8);
    for (number, chunk) in (1..).zip(&chunks) {
        let elsewhere = Enrolment::default().chunk(scene.workflow_id, &scene.contacts[19..]);
        let refused = enroll(pool, clock, &elsewhere).await.unwrap_err();
        assert!(matches!(refused, EnrollError::InsufficientBalance(_)), "{refused:?}");
        let done = enroll_reserved(pool, clock, id, number, chunk).await.unwrap();
        let again = enroll_reserved(pool, clock, id, number, chunk).await.unwrap();
        assert_eq!(again, done, "chunk {number}");
        stage.assert_sound().await;
    }
    let halfway = recorded(&stage, id).await;
    assert_eq!((halfway.enrolled_enrollments, halfway.reserved_micros), (19, micros(3)));
    assert_eq!(end_enrolment(pool, clock, id).await.unwrap(), micros(3));
    assert_eq!(end_enrolment(pool, clock, id).await.unwrap(), Micros::ZERO);
    assert_eq!(stage.balance(scene.account_id).await, balance(3 * PRICE.0, 57 * PRICE.0, 0));
    let receipt = recorded(&stage, id).await;
    assert_eq!((receipt.kind.as_str(), receipt.released_micros), ("enrol", micros(3)));
    assert!(receipt.finished_at.is_some());
    assert_eq!(receipt.reserved_micros, Micros::ZERO);
    stage.assert_sound().await;
    // A repeated chunk says what it did, also after the end; a new one is refused.
    let again = enroll_reserved(pool, clock, id, 3, &chunks[2]).await.unwrap();
    assert_eq!(again.enrolled.len(), 4);
    let late = enroll_reserved(pool, clock, id, 4, &chunks[2]).await.unwrap_err();
    assert!(matches!(late, EnrollError::EnrolmentEnded { .. }), "{late:?}");
    // What was enrolled is sent and refunded like anything else.
    stage.send_due(&accepted()).await;
    pause_workflow(pool, clock, &closing(&scene)).await.unwrap();
    assert_eq!(stage.balance(scene.account_id).await, balance(41 * PRICE.0, 0, 19 * PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_enrolment_whose_process_dies_between_chunks_gives_the_rest_back_once() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = tight(&stage).await;
    let chunks = chunks(&scene, 5);
    for done in 0..=chunks.len() {
        let before = stage.balance(scene.account_id).await;
        let enrolment = begin_enrolment(pool, clock, &new_enrolment(&scene)).await.unwrap();
        let id = enrolment.operation_id;
        for (number, chunk) in (1..).zip(&chunks[..done]) {
            enroll_reserved(pool, clock, id, number, chunk).await.unwrap();
        }
        // While its process lives, no sweep ends it.
        assert_eq!(sweep::abandoned_enrolments(pool, clock).await.unwrap(), Micros::ZERO);
        assert!(recorded(&stage, id).await.finished_at.is_none());
        drop(enrolment);
        // Postgres notices in its own time that the session has ended.
        let rest = micros(60 - 15 * i64::try_from(done).unwrap());
        let mut returned = Micros::ZERO;
        while recorded(&stage, id).await.finished_at.is_none() {
            returned += sweep::abandoned_enrolments(pool, clock).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(returned, rest);
        assert_eq!(sweep::abandoned_enrolments(pool, clock).await.unwrap(), Micros::ZERO);
        assert_eq!(end_enrolment(pool, clock, id).await.unwrap(), Micros::ZERO);
        stage.assert_sound().await;
        if let Some(chunk) = chunks.get(done) {
            let number = u32::try_from(done).unwrap() + 1;
            let late = enroll_reserved(pool, clock, id, number, chunk).await.unwrap_err();
            assert!(matches!(late, EnrollError::EnrolmentEnded { .. }), "{late:?}");
        }
        pause_workflow(pool, clock, &closing(&scene)).await.unwrap();
        assert_eq!(stage.balance(scene.account_id).await, before);
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn a_pause_and_an_edit_stop_an_enrolment_and_its_rest_comes_back() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = tight(&stage).await;
    let chunks = chunks(&scene, 10);
    let enrolment = begin_enrolment(pool, clock, &new_enrolment(&scene)).await.unwrap();
    let id = enrolment.operation_id;
    enroll_reserved(pool, clock, id, 1, &chunks[0]).await.unwrap();
    let fenced = fence_workflow(pool, clock, &closing(&scene)).await.unwrap();
    let late = enroll_reserved(pool, clock, id, 2, &chunks[1]).await.unwrap_err();
    assert!(matches!(late, EnrollError::EnrolmentEnded { .. }), "{late:?}");
    stage.assert_sound().await;
    // Whoever finishes the pause ends the enrolment, also while its process lives.
    let paused = purge(pool, clock, fenced.operation_id).await.unwrap();
    assert_eq!((paused.removed, paused.released), (10, micros(30)));
    assert_eq!(recorded(&stage, id).await.released_micros, micros(30));
    assert_eq!(stage.balance(scene.account_id).await, balance(60 * PRICE.0, 0, 0));
    let late = enroll_reserved(pool, clock, id, 2, &chunks[1]).await.unwrap_err();
    assert!(matches!(late, EnrollError::EnrolmentEnded { .. }), "{late:?}");
    stage.assert_sound().await;

    // Before the first chunk nobody is in it, so that it can be edited; the enrolment was priced before.
    let enrolment = begin_enrolment(pool, clock, &new_enrolment(&scene)).await.unwrap();
    let draft = workflow::show(pool, scene.workflow_id).await.unwrap().unwrap().to_draft();
    let edit = dripline_store::ops::Edit {
        workflow_id: scene.workflow_id,
        draft,
        expected_revision: None,
        actor: ACTOR.to_owned(),
    };
    dripline_store::ops::edit_workflow(pool, clock, &edit).await.unwrap();
    let id = enrolment.operation_id;
    let late = enroll_reserved(pool, clock, id, 1, &chunks[0]).await.unwrap_err();
    assert!(matches!(late, EnrollError::WorkflowChanged { priced: 1, found: 2 }), "{late:?}");
    let late = begin_enrolment(pool, clock, &new_enrolment(&scene)).await.unwrap_err();
    assert!(matches!(late, EnrollError::WorkflowChanged { .. }), "{late:?}");
    assert_eq!(end_enrolment(pool, clock, id).await.unwrap(), micros(60));
    assert_eq!(stage.balance(scene.account_id).await, balance(60 * PRICE.0, 0, 0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn chunks_cannot_take_more_than_was_reserved() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = tight(&stage).await;
    let chunks = chunks(&scene, 10);
    let mut new = new_enrolment(&scene);
    (new.contacts, new.messages, new.segments, new.micros) = (15, 45, 45, micros(45));
    let id = begin_enrolment(pool, clock, &new).await.unwrap().operation_id;
    enroll_reserved(pool, clock, id, 1, &chunks[0]).await.unwrap();
    let error = enroll_reserved(pool, clock, id, 2, &chunks[1]).await.unwrap_err();
    let EnrollError::InsufficientBalance(short) = error else { panic!("{error:?}") };
    assert_eq!((short.needed, short.available), (micros(30), micros(15)));
    assert_eq!(end_enrolment(pool, clock, id).await.unwrap(), micros(15));
    stage.assert_sound().await;

    // Nothing is reserved for messages that cost nothing, and everything is still counted.
    let payment = dripline_store::ops::TopUp {
        account_id: scene.account_id,
        amount: Micros(1),
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        reason: None,
    };
    top_up(pool, clock, &payment).await.unwrap();
    let free = Enrolment { price_per_segment: Some(Micros::ZERO), ..Enrolment::default() };
    let priced: Vec<_> = scene.contacts[10..].iter().map(|contact| free.price(*contact)).collect();
    let new = NewEnrolment::of(scene.workflow_id, 1, ACTOR, &priced);
    let id = begin_enrolment(pool, clock, &new).await.unwrap().operation_id;
    let chunk = free.chunk(scene.workflow_id, &scene.contacts[10..15]);
    enroll_reserved(pool, clock, id, 1, &chunk).await.unwrap();
    stage.assert_sound().await;
    assert_eq!(end_enrolment(pool, clock, id).await.unwrap(), Micros::ZERO);
    stage.assert_sound().await;
}

#[tokio::test]
async fn the_audit_finds_a_reserve_that_is_wrong() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let scene = tight(&stage).await;
    let enrolment = begin_enrolment(pool, clock, &new_enrolment(&scene)).await.unwrap();
    let chunk = &chunks(&scene, 10)[0];
    enroll_reserved(pool, clock, enrolment.operation_id, 1, chunk).await.unwrap();
    let cases: [(&str, &str, &[u8]); 4] = [
        (
            "UPDATE operations SET reserved_micros = reserved_micros - 1",
            "UPDATE operations SET reserved_micros = reserved_micros + 1",
            &[2, 3],
        ),
        (
            "UPDATE operations SET enrolled_enrollments = 9",
            "UPDATE operations SET enrolled_enrollments = 10",
            &[3],
        ),
        (
            "UPDATE operations SET reserved_segments = reserved_segments + 1",
            "UPDATE operations SET reserved_segments = reserved_segments - 1",
            &[3],
        ),
        (
            "INSERT INTO operation_members SELECT 77, contact_id, enrollment_id FROM enrollments LIMIT 1;
             INSERT INTO operations (operation_id, account_id, workflow_id, kind, actor, started_at,
                                     finished_at)
             OVERRIDING SYSTEM VALUE
             SELECT 77, account_id, workflow_id, 'remove', 'damage', now(), now() FROM workflows LIMIT 1",
            "DELETE FROM operations WHERE operation_id = 77",
            &[6],
        ),
    ];
    for (damage, repair, expected) in cases {
        sqlx::raw_sql(damage).execute(pool).await.unwrap();
        let broken: Vec<u8> = dripline_store::audit::run(pool, clock)
            .await
            .unwrap()
            .iter()
            .filter(|result| !result.holds())
            .map(|result| result.invariant.number)
            .collect();
        assert_eq!(broken, expected, "{damage}");
        sqlx::raw_sql(repair).execute(pool).await.unwrap();
        stage.assert_sound().await;
    }
}
