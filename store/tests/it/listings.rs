//! What people read: where contacts are and went, what was sent, what waits, what was taken back.

use dripline_domain::clock::{Clock, ManualClock};
use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::money::Micros;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::listing::enrollments::{self, EnrollmentFilter};
use dripline_store::listing::{operations, queue};
use dripline_store::ops::{Closing, Removal, delete_workflow, pause_workflow, remove_contact};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, PRICE, Scene};
use dripline_store::{Pool, contact, plan, workflow};

use crate::journey::{hand_over, queued, start};
use crate::support::{accepted, noon, not_sent, refused};

fn price(segments: i64) -> Micros {
    Micros(segments * PRICE.0)
}

/// Three steps for four contacts: the first is at step 2, the second was refused, the third is on the
/// wire, the fourth waits.
async fn scene(pool: &Pool, clock: &dyn Clock) -> Scene {
    let scene = Scene::enrolled(pool, clock, 3, 4).await;
    let waiting = queued(pool, scene.workflow_id).await;
    hand_over(pool, clock, waiting[0], accepted()).await;
    hand_over(pool, clock, waiting[1], refused()).await;
    start(pool, clock, waiting[2], 1).await;
    scene
}

#[tokio::test]
async fn a_contact_shows_where_it_is_and_where_it_has_been() {
    let database = TestDatabase::new().await;
    let (pool, clock) = (database.pool(), &ManualClock::new(noon()));
    let scene = scene(pool, clock).await;

    let first = contact::show(pool, scene.contacts[0], 10).await.unwrap().unwrap();
    let [live] = &first.live[..] else { panic!("{first:?}") };
    assert_eq!((live.workflow_id, live.position, live.steps), (scene.workflow_id, 2, 3));
    assert_eq!((live.sent, live.held_segments, live.held_micros), (1, 2, price(2)));
    assert_eq!(live.captured_micros, price(1));
    assert_eq!((live.step.state, live.step.due_at), (DeliveryState::Queued, noon()));
    assert!(live.exit.is_none() && first.exits.is_empty());

    let second = contact::show(pool, scene.contacts[1], 10).await.unwrap().unwrap();
    let [gone] = &second.exits[..] else { panic!("{second:?}") };
    assert_eq!(gone.exit.as_ref().unwrap().cause, ExitCause::Failed);
    assert_eq!((gone.released_segments, gone.released_micros), (3, price(3)));
    assert_eq!((gone.held_segments, gone.held_micros), (0, Micros::ZERO));
    assert!(second.live.is_empty());
    let json = serde_json::to_value(&second).unwrap();
    assert_eq!(json["exits"][0]["exit"]["cause"], "failed");
    assert_eq!(json["time_zone"], "UTC");
}

#[tokio::test]
async fn a_removal_does_what_its_plan_said_and_leaves_a_receipt() {
    let database = TestDatabase::new().await;
    let (pool, clock) = (database.pool(), &ManualClock::new(noon()));
    let scene = scene(pool, clock).await;
    let of = |contact: usize| EnrollmentFilter {
        contact_id: Some(scene.contacts[contact]),
        ..EnrollmentFilter::default()
    };

    for (contact, messages, in_flight) in [(3, 3, 0), (2, 2, 1)] {
        let listed = enrollments::list(pool, scene.account_id, &of(contact)).await.unwrap();
        let enrollment_id = listed[0].enrollment_id;
        let plan = plan::remove(pool, enrollment_id).await.unwrap().unwrap();
        assert_eq!((plan.messages, plan.segments), (messages, messages));
        assert_eq!((plan.position, plan.steps, plan.in_flight.len()), (1, 3, in_flight));
        let removal = Removal { enrollment_id, actor: ACTOR.to_owned(), reason: None };
        let removed = remove_contact(pool, clock, &removal).await.unwrap();
        assert_eq!((removed.cancelled, removed.segments), (plan.messages, plan.segments));
        assert_eq!((removed.released, &removed.in_flight), (plan.micros, &plan.in_flight));
        assert_eq!(plan::remove(pool, enrollment_id).await.unwrap(), None);

        let operation_id = removed.operation_id.unwrap();
        let receipt = operations::show(pool, operation_id).await.unwrap().unwrap();
        assert_eq!((receipt.kind.as_str(), receipt.removed_enrollments), ("remove", 1));
        assert_eq!(receipt.released_micros, plan.micros);
        assert!(receipt.finished_at.is_some());
        let exit = enrollments::list(pool, scene.account_id, &of(contact)).await.unwrap();
        assert_eq!(exit[0].exit.as_ref().unwrap().operation_id, Some(operation_id));
    }
}

