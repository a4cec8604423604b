//! A ticket is a wake-up call: lost, doubled, foreign or unreadable, it does no harm.

use chrono::TimeDelta;
use dripline_domain::clock::{Clock, SystemClock};
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::DeliveryId;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::queue::{self, Ticket, new_ticket_id};

use crate::support::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn doubled_foreign_and_unreadable_tickets_change_nothing() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 30).await;
    let due = SystemClock.now() - TimeDelta::seconds(1);
    let ticket = |delivery_id| Ticket { ticket_id: new_ticket_id(), delivery_id, run_at: due };
    let found = deliveries::list(&stage.pool, scene.account_id, &DeliveryFilter::default()).await;
    let mut tickets: Vec<_> = found.unwrap().iter().map(|d| ticket(d.delivery_id)).collect();
    tickets.extend((1..=10).map(|n| ticket(DeliveryId(1_000_000 + n))));
    let mut session = stage.pool.acquire().await.unwrap();
    queue::push(&mut session, &tickets).await.unwrap();
    drop(session);
    // The first ten copies cannot be read any more.
    stage.sql(
        "UPDATE apalis.jobs SET job = '\\xff00' WHERE id IN
         (SELECT id FROM apalis.jobs ORDER BY id DESC LIMIT 10)",
    );

    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sent, 30).await;
    worker.stop().await;
    stage.assert_invariants().await;
    let left = queue::stats(&stage.pool, &SystemClock).await.unwrap();
    assert_eq!((left.due, left.claimed, left.scheduled), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ticket_is_issued_again() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 20).await;
    // Due long enough for the sweep to look at them.
    stage.sql(
        "DELETE FROM apalis.jobs; UPDATE deliveries SET due_at = due_at - INTERVAL '5 minutes'",
    );
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sent, 20).await;
    worker.stop().await;
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_of_a_claim_that_came_through_unheard_are_found() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 20).await;
    stage.sql("UPDATE apalis.jobs SET run_at = now() + INTERVAL '1 hour'");
    let worker = stage.worker().start();
    // As the server leaves it when it gets to a claim only after its worker has asked again.
    stage.sql(
        "UPDATE apalis.jobs SET status = 'Running', lock_at = now(), attempts = attempts + 1,
         lock_by = (SELECT name FROM workers WHERE stopped_at IS NULL)",
    );
    stage.wait_for(&scene, DeliveryState::Sent, 20).await;
    worker.stop().await;
    stage.assert_invariants().await;
}
