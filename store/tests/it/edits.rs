//! Changing workflows, and the refusal to change active ones.

use std::sync::Arc;
use std::time::Duration;

use dripline_domain::clock::{ManualClock, SystemClock};
use dripline_domain::ids::WorkflowId;
use dripline_domain::money::Micros;
use dripline_domain::timing::Timing;
use dripline_domain::workflow::{SurplusPolicy, WorkflowDraft};
use dripline_store::ops::{
    Closing, CreateRouteError, CreateWorkflowError, Edit, EditWorkflowError, EnrollError,
    InvalidRoute, UpdateRouteError, create_route, create_workflow, edit_workflow, enroll,
    pause_workflow, update_route,
};
use dripline_store::route::{self, CallbackChange, RouteDraft};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Enrolment, PRICE, Scene, Workflow, step};
use dripline_store::{Pool, plan, trail, workflow};
use tokio::sync::Barrier;

use crate::{journey, support};

async fn draft(pool: &Pool, id: WorkflowId) -> WorkflowDraft {
    workflow::show(pool, id).await.unwrap().unwrap().to_draft()
}

fn edit(workflow_id: WorkflowId, draft: WorkflowDraft) -> Edit {
    Edit { workflow_id, draft, expected_revision: None, actor: ACTOR.to_owned() }
}

#[tokio::test]
async fn an_inactive_workflow_can_be_changed_freely() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &SystemClock, 3, 0).await;
    let mut wanted = draft(pool, scene.workflow_id).await;
    wanted.name = "renamed".to_owned();
    wanted.surplus_policy = SurplusPolicy::Charge;
    wanted.steps.truncate(1);
    wanted.steps[0].template = "Goodbye".to_owned();
    wanted.steps[0].timing = Timing {
        after: Duration::from_hours(24),
        at: chrono::NaiveTime::from_hms_opt(9, 30, 0),
        days: ["mon".to_owned(), "fri".to_owned()].to_vec().try_into().unwrap(),
        expires_after: Some(Duration::from_hours(1)),
    };

    let edit = edit(scene.workflow_id, wanted.clone());
    assert_eq!(edit_workflow(pool, &SystemClock, &edit).await.unwrap().revision, 2);
    assert_eq!(draft(pool, scene.workflow_id).await, wanted);
    let found = workflow::find(pool, scene.account_id, "renamed").await.unwrap().unwrap();
    assert_eq!((found.revision, found.step_count, found.active), (2, 1, None));
    let trail = trail::list(pool, scene.account_id, None, 1).await.unwrap();
    assert_eq!(trail[0].action, "workflow.edit");
}

#[tokio::test]
async fn an_active_workflow_refuses_and_says_why() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    // It stands still at a whole second, so that what is due at once can be sent at once.
    let clock = &ManualClock::new(support::noon());
    let scene = Scene::enrolled(pool, clock, 3, 4).await;
    let mut same_but_name = draft(pool, scene.workflow_id).await;
    same_but_name.name = "renamed".to_owned();
    let edit = edit(scene.workflow_id, same_but_name);

    // One message was sent, one is on the wire.
    let queued = journey::queued(pool, scene.workflow_id).await;
    journey::hand_over(pool, clock, queued[0], support::accepted()).await;
    journey::start(pool, clock, queued[1], 1).await;

    let Err(EditWorkflowError::Active(active)) = edit_workflow(pool, clock, &edit).await else {
        panic!("an active workflow was changed");
    };
    assert_eq!(active.contacts, 4);
    assert_eq!((active.pause.contacts, active.pause.messages, active.pause.segments), (4, 10, 10));
    assert_eq!(active.pause.micros, Micros(10 * PRICE.0));
    assert_eq!(active.pause.in_flight.len(), 1);
    assert_eq!(active.pause.in_flight[0].delivery_id, queued[1].delivery_id);

    // What the plan said is what a pause does.
    let planned = plan::pause(pool, scene.workflow_id).await.unwrap();
    assert_eq!(planned, active.pause);
    let closing = Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
    let paused = pause_workflow(pool, clock, &closing).await.unwrap();
    assert_eq!((paused.removed, paused.cancelled), (planned.contacts, planned.messages));
    assert_eq!((paused.segments, paused.released), (planned.segments, planned.micros));
    assert_eq!(paused.in_flight, planned.in_flight);
    assert_eq!(edit_workflow(pool, clock, &edit).await.unwrap().revision, 2);
}

#[tokio::test]
async fn an_edit_made_from_an_old_revision_is_refused() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &SystemClock, 1, 0).await;
    let mut edit = edit(scene.workflow_id, draft(pool, scene.workflow_id).await);
    edit.expected_revision = Some(1);
    edit_workflow(pool, &SystemClock, &edit).await.unwrap();
    let again = edit_workflow(pool, &SystemClock, &edit).await;
    assert!(matches!(again, Err(EditWorkflowError::Changed { expected: 1, found: 2 })));
}

