//! Senders that are throttled: all workers share what they may send, and what is more waits without losing
//! anything.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use dripline_domain::clock::{Clock, SystemClock};
use dripline_domain::ids::RouteId;
use dripline_domain::throttle::Throttle;
use dripline_store::ops::{
    Closing, PostponeRequest, Repeat, StaleRepeat, Start, WaitsFor, pause_workflow, postpone,
    start_attempts, take_turn, update_route,
};
use dripline_store::route::{self, CallbackChange, RouteDraft};
use dripline_store::testing::factory::{
    ACTOR, Account, Contacts, Enrolment, PRICE, Route, Scene, Workflow,
};
use dripline_store::{delivery::DueDelivery, sender_pace};
use futures::future::join_all;
use uuid::Uuid;

use crate::repeats::{again, next};
use crate::support::{Stage, balance, outcomes, requests, unknown};

const PER_DAY: u32 = 7;

/// So many contacts of one step over a route with a throttle by the day.
async fn enrolled(stage: &Stage, contacts: usize) -> (Scene, RouteId) {
    let throttle = Throttle { segments_per_day: NonZeroU32::new(PER_DAY), ..Throttle::default() };
    enrolled_under(stage, contacts, throttle).await
}

async fn enrolled_under(stage: &Stage, contacts: usize, throttle: Throttle) -> (Scene, RouteId) {
    let (pool, clock) = (stage.pool(), &stage.clock);
    let account_id = Account::default().create(pool, clock).await;
    let route = Route { throttle, ..Route::default() };
    let route_id = route.create(pool, clock, account_id).await;
    let workflow_id = Workflow::with_steps(1).create(pool, clock, account_id).await;
    let contacts = Contacts::many(contacts).create(pool, clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, clock, workflow_id, &contacts).await;
    (Scene { account_id, route_id, workflow_id, contacts }, route_id)
}

/// Paces are kept by the real time.
fn until_midnight() -> TimeDelta {
    let now = SystemClock.now();
    let tomorrow = now.date_naive().succ_opt().unwrap().and_time(NaiveTime::MIN).and_utc();
    tomorrow - now
}

