use chrono::TimeDelta;
use dripline_domain::clock::{Clock as _, ManualClock, SystemClock};
use dripline_domain::delivery::{AttemptOutcome, Reason};
use dripline_domain::ids::DeliveryId;
use dripline_domain::receipt::ReceiptStatus;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{
    FinishRequest, Receipt, ReceiptOf, Received, Start, StartRequest, finish_attempts,
    record_receipts, start_attempts,
};
use dripline_store::testing::route_of;
use dripline_store::{installation, worker_registry};
use uuid::Uuid;

use crate::session::{Session, assert_transcript};

#[tokio::test]
async fn messages_are_listed_and_shown() {
    let mut session = Session::furnished().await;
    session.run("delivery list");
    session.run("queue list");
    session.quiet("enrollment add welcome --all --yes");
    session.quiet("enrollment remove 1 --yes");
    session.until_all_is_due();
    session.run("delivery list");
    session.run("delivery list --state cancelled --output json");
    session.run("delivery list --workflow welcome --limit 0");
    session.run("delivery list --contact +393331234502");
    session.run("delivery list --enrollment 3");
    session.run("delivery show 1");
    session.run("delivery show 2 --output json");
    session.run("queue list");
    session.run("queue list --workflow welcome --limit 1 --output json");
    session.run("queue stats --output json");
    session.run("delivery show 9");
    session.run("delivery show x");
    session.run("delivery list --state lost");
    session.run("delivery list --workflow nobody");
    session.run("queue list --state nothing");
    assert_transcript!(session);
}

/// Marks the first three deliveries, as a worker would. Of the first two nobody knows what became of them;
/// the third one is on the wire.
async fn hand_over(session: &Session) {
    // A first message is due at the next whole second, which this does not wait for.
    let soon = SystemClock.now() + TimeDelta::seconds(2);
    let (pool, clock) = (session.pool(), &ManualClock::new(soon));
    let worker = worker_registry::register(pool, clock, "host-1").await.expect("registers");
    let request =
        |id| StartRequest { delivery_id: DeliveryId(id), attempt: 1, segments: 1, route_id: None };
    let requests = [request(1), request(2), request(3)];
    let marked = start_attempts(pool, clock, worker.worker_id, Uuid::new_v4(), &requests);
    for start in marked.await.expect("marks") {
        assert!(matches!(start, Start::Started { .. }), "{start:?}");
    }
    let unknown = |id| FinishRequest {
        delivery_id: DeliveryId(id),
        attempt: 1,
        outcome: AttemptOutcome::Unknown(Reason::new("timeout", "no answer")),
    };
    let finishes = [unknown(1), unknown(2)];
    let policy = RetryPolicy::default();
    let finish = finish_attempts(pool, clock, &policy, worker.worker_id, Uuid::new_v4(), &finishes);
    finish.await.expect("finishes");
}

#[tokio::test]
async fn what_is_unknown_is_resolved_once() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    hand_over(&session).await;
    session.run("delivery resolve 1");
    session.run("delivery resolve 1 --sent --resend");
    session.run("delivery resolve --sent");
    session.run("delivery resolve 1 --sent --state unknown");
    session.run("delivery resolve --sent --state sent");
    session.run("delivery resolve 1 --sent");
    session.run("delivery resolve 1 --sent --dry-run --output json");
    session.run("delivery resolve 1 --resend --dry-run");
    session.run("delivery resolve 1 --sent --reason 'seen in the portal' --yes");
    session.run("delivery resolve 1 --sent --yes");
    session.run("delivery resolve 3 --resend --yes");
    session.run("delivery resolve 99 --sent --yes");
    session.run("delivery resolve --state unknown --older-than 24h --resend --yes");
    session.run("delivery resolve --state unknown --workflow welcome --resend --yes --output json");
    // It was sent after all, and so is not sent again.
    session.run("delivery resolve 2 --sent --yes");
    session.run("delivery show 1");
    session.run("account balance");
    session.run("audit");
    assert_transcript!(session);
}

#[tokio::test]
async fn what_contradicts_a_decision_is_listed() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    hand_over(&session).await;
    session.quiet("workflow pause welcome --yes");
    session.run("delivery resolve --state unknown --resend --reason 'not in the portal' --yes");
    let installation = installation::id(session.pool()).await.expect("is there").simple();
    let over = route_of(session.pool(), DeliveryId(2)).await;
    let receipt = |id| Receipt {
        over,
        of: ReceiptOf::Ours(format!("{installation}-{id}-1")),
        status: ReceiptStatus::Delivered,
        carrier_reference: Some(format!("SM{id}")),
        reason: None,
    };
    let (receipts, batch_id) = ([receipt(2)], Uuid::new_v4());
    let policy = RetryPolicy::default();
    let pool = session.pool();
    let received = record_receipts(pool, &SystemClock, &policy, "webhook", batch_id, &receipts);
    assert_eq!(received.await.expect("records"), [Received::Contradicted]);
    session.run("delivery list --contradicted");
    session.run("delivery show 2");
    session.run("delivery show 2 --output json");
    session.run("audit");
    assert_transcript!(session);
}