#[tokio::test]
async fn names_and_routes_are_checked() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &SystemClock, 1, 0).await;
    let taken = draft(pool, scene.workflow_id).await;
    let created = create_workflow(pool, &SystemClock, scene.account_id, &taken, ACTOR).await;
    assert!(matches!(created, Err(CreateWorkflowError::NameTaken(name)) if name == taken.name));

    let other = Workflow::with_steps(1).create(pool, &SystemClock, scene.account_id).await;
    let renamed = edit_workflow(pool, &SystemClock, &edit(other, taken.clone())).await;
    assert!(matches!(renamed, Err(EditWorkflowError::NameTaken(_))));

    let mut lost = taken;
    lost.steps.push(dripline_domain::workflow::StepDraft {
        route: "nowhere".to_owned(),
        ..step(Duration::ZERO)
    });
    let Err(EditWorkflowError::RouteNotFound(missing)) =
        edit_workflow(pool, &SystemClock, &edit(scene.workflow_id, lost)).await
    else {
        panic!("a route that does not exist was accepted");
    };
    assert_eq!((missing.position, missing.name.as_str()), (2, "nowhere"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_edited_workflow_has_an_enrollment_priced_on_the_old_text() {
    const RACES: usize = 200;
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &SystemClock, 1, 1).await;
    let workflow_id = scene.workflow_id;
    let base = draft(pool, workflow_id).await;
    let closing = Closing { workflow_id, actor: ACTOR.to_owned(), reason: None };
    let (mut edits, mut enrolments) = (0, 0);
    for race in 0..RACES {
        let priced = workflow::load(pool, workflow_id).await.unwrap().unwrap().revision;
        let mut chunk = Enrolment { steps: Some(1), ..Enrolment::default() }
            .chunk(workflow_id, &scene.contacts);
        chunk.revision = priced;
        let mut new_text = base.clone();
        new_text.steps[0].template = format!("Text {race}");

        let barrier = Arc::new(Barrier::new(2));
        let editor = {
            let (pool, barrier) = (pool.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                edit_workflow(&pool, &SystemClock, &edit(workflow_id, new_text)).await
            })
        };
        let enroller = {
            let (pool, barrier) = (pool.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                enroll(&pool, &SystemClock, &chunk).await
            })
        };
        let (edited, enrolled) = (editor.await.unwrap(), enroller.await.unwrap());

        let after = workflow::load(pool, workflow_id).await.unwrap().unwrap();
        match (edited, enrolled) {
            (Ok(_), Err(EnrollError::WorkflowChanged { .. })) => {
                assert_eq!((after.revision, after.active), (priced + 1, None));
                edits += 1;
            }
            (Err(EditWorkflowError::Active(_)), Ok(_)) => {
                assert_eq!(after.revision, priced);
                assert_eq!(after.active.unwrap().contacts, 1);
                enrolments += 1;
                pause_workflow(pool, &SystemClock, &closing).await.unwrap();
            }
            other => panic!("race {race}: both or none: {other:?}"),
        }
    }
    assert!(edits > 0 && enrolments > 0, "{edits} edits and {enrolments} enrolments won");
}

#[tokio::test]
async fn a_route_changes_its_price_at_any_time_and_its_carrier_only_when_idle() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::enrolled(pool, &SystemClock, 1, 1).await;
    let before = route::load(pool, scene.route_id).await.unwrap().unwrap();
    let mut draft = RouteDraft {
        name: before.name,
        carrier: before.carrier,
        settings: before.settings,
        secrets: [("token".to_owned(), "env:TOKEN".to_owned())].into(),
        senders: before.senders,
        price_per_segment: Micros(1),
        allowed_origins: vec!["https://carrier.example:443".to_owned()],
        ..RouteDraft::default()
    };
    let update = |draft: RouteDraft, expected| async move {
        update_route(
            pool,
            &SystemClock,
            scene.route_id,
            &draft,
            CallbackChange::Keep,
            expected,
            ACTOR,
        )
        .await
    };
    assert_eq!(update(draft.clone(), Some(1)).await.unwrap(), 2);
    let found = route::find(pool, scene.account_id, &draft.name).await.unwrap().unwrap();
    assert_eq!((found.price_micros_per_segment, found.secrets), (Micros(1), draft.secrets.clone()));
    let stale = update(draft.clone(), Some(1)).await;
    assert!(matches!(stale, Err(UpdateRouteError::Changed { expected: 1, found: 2 })));

    draft.carrier = "telnyx".to_owned();
    let refused = update(draft.clone(), None).await;
    assert!(matches!(refused, Err(UpdateRouteError::InUse { .. })), "{refused:?}");
    let closing = Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
    pause_workflow(pool, &SystemClock, &closing).await.unwrap();
    assert_eq!(update(draft.clone(), None).await.unwrap(), 3);

    draft.secrets = [("token".to_owned(), "hunter2".to_owned())].into();
    let plain = create_route(pool, &SystemClock, scene.account_id, &draft, ACTOR).await;
    let Err(CreateRouteError::Invalid(InvalidRoute::NotAReference(name))) = plain else {
        panic!("a secret was taken for a reference: {plain:?}");
    };
    assert_eq!(name, "token");
}
