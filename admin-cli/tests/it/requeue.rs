//! Failed messages, their way back, and routes that are halted.

use chrono::TimeDelta;
use dripline_domain::clock::{Clock as _, ManualClock, SystemClock};
use dripline_domain::delivery::{AttemptOutcome, Reason};
use dripline_domain::ids::{ContactId, DeliveryId, RouteId};
use dripline_domain::retry::RetryPolicy;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::ops::{
    FinishRequest, PostponeRequest, Start, StartRequest, WaitsFor, finish_attempts, postpone,
    start_attempts,
};
use dripline_store::route_halt::{self, NewHalt};
use dripline_store::worker_registry;
use dripline_store::{account, delivery, ops};
use uuid::Uuid;

use crate::session::{Session, assert_transcript};

/// Hands these messages over to a carrier that refuses them, as a worker would.
async fn refuse(session: &Session, deliveries: &[(i64, &str)]) {
    // A first message is due at the next whole second, which this does not wait for.
    let soon = SystemClock.now() + TimeDelta::seconds(2);
    let (pool, clock) = (session.pool(), &ManualClock::new(soon));
    let name = format!("host-{}", Uuid::new_v4());
    let worker = worker_registry::register(pool, clock, &name).await.expect("registers");
    let starts: Vec<_> = deliveries
        .iter()
        .map(|(id, _)| StartRequest {
            delivery_id: DeliveryId(*id),
            attempt: 1,
            segments: 1,
            route_id: None,
        })
        .collect();
    let marked = start_attempts(pool, clock, worker.worker_id, Uuid::new_v4(), &starts).await;
    for start in marked.expect("marks") {
        assert!(matches!(start, Start::Started { .. }), "{start:?}");
    }
    let finishes: Vec<_> = deliveries
        .iter()
        .map(|(id, code)| FinishRequest {
            delivery_id: DeliveryId(*id),
            attempt: 1,
            outcome: AttemptOutcome::Refused(Reason::new(*code, "the carrier said no")),
        })
        .collect();
    let policy = RetryPolicy::default();
    finish_attempts(pool, clock, &policy, worker.worker_id, Uuid::new_v4(), &finishes)
        .await
        .expect("finishes");
    worker.stop(pool, clock).await.expect("stops");
}

#[tokio::test]
async fn what_has_failed_is_requeued_by_filter_and_only_once() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    refuse(&session, &[(1, "twilio:30006"), (2, "twilio:30006"), (3, "connect")]).await;
    session.run("delivery list --state failed --reason connect");
    session.run("account balance");
    session.run("delivery requeue");
    session.run("delivery requeue 9 --dry-run");
    session.run("delivery requeue --workflow welcome --reason twilio:30006 --dry-run");
    session.run("delivery requeue --workflow welcome --reason twilio:30006");
    session.run("delivery requeue 1 --yes");
    session.run("delivery requeue --workflow welcome --since 2026-01-01T00:00:00Z --yes");
    session.run("delivery requeue --workflow welcome --yes");
    session.run("delivery requeue --reason connect --dry-run --output json");
    session.run("enrollment list");
    session.run("account balance");
    session.run("audit");
    assert_transcript!(session);
}

#[tokio::test]
async fn what_cannot_be_requeued_is_left_out_with_its_reason() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    refuse(&session, &[(1, "connect"), (2, "connect"), (3, "connect")]).await;
    session.quiet("enrollment add welcome --phone +393331234501 --yes");
    let contact = delivery_contact(&session, 2).await;
    ops::opt_out(session.pool(), &SystemClock, contact, "tester").await.expect("opts out");
    session.run("delivery requeue --reason connect --dry-run");
    session.run("account adjust acme -99.95 --reason 'spent elsewhere' --yes");
    session.run("delivery requeue --reason connect --yes");
    assert_transcript!(session);
}

async fn delivery_contact(session: &Session, id: i64) -> ContactId {
    let account = account::find(session.pool(), "acme").await.expect("reads");
    let account_id = account.expect("there is one").account_id;
    let filter = DeliveryFilter::default();
    let listed = deliveries::list(session.pool(), account_id, &filter).await.expect("lists");
    listed.iter().find(|d| d.delivery_id.0 == id).expect("it is listed").contact_id
}

#[tokio::test]
async fn a_halted_route_is_shown_with_what_waits_for_it() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    session.until_all_is_due();
    let (pool, now) = (session.pool().clone(), SystemClock.now());
    let worker = worker_registry::register(&pool, &SystemClock, "host-1").await.expect("registers");
    let due = delivery::load_due(&pool, &[DeliveryId(1), DeliveryId(3)]).await.expect("loads");
    let until = now + TimeDelta::seconds(60);
    let requests: Vec<_> =
        due.iter().map(|due| PostponeRequest::new(due, until, WaitsFor::Carrier)).collect();
    postpone(&pool, &requests).await.expect("postpones");
    let halt = NewHalt {
        route_id: RouteId(1),
        at: now,
        probe_at: now + TimeDelta::seconds(5),
        failed_probes: 2,
        reason: Reason::new("connect", "connection refused"),
    };
    route_halt::record(&pool, worker.worker_id, &halt).await.expect("is written");
    session.run("queue stats");
    session.run("route show main");
    session.run("delivery show 1");
    session.run("audit");
    worker.stop(&pool, &SystemClock).await.expect("stops");
    session.run("route show main");
    assert_transcript!(session);
}
