//! Routes that take over: a mark goes over the step's route or its failover, as they are when it is made.

use std::num::NonZeroU32;

use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::RouteId;
use dripline_domain::throttle::Throttle;
use dripline_store::delivery::{DueDelivery, DueRoute};
use dripline_store::ops::{
    CreateRouteError, FailoverNotFound, PausedRoute, StaleReason, Start, StartRequest,
    UpdateRouteError, create_route, pause_route, reopen_route, update_route,
};
use dripline_store::route::{CallbackChange, RouteDraft};
use dripline_store::sender_pace;
use dripline_store::testing::factory::{
    ACTOR, Account, Contacts, Enrolment, PRICE, ROUTE, Route, Scene, Workflow,
};

use crate::evidence::says;
use crate::support::{Stage, accepted, not_sent, outcomes, requests, route_draft, unknown};

const SECOND: &str = "second";

/// Contacts of one step over a route with a failover.
async fn enrolled(stage: &Stage, contacts: usize, throttle: Throttle) -> (Scene, RouteId) {
    let (pool, clock) = (stage.pool(), &stage.clock);
    let account_id = Account::default().create(pool, clock).await;
    let second = Route { name: Some(SECOND.to_owned()), throttle, ..Route::default() };
    let second = second.create(pool, clock, account_id).await;
    let first = Route { failover: Some(SECOND.to_owned()), ..Route::default() };
    let route_id = first.create(pool, clock, account_id).await;
    let workflow_id = Workflow::with_steps(1).create(pool, clock, account_id).await;
    let contacts = Contacts::many(contacts).create(pool, clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, clock, workflow_id, &contacts).await;
    (Scene { account_id, route_id, workflow_id, contacts }, second)
}

/// What is due, to go over that route.
async fn due_over(stage: &Stage, route_id: RouteId) -> (Vec<String>, Vec<StartRequest>) {
    let (tickets, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    let over = |start: StartRequest| StartRequest { route_id: Some(route_id), ..start };
    (tickets, starts.into_iter().map(over).collect())
}

async fn update(
    stage: &Stage,
    route_id: RouteId,
    draft: &RouteDraft,
) -> Result<i64, UpdateRouteError> {
    update_route(stage.pool(), &stage.clock, route_id, draft, CallbackChange::Keep, None, ACTOR)
        .await
}

#[tokio::test]
async fn a_mark_says_over_which_route_it_goes() {
    let stage = Stage::new().await;
    let (scene, second) = enrolled(&stage, 3, Throttle::default()).await;
    let (_, due) = stage.claim_due().await;
    let first = DueRoute { route_id: scene.route_id, revision: 1, is_paused: false };
    let other = DueRoute { route_id: second, ..first };
    for delivery in &due {
        assert_eq!((delivery.route, delivery.failover), (first, Some(other)));
        assert_eq!((delivery.last_route_id, delivery.bound_to), (None, None));
    }
    let over = [None, Some(scene.route_id), Some(second)];
    let starts = requests(&due, 1).into_iter().zip(over);
    let starts: Vec<_> =
        starts.map(|(start, route_id)| StartRequest { route_id, ..start }).collect();
    for start in stage.start(&starts).await {
        assert!(matches!(start, Start::Started { .. }), "{start:?}");
    }
    for (start, name) in starts.iter().zip([ROUTE, ROUTE, SECOND]) {
        let attempts = stage.show(start.delivery_id).await.attempts;
        assert_eq!(attempts[0].route.as_deref(), Some(name));
    }
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_hand_over_is_told_what_became_of_the_last_one() {
    let stage = Stage::new().await;
    let (_, second) = enrolled(&stage, 2, Throttle::default()).await;
    let (tickets, starts) = due_over(&stage, second).await;
    stage.start(&starts).await;
    // One was not sent by the word of its worker, the other by somebody who has decided.
    stage.finish(&outcomes(&starts[..1], &not_sent())).await;
    stage.finish(&outcomes(&starts[1..], &unknown())).await;
    stage.acknowledge(&tickets).await;
    stage.resolve(&[says(starts[1].delivery_id, Evidence::Operator(Finding::NotSent))]).await;
    stage.advance(3_600);
    let (_, due) = stage.claim_due().await;
    let found = |due: &[DueDelivery]| -> Vec<_> {
        due.iter().map(|due| (due.last_route_id, due.bound_to)).collect()
    };
    assert_eq!(found(&due), [(Some(second), None), (Some(second), Some(second))]);
    // It stays so, whatever becomes of the next ones.
    let starts = requests(&due, 1);
    let over = |start: StartRequest| StartRequest { route_id: Some(second), ..start };
    let starts: Vec<_> = starts.into_iter().map(over).collect();
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts, &not_sent())).await;
    stage.advance(3_600);
    let (_, due) = stage.claim_due().await;
    assert_eq!(found(&due), [(Some(second), None), (Some(second), Some(second))]);
}