/// A day that ends in the middle of a test would begin another one.
async fn avoid_midnight() {
    while until_midnight() < TimeDelta::seconds(20) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn mark(stage: &Stage, due: &[DueDelivery]) -> Vec<Start> {
    let batch = Uuid::new_v4();
    start_attempts(stage.pool(), &stage.clock, stage.id(), batch, &requests(due, 1)).await.unwrap()
}

/// Does what a worker does with those that have to wait.
async fn wait_for_turns(stage: &Stage, due: &[DueDelivery], starts: &[Start], waits_for: WaitsFor) {
    let waiting = due.iter().zip(starts).filter_map(|(due, start)| match *start {
        Start::Throttled { until } => Some(PostponeRequest::new(due, until, waits_for)),
        _ => None,
    });
    postpone(stage.pool(), &waiting.collect::<Vec<_>>()).await.unwrap();
}

fn started(starts: &[Start]) -> usize {
    starts.iter().filter(|start| matches!(start, Start::Started { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_share_what_a_sender_may_send_in_a_day() {
    avoid_midnight().await;
    let stage = Stage::new().await;
    let (scene, route_id) = enrolled(&stage, 40).await;
    let (_, due) = stage.claim_due().await;
    let starts = join_all(due.chunks(5).map(|chunk| mark(&stage, chunk))).await.concat();
    assert_eq!(starts.len(), 40);
    assert_eq!(started(&starts), PER_DAY as usize, "{starts:?}");

    // The turns of the others stand one behind the other, from the next midnight on.
    let now = stage.clock.now();
    let mut turns: Vec<_> = starts
        .iter()
        .filter_map(|start| match start {
            Start::Throttled { until } => Some(*until),
            _ => None,
        })
        .collect();
    turns.sort_unstable();
    assert!(turns.iter().all(|turn| *turn > now));
    turns.dedup();
    assert_eq!(turns.len() + started(&starts), 40, "everybody has a turn of its own");
    assert!(turns[0] - now <= until_midnight() + TimeDelta::minutes(1), "{turns:?}");

    let paces = sender_pace::list(stage.pool(), route_id).await.unwrap();
    assert_eq!((paces.len(), paces[0].segments_today), (1, u64::from(PER_DAY)));
    assert!(paces[0].waiting_until.is_some());

    // Nothing is lost by waiting: a pause gives all of it back.
    let closing = Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
    pause_workflow(stage.pool(), &stage.clock, &closing).await.unwrap();
    let in_flight = i64::from(PER_DAY) * PRICE.0;
    let all = stage.balance(scene.account_id).await;
    assert_eq!(all, balance(all.available.0, in_flight, 0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_request_that_is_made_again_counts_for_its_sender() {
    avoid_midnight().await;
    let stage = Stage::new().await;
    let throttle = Throttle { segments_per_day: NonZeroU32::new(2), ..Throttle::default() };
    let (_, route_id) = enrolled_under(&stage, 1, throttle).await;
    let mut last = stage.lose_keyed().await[0];
    assert_eq!(stage.repeat(&[again(&last)]).await, [Repeat::Started]);
    last = next(&last);
    stage.finish(&outcomes(&[last], &unknown())).await;
    let throttled = [Repeat::Stale(StaleRepeat::Throttled)];
    assert_eq!(stage.repeat(&[again(&last)]).await, throttled);
    let paces = sender_pace::list(stage.pool(), route_id).await.unwrap();
    // Nobody has to stand behind it: it comes back at a time of its own.
    assert_eq!((paces[0].segments_today, paces[0].waiting_until), (2, None));
    stage.assert_sound().await;
}

#[tokio::test]
async fn who_has_waited_is_let_through_before_a_newcomer() {
    avoid_midnight().await;
    // Who comes to its turn and finds its route halted, paused or crowded is no newcomer afterwards.
    for waits_for in [WaitsFor::Turn, WaitsFor::Place, WaitsFor::Carrier, WaitsFor::Operator] {
        nobody_passes_who_waits(waits_for).await;
    }
}

async fn nobody_passes_who_waits(waits_for: WaitsFor) {
    let stage = Stage::new().await;
    let (_, route_id) = enrolled(&stage, 10).await;
    let (_, due) = stage.claim_due().await;
    let (first, newcomers) = due.split_at(9);
    let starts = mark(&stage, first).await;
    assert_eq!(started(&starts), PER_DAY as usize);
    wait_for_turns(&stage, first, &starts, waits_for).await;
    assert_eq!(
        stage.count("SELECT count(*) FROM deliveries WHERE reason_code IS NOT NULL").await,
        2
    );

    // A day later, as far as this sender knows; a message has left a moment ago.
    stage
        .count(
            "WITH later AS (
                 UPDATE sender_paces SET day = day - 1, day_segments = 0, full_at = clock_timestamp()
                 RETURNING 1)
             SELECT count(*) FROM later",
        )
        .await;
    assert!(matches!(mark(&stage, newcomers).await[..], [Start::Throttled { .. }]));
    stage.advance(3 * 24 * 60 * 60);
    let (_, back) = stage.claim_due().await;
    let back: Vec<_> =
        back.into_iter().filter(|due| due.delivery_id != newcomers[0].delivery_id).collect();
    assert_eq!(back.len(), 2);
    assert_eq!(started(&mark(&stage, &back).await), 2);
    let paces = sender_pace::list(stage.pool(), route_id).await.unwrap();
    assert_eq!(paces[0].segments_today, 2);
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_belongs_to_no_workflow_counts_for_its_sender_too() {
    avoid_midnight().await;
    let stage = Stage::new().await;
    let (_, route_id) = enrolled(&stage, 3).await;
    let route = route::load(stage.pool(), route_id).await.unwrap().unwrap();
    let sender = &route.senders[0];
    let turn = async |throttle, segments| {
        take_turn(stage.pool(), route_id, throttle, sender, segments).await.unwrap()
    };
    assert_eq!(turn(route.throttle, PER_DAY - 2).await, None);
    let later = turn(route.throttle, 3).await.expect("there is room for two");
    assert!(later > SystemClock.now());
    let paces = async || sender_pace::list(stage.pool(), route_id).await.unwrap().remove(0);
    assert_eq!(paces().await.segments_today, u64::from(PER_DAY - 2));
    assert_eq!(paces().await.waiting_until, None, "nobody stands in line behind it");

    let (_, due) = stage.claim_due().await;
    assert_eq!(started(&mark(&stage, &due).await), 2);
    assert!(turn(route.throttle, 1).await.is_some());
    assert_eq!(turn(Throttle::default(), 100).await, None, "nothing throttles it");
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_takes_no_second_turn() {
    avoid_midnight().await;
    let stage = Stage::new().await;
    let (_, route_id) = enrolled(&stage, 5).await;
    let (_, due) = stage.claim_due().await;
    let batch = Uuid::new_v4();
    let first = stage.start_as(batch, &requests(&due, 1)).await;
    assert_eq!(stage.start_as(batch, &requests(&due, 1)).await, first);
    let paces = sender_pace::list(stage.pool(), route_id).await.unwrap();
    assert_eq!(paces[0].segments_today, 5);
}

#[tokio::test]
async fn who_waits_for_a_limit_that_is_lifted_may_leave_at_once() {
    avoid_midnight().await;
    let stage = Stage::new().await;
    let (_, route_id) = enrolled(&stage, 10).await;
    let (tickets, due) = stage.claim_due().await;
    let starts = mark(&stage, &due).await;
    wait_for_turns(&stage, &due, &starts, WaitsFor::Turn).await;
    stage.acknowledge(&tickets).await;
    assert!(stage.claim_due().await.1.is_empty());
    let before = route::load(stage.pool(), route_id).await.unwrap().unwrap();
    let lifted = RouteDraft {
        name: before.name,
        carrier: before.carrier,
        senders: before.senders,
        price_per_segment: before.price_micros_per_segment,
        ..RouteDraft::default()
    };
    update_route(stage.pool(), &stage.clock, route_id, &lifted, CallbackChange::Keep, None, ACTOR)
        .await
        .unwrap();
    let (_, back) = stage.claim_due().await;
    assert_eq!(back.len(), 10 - PER_DAY as usize);
    assert_eq!(started(&mark(&stage, &back).await), back.len());
    stage.assert_sound().await;
}