#[tokio::test]
async fn a_pause_leaves_a_receipt_of_who_left_from_which_step() {
    let database = TestDatabase::new().await;
    let (pool, clock) = (database.pool(), &ManualClock::new(noon()));
    let scene = scene(pool, clock).await;
    let closing =
        Closing { workflow_id: scene.workflow_id, actor: "anna".to_owned(), reason: None };
    let paused = pause_workflow(pool, clock, &closing).await.unwrap();

    let left = EnrollmentFilter {
        operation_id: Some(paused.operation_id),
        workflow_id: Some(scene.workflow_id),
        ..EnrollmentFilter::default()
    };
    let left = enrollments::list(pool, scene.account_id, &left).await.unwrap();
    let steps: Vec<_> =
        left.iter().rev().map(|e| (e.contact_id, e.position, e.released_segments)).collect();
    let contacts = &scene.contacts;
    // The third one's first message is on the wire: only its two later ones came back.
    assert_eq!(steps, [(contacts[0], 2, 2), (contacts[2], 1, 2), (contacts[3], 1, 3)]);
    assert!(left.iter().all(|e| e.exit.as_ref().is_some_and(|exit| exit.by == "anna")));

    let exits = enrollments::exits(pool, scene.account_id, Some(scene.workflow_id)).await.unwrap();
    let exits: Vec<_> = exits.into_iter().map(|e| (e.cause, e.contacts)).collect();
    assert_eq!(exits, [(ExitCause::WorkflowPaused, 3), (ExitCause::Failed, 1)]);
    let listed = operations::list(pool, scene.account_id, Some(scene.workflow_id), None, 10);
    let listed = listed.await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].removed_enrollments, listed[0].released_micros), (3, paused.released));

    // A deleted workflow is gone from every list, and its history is not.
    delete_workflow(pool, clock, &closing).await.unwrap();
    assert_eq!(workflow::list(pool, scene.account_id).await.unwrap(), []);
    assert_eq!(workflow::choices(pool, scene.account_id).await.unwrap(), []);
    assert_eq!(workflow::load(pool, scene.workflow_id).await.unwrap(), None);
    let history = operations::list(pool, scene.account_id, None, None, 10).await.unwrap();
    let kinds: Vec<_> = history.iter().map(|o| o.kind.as_str()).collect();
    assert_eq!(kinds, ["delete", "pause"]);
    let past = enrollments::list(pool, scene.account_id, &EnrollmentFilter::default()).await;
    assert_eq!(past.unwrap().len(), 4);
}

#[tokio::test]
async fn deliveries_are_listed_shown_and_counted() {
    let database = TestDatabase::new().await;
    let (pool, clock) = (database.pool(), &ManualClock::new(noon()));
    let scene = scene(pool, clock).await;
    let waiting = queued(pool, scene.workflow_id).await;
    hand_over(pool, clock, waiting[0], not_sent()).await;
    let list = async |filter: DeliveryFilter| {
        deliveries::list(pool, scene.account_id, &filter).await.unwrap()
    };

    let all = list(DeliveryFilter::default()).await;
    assert_eq!(all.len(), 5);
    let page = list(DeliveryFilter { limit: 2, ..Default::default() }).await;
    assert_eq!(page, all[..2]);
    let after = Some(page[1].delivery_id);
    assert_eq!(list(DeliveryFilter { limit: 2, after, ..Default::default() }).await, all[2..4]);
    let contact_id = Some(scene.contacts[0]);
    assert_eq!(list(DeliveryFilter { contact_id, ..Default::default() }).await.len(), 2);
    let failed =
        list(DeliveryFilter { state: Some(DeliveryState::Failed), ..Default::default() }).await;
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].released_micros, failed[0].captured_micros), (price(1), Micros::ZERO));
    assert!(failed[0].reason.is_some());

    let tried = deliveries::show(pool, waiting[0].delivery_id).await.unwrap().unwrap();
    assert_eq!(tried.delivery.state, DeliveryState::Queued);
    assert!(tried.ticket_id.is_some());
    assert_eq!(tried.attempts.len(), 1);
    assert_eq!(tried.attempts[0].outcome.as_deref(), Some("not_sent"));
    assert_eq!(deliveries::show(pool, i64::MAX.into()).await.unwrap(), None);

    let counts = deliveries::counts(pool, scene.account_id, Some(scene.workflow_id)).await.unwrap();
    let counts: Vec<_> = counts.into_iter().map(|c| (c.state, c.deliveries)).collect();
    let expected = [
        (DeliveryState::Failed, 1),
        (DeliveryState::Queued, 2),
        (DeliveryState::Sending, 1),
        (DeliveryState::Sent, 1),
    ];
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn the_queue_shows_each_message_with_its_ticket() {
    let database = TestDatabase::new().await;
    let (pool, clock) = (database.pool(), &ManualClock::new(noon()));
    let scene = scene(pool, clock).await;
    let list = async |filter: queue::QueueFilter| {
        queue::list(pool, scene.account_id, &filter).await.unwrap()
    };

    let all = list(queue::QueueFilter::default()).await;
    let states: Vec<_> = all.iter().map(|q| (q.state, q.ticket.is_some())).collect();
    assert_eq!(states.iter().filter(|s| **s == (DeliveryState::Queued, true)).count(), 2);
    assert_eq!(states.iter().filter(|s| **s == (DeliveryState::Sending, false)).count(), 1);
    let after = Some((all[0].due_at, all[0].delivery_id));
    let rest = list(queue::QueueFilter { after, ..Default::default() }).await;
    assert_eq!(rest, all[1..]);
    let state = Some(DeliveryState::Sending);
    assert_eq!(list(queue::QueueFilter { state, ..Default::default() }).await.len(), 1);

    let summary = queue::summary(pool, clock, scene.account_id).await.unwrap();
    assert_eq!((summary.due, summary.scheduled, summary.sending, summary.unknown), (2, 0, 1, 0));
    assert_eq!((summary.oldest_due_at, summary.next_due_at), (Some(noon()), None));
}