#[tokio::test]
async fn a_paused_route_keeps_its_messages_from_its_failover() {
    let stage = Stage::new().await;
    let (scene, second) = enrolled(&stage, 1, Throttle::default()).await;
    let (_, starts) = due_over(&stage, second).await;
    pause_route(stage.pool(), &stage.clock, scene.route_id, None, ACTOR).await.unwrap();
    assert_eq!(stage.start(&starts).await, [Start::Stale(StaleReason::RoutePaused)]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_the_first_costs_is_taken_whichever_route_it_goes_over() {
    let stage = Stage::new().await;
    let (scene, second) = enrolled(&stage, 1, Throttle::default()).await;
    let mut dear = route_draft(stage.pool(), second).await;
    dear.price_per_segment = PRICE.checked_times(100).unwrap();
    update(&stage, second, &dear).await.unwrap();
    let (tickets, starts) = due_over(&stage, second).await;
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts, &accepted())).await;
    stage.acknowledge(&tickets).await;
    assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_mark_over_a_route_that_takes_over_no_more_is_refused() {
    let stage = Stage::new().await;
    let (scene, second) = enrolled(&stage, 1, Throttle::default()).await;
    let (_, starts) = due_over(&stage, second).await;
    let mut alone = route_draft(stage.pool(), scene.route_id).await;
    alone.failover = None;
    update(&stage, scene.route_id, &alone).await.unwrap();
    assert_eq!(stage.start(&starts).await, [Start::Stale(StaleReason::RouteChanged)]);
    // Nor over any other route of the account.
    let third = Route { name: Some("third".to_owned()), ..Route::default() };
    let third = third.create(stage.pool(), &stage.clock, scene.account_id).await;
    let over_third = [StartRequest { route_id: Some(third), ..starts[0] }];
    assert_eq!(stage.start(&over_third).await, [Start::Stale(StaleReason::RouteChanged)]);
    let own = [StartRequest { route_id: Some(scene.route_id), ..starts[0] }];
    assert!(matches!(stage.start(&own).await[0], Start::Started { .. }));
    stage.assert_sound().await;
}

#[tokio::test]
async fn the_pause_of_a_failover_stops_what_goes_over_it_and_counts_it() {
    let stage = Stage::new().await;
    let (scene, second) = enrolled(&stage, 4, Throttle::default()).await;
    let (_, starts) = due_over(&stage, second).await;
    stage.start(&starts[..1]).await;
    let own = StartRequest { route_id: Some(scene.route_id), ..starts[1] };
    stage.start(&[own]).await;
    let paused = pause_route(stage.pool(), &stage.clock, second, None, ACTOR).await.unwrap();
    assert_eq!(paused, PausedRoute { changed: true, in_flight: 1 });
    assert_eq!(stage.start(&starts[2..3]).await, [Start::Stale(StaleReason::RoutePaused)]);
    // The step's own route runs.
    let own = StartRequest { route_id: Some(scene.route_id), ..starts[3] };
    assert!(matches!(stage.start(&[own]).await[0], Start::Started { .. }));
    assert!(reopen_route(stage.pool(), &stage.clock, second, ACTOR).await.unwrap());
    assert!(matches!(stage.start(&starts[2..3]).await[0], Start::Started { .. }));
    stage.assert_sound().await;
}

#[tokio::test]
async fn the_senders_of_the_route_that_is_taken_are_throttled() {
    let stage = Stage::new().await;
    let throttle = Throttle { segments_per_day: NonZeroU32::new(1), ..Throttle::default() };
    let (scene, second) = enrolled(&stage, 4, throttle).await;
    let (_, starts) = due_over(&stage, second).await;
    let found = stage.start(&starts[..2]).await;
    assert!(matches!(found[..], [Start::Started { .. }, Start::Throttled { .. }]), "{found:?}");
    let own = [None, Some(scene.route_id)];
    let own: Vec<_> = starts[2..]
        .iter()
        .zip(own)
        .map(|(start, route_id)| StartRequest { route_id, ..*start })
        .collect();
    for start in stage.start(&own).await {
        assert!(matches!(start, Start::Started { .. }), "{start:?}");
    }
    assert_eq!(sender_pace::list(stage.pool(), second).await.unwrap()[0].segments_today, 1);
    assert_eq!(sender_pace::list(stage.pool(), scene.route_id).await.unwrap(), []);
}

#[tokio::test]
async fn a_failover_is_another_route_of_the_account() {
    let stage = Stage::new().await;
    let (scene, second) = enrolled(&stage, 1, Throttle::default()).await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let elsewhere = Account::default().create(pool, clock).await;
    let own = RouteDraft {
        name: "alone".to_owned(),
        failover: Some("alone".to_owned()),
        ..route_draft(pool, second).await
    };
    let created = create_route(pool, clock, scene.account_id, &own, ACTOR).await;
    assert!(
        matches!(created, Err(CreateRouteError::FailoverNotFound(FailoverNotFound(name))) if name == "alone")
    );
    let foreign = RouteDraft { failover: Some(SECOND.to_owned()), ..own };
    let created = create_route(pool, clock, elsewhere, &foreign, ACTOR).await;
    assert!(matches!(created, Err(CreateRouteError::FailoverNotFound(_))));
    let mut itself = route_draft(pool, second).await;
    itself.failover = Some(SECOND.to_owned());
    let updated = update(&stage, second, &itself).await;
    assert!(matches!(updated, Err(UpdateRouteError::FailoverNotFound(_))));
    // Each may stand in for the other.
    itself.failover = Some(ROUTE.to_owned());
    update(&stage, second, &itself).await.unwrap();
}
