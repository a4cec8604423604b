//! Deliveries of a halted route wait: no attempt, no money, no second ticket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::ids::RouteId;
use dripline_domain::workflow::StepDraft;
use dripline_store::delivery::{self, DueDelivery};
use dripline_store::ops::{
    Closing, GiveUp, GiveUpRequest, PostponeRequest, WaitsFor, give_up, pause_route,
    pause_workflow, postpone, reopen_route, update_route,
};
use dripline_store::route::CallbackChange;
use dripline_store::route_halt::{self, NewHalt};
use dripline_store::testing::factory::{ACTOR, Enrolment, Scene, Workflow, step};
use dripline_store::{queue, sweep};
use futures::future::join_all;
use uuid::Uuid;

use crate::support::{GRACE, Stage, accepted, noon, policy, route_draft};

fn postponing(due: &[DueDelivery], seconds: i64) -> Vec<PostponeRequest> {
    let until = noon() + TimeDelta::milliseconds(seconds * 1_000 - 300);
    due.iter().map(|due| PostponeRequest::new(due, until, WaitsFor::Carrier)).collect()
}

#[tokio::test]
async fn what_is_postponed_comes_back_once_with_nothing_counted() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 50).await;
    let before = stage.balance(scene.account_id).await;
    let (tickets, due) = stage.claim_due().await;
    let requests = postponing(&due, 60);
    let until = noon() + TimeDelta::seconds(60);
    let done = postpone(stage.pool(), &requests).await.unwrap();
    assert!(done.iter().all(|due_at| *due_at == Some(until)), "rounded up to a second");
    // A COMMIT whose answer was lost is asked again.
    let again = postpone(stage.pool(), &requests).await.unwrap();
    assert!(again.iter().all(Option::is_none));
    assert_eq!(stage.acknowledge(&tickets).await, 50);
    stage.assert_sound().await;

    assert!(stage.claim_due().await.1.is_empty());
    stage.advance(60);
    let (tickets, back) = stage.claim_due().await;
    assert_eq!((tickets.len(), back.len()), (50, 50));
    assert!(back.iter().all(|due| due.attempt == 0 && due.due_at == until));
    assert_eq!(stage.balance(scene.account_id).await, before);
    queue::release(stage.pool(), &stage.worker.name, &tickets).await.unwrap();
    stage.send_due(&accepted()).await;
    stage.assert_sound().await;
    assert_eq!(stage.count("SELECT count(*) FROM deliveries WHERE state = 'sent'").await, 50);
}

#[tokio::test]
async fn the_order_in_which_they_were_due_is_kept() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 40).await;
    sqlx::query("UPDATE deliveries SET due_at = due_at - delivery_id * INTERVAL '1 second'")
        .execute(stage.pool())
        .await
        .unwrap();
    let (_, due) = stage.claim_due().await;
    let mut requests = postponing(&due, 60);
    requests.reverse();
    requests.rotate_left(7);
    postpone(stage.pool(), &requests).await.unwrap();
    let issued: Vec<i64> = sqlx::query_scalar(
        "SELECT d.delivery_id FROM apalis.jobs j JOIN deliveries d ON d.ticket_id = j.id
         ORDER BY j.ctid",
    )
    .fetch_all(stage.pool())
    .await
    .unwrap();
    let mut by_due: Vec<_> = due.iter().map(|due| (due.due_at, due.delivery_id.0)).collect();
    by_due.sort_unstable();
    assert_eq!(issued, by_due.iter().map(|(_, id)| *id).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_expires_meanwhile_is_woken_when_it_does() {
    let stage = Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 1, 3).await;
    let mut timing = step(Duration::ZERO).timing;
    timing.expires_after = Some(Duration::from_secs(20));
    let steps = vec![StepDraft { timing, ..step(Duration::ZERO) }];
    let workflow = Workflow { steps: Some(steps), ..Workflow::default() };
    let workflow_id = workflow.create(stage.pool(), &stage.clock, scene.account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(stage.pool(), &stage.clock, workflow_id, &scene.contacts).await;
    let (tickets, due) = stage.claim_due().await;
    let done = postpone(stage.pool(), &postponing(&due, 60)).await.unwrap();
    stage.acknowledge(&tickets).await;
    assert!(done.iter().all(|due_at| *due_at == Some(noon() + TimeDelta::seconds(20))));

    stage.advance(20);
    let (tickets, due) = stage.claim_due().await;
    assert_eq!(due.len(), 3);
    let expired: Vec<_> = due
        .iter()
        .map(|due| {
            assert!(due.expires_at.unwrap() <= noon() + TimeDelta::seconds(20));
            let (delivery_id, attempt) = (due.delivery_id, due.attempt);
            GiveUpRequest { delivery_id, attempt, cause: GiveUp::Expired }
        })
        .collect();
    give_up(stage.pool(), &stage.clock, &policy(), stage.id(), Uuid::new_v4(), &expired)
        .await
        .unwrap();
    stage.acknowledge(&tickets).await;
    assert_eq!(stage.states(workflow_id).await, [DeliveryState::Expired; 3]);
    assert_eq!(stage.balance(scene.account_id).await.held.0, 0);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_pause_and_a_postponement_may_meet_in_either_order() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 30).await;
    let (tickets, due) = stage.claim_due().await;
    let (early, late) = due.split_at(15);
    postpone(stage.pool(), &postponing(early, 60)).await.unwrap();
    let closing = Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
    pause_workflow(stage.pool(), &stage.clock, &closing).await.unwrap();
    let done = postpone(stage.pool(), &postponing(late, 60)).await.unwrap();
    assert!(done.iter().all(Option::is_none), "what is cancelled is not postponed");
    stage.acknowledge(&tickets).await;
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Cancelled; 30]);
    assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 0);
    stage.assert_sound().await;
}

#[tokio::test]
async fn nobody_waits_for_a_route_that_runs_again() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 10).await;
    let (pool, clock, route_id) = (stage.pool(), &stage.clock, scene.route_id);
    pause_route(pool, clock, route_id, None, ACTOR).await.unwrap();
    let (tickets, due) = stage.claim_due().await;
    assert!(due.iter().all(|due| due.route.is_paused));
    reopen_route(pool, clock, route_id, ACTOR).await.unwrap();
    let until = noon() + TimeDelta::minutes(5);
    let requests: Vec<_> =
        due.iter().map(|due| PostponeRequest::new(due, until, WaitsFor::Operator)).collect();
    let at_once = |due: &DueDelivery| Some(due.due_at + TimeDelta::seconds(1));
    let done = postpone(pool, &requests).await.unwrap();
    assert_eq!(done, due.iter().map(at_once).collect::<Vec<_>>());
    assert!(postpone(pool, &requests).await.unwrap().iter().all(Option::is_none));
    stage.acknowledge(&tickets).await;
    stage.advance(1);
    let (tickets, due) = stage.claim_due().await;
    assert_eq!(due.len(), 10);
    assert_eq!(
        stage.count("SELECT count(*) FROM deliveries WHERE reason_code IS NOT NULL").await,
        0
    );

    // What was read while it ran does not wait for its halt's end either, but for its own route's.
    pause_route(pool, clock, route_id, None, ACTOR).await.unwrap();
    let done = postpone(pool, &postponing(&due, 300)).await.unwrap();
    assert_eq!(done, due.iter().map(at_once).collect::<Vec<_>>());
    stage.acknowledge(&tickets).await;
    stage.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_what_wakes_it_may_meet_in_either_order() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 20).await;
    let (pool, clock, route_id) = (stage.pool(), &stage.clock, scene.route_id);
    let ids: Vec<_> = stage.claim_due().await.1.iter().map(|due| due.delivery_id).collect();
    let limits = route_draft(pool, route_id).await;
    let late = "SELECT count(*) FROM deliveries WHERE due_at > '2026-03-02T13:00:00Z'";
    let until = noon() + TimeDelta::hours(8);
    // Rounds in which the waiting was first, and in which it was not.
    let mut orders = [0, 0];
    for round in 0..1_000 {
        let is_pause = round % 2 == 0;
        if is_pause {
            pause_route(pool, clock, route_id, None, ACTOR).await.unwrap();
        }
        let due = delivery::load_due(pool, &ids).await.unwrap();
        let waits_for = if is_pause { WaitsFor::Operator } else { WaitsFor::Turn };
        let requests: Vec<_> =
            due.iter().map(|due| PostponeRequest::new(due, until, waits_for)).collect();
        let wakes = async {
            if is_pause {
                reopen_route(pool, clock, route_id, ACTOR).await.unwrap();
            } else {
                update_route(pool, clock, route_id, &limits, CallbackChange::Keep, None, ACTOR)
                    .await
                    .unwrap();
            }
        };
        let waits = async {
            // Changing a route takes longer than putting messages off.
            tokio::time::sleep(Duration::from_millis(round % 7)).await;
            postpone(pool, &requests).await.unwrap()
        };
        let (done, ()) = tokio::join!(waits, wakes);
        assert_eq!(stage.count(late).await, 0, "round {round}: {done:?}");
        orders[usize::from(done[0] != Some(until))] += 1;
        if orders.iter().all(|rounds| *rounds >= 20) {
            break;
        }
    }
    assert!(orders.iter().all(|rounds| *rounds >= 20), "they hardly met: {orders:?}");
    stage.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_a_route_does_not_wait_for_what_is_put_off_without_end() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 40).await;
    let (pool, clock, route_id) = (stage.pool(), &stage.clock, scene.route_id);
    let (_, due) = stage.claim_due().await;
    let limits = route_draft(pool, route_id).await;
    let is_over = AtomicBool::new(false);
    let puts_off = async |due: &[DueDelivery]| {
        let requests = postponing(due, 60);
        while !is_over.load(Ordering::Relaxed) {
            postpone(pool, &requests).await.unwrap();
        }
    };
    let changes = async {
        for _ in 0..5 {
            pause_route(pool, clock, route_id, None, ACTOR).await.unwrap();
            reopen_route(pool, clock, route_id, ACTOR).await.unwrap();
            update_route(pool, clock, route_id, &limits, CallbackChange::Keep, None, ACTOR)
                .await
                .unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(due.chunks(10).map(puts_off)), changes);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_lost_ticket_of_one_that_waits_is_issued_again() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 5).await;
    let (tickets, due) = stage.claim_due().await;
    postpone(stage.pool(), &postponing(&due, 60)).await.unwrap();
    stage.acknowledge(&tickets).await;
    sqlx::query("DELETE FROM apalis.jobs").execute(stage.pool()).await.unwrap();
    stage.advance(60);
    assert_eq!(sweep::missing_tickets(stage.pool(), &stage.clock, GRACE).await.unwrap(), 0);
    stage.advance(30);
    assert_eq!(sweep::missing_tickets(stage.pool(), &stage.clock, GRACE).await.unwrap(), 5);
    assert_eq!(stage.claim_due().await.1.len(), 5);
}

#[tokio::test]
async fn halts_are_listed_while_their_worker_lives() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 8).await;
    let (tickets, due) = stage.claim_due().await;
    postpone(stage.pool(), &postponing(&due[..5], 60)).await.unwrap();
    stage.acknowledge(&tickets).await;
    let pool = stage.pool();
    let halts = async || route_halt::current(pool, scene.account_id, None).await.unwrap();
    assert!(halts().await.is_empty());
    let mut halt = NewHalt {
        route_id: scene.route_id,
        at: noon(),
        probe_at: noon() + TimeDelta::seconds(5),
        failed_probes: 0,
        reason: Reason::new("connect", "connection refused"),
    };
    route_halt::record(pool, stage.id(), &halt).await.unwrap();
    halt.at = noon() + TimeDelta::seconds(5);
    halt.probe_at = noon() + TimeDelta::seconds(15);
    halt.failed_probes = 1;
    for _ in 0..2 {
        route_halt::record(pool, stage.id(), &halt).await.unwrap();
    }
    let [found] = &halts().await[..] else { panic!("one halt") };
    assert_eq!((found.halted_at, found.probe_at), (noon(), halt.probe_at));
    assert_eq!((found.failed_probes, found.waiting), (1, 5));
    assert_eq!(found.reason, halt.reason);
    let other = route_halt::current(pool, scene.account_id, Some(RouteId(0))).await.unwrap();
    assert!(other.is_empty());

    for _ in 0..2 {
        route_halt::resume(pool, stage.id(), scene.route_id, noon()).await.unwrap();
    }
    assert!(halts().await.is_empty());
    route_halt::record(pool, stage.id(), &halt).await.unwrap();
    assert_eq!(halts().await.len(), 1, "a new halt");
    sqlx::query("UPDATE workers SET stopped_at = now()").execute(pool).await.unwrap();
    assert!(halts().await.is_empty());
}
