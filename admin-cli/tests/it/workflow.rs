use std::time::Duration;

use chrono::TimeDelta;
use dripline_domain::clock::{Clock as _, ManualClock, SystemClock};
use dripline_domain::delivery::{AttemptOutcome, Reason};
use dripline_domain::ids::DeliveryId;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{FinishRequest, Start, StartRequest, finish_attempts, start_attempts};
use dripline_store::worker_registry;
use uuid::Uuid;

use crate::session::{Session, WELCOME, assert_transcript};

#[tokio::test]
async fn a_workflow_is_a_file() {
    let mut session = Session::furnished().await;
    session.run("workflow list");
    session.run("workflow show welcome");
    session.run("workflow show welcome --output json");
    session.run("workflow export welcome");
    session.run("workflow export welcome --file copy.toml");
    session.run("workflow export welcome --file copy.toml");
    session.run("workflow edit welcome --file copy.toml");
    session
        .file("charge.toml", WELCOME.replace("\"fail\"", "\"charge\"").replace("welcome", "hello"));
    session.run("workflow edit welcome --file charge.toml --dry-run");
    session.run("workflow edit welcome --file charge.toml");
    session.run("workflow edit welcome --file charge.toml");
    session.run("workflow edit 1 --file copy.toml --output json");
    session.run("workflow create --file charge.toml --dry-run");
    session.run("workflow create --file charge.toml --output json");
    assert_transcript!(session);
}

#[tokio::test]
async fn the_order_is_kept() {
    let mut session = Session::furnished().await;
    for name in ["b", "c", "d", "e"] {
        session.file("next.toml", WELCOME.replace("\"welcome\"", &format!("\"{name}\"")));
        session.quiet("workflow create --file next.toml");
    }
    session.run("workflow move e --top");
    session.run("workflow move welcome --down");
    session.run("workflow move d --before b");
    session.run("workflow move e --after d --output json");
    session.run("workflow move c --to 1");
    session.run("workflow move c --up");
    session.run("workflow list");
    session.run("workflow move c --to 9");
    session.run("workflow move c --to 0");
    session.run("workflow move c --before c");
    session.run("workflow move c --before nobody");
    session.run("workflow move c");
    session.run("workflow move c --up --down");
    assert_transcript!(session);
}

#[tokio::test]
async fn an_active_workflow_cannot_be_changed() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    session.file("other.toml", WELCOME.replace("How is it going?", "Bye"));
    session.run("workflow edit welcome --file other.toml");
    session.run("workflow edit welcome");
    session.run("workflow list");
    session.run("workflow pause welcome --yes");
    session.run("workflow edit welcome --file other.toml");
    assert_transcript!(session);
}

#[tokio::test]
async fn pause_takes_everybody_out_and_gives_everything_back() {
    let mut session = Session::furnished().await;
    session.run("enrollment add welcome --all --yes");
    session.run("workflow pause welcome");
    session.run("workflow pause welcome --dry-run");
    session.run("workflow pause welcome --dry-run --output json");
    session.run("workflow pause welcome --reason 'wrong text' --wait --yes");
    session.run("workflow pause welcome --yes --output json");
    session.run("account balance");
    session.run("workflow history welcome");
    session.run("contact show 1");
    session.run("enrollment add welcome --from-operation 1 --yes");
    session.run("workflow pause welcome --yes --output json");
    session.run("workflow history --cause workflow_paused --limit 1 --output json");
    session.run("audit");
    assert_transcript!(session);
}

#[tokio::test]
async fn deleted_is_gone_for_good() {
    let mut session = Session::furnished().await;
    session.file("idle.toml", WELCOME.replace("\"welcome\"", "\"idle one\""));
    session.quiet("workflow create --file idle.toml");
    session.run("workflow delete 'idle one'");
    session.run("workflow delete 'idle one' --yes");
    session.quiet("enrollment add welcome --all --yes");
    session.run("workflow delete welcome --dry-run");
    session.run("workflow delete welcome --yes --output json");
    session.run("workflow list");
    session.run("workflow show welcome");
    session.run("workflow delete welcome --yes");
    session.run("workflow history 1");
    session.run("ledger");
    session.run("operation list");
    session.run("account balance");
    session.run("audit");
    assert_transcript!(session);
}

#[tokio::test]
async fn names_are_unique_and_files_are_needed() {
    let mut session = Session::furnished().await;
    session.run("workflow create --file welcome.toml");
    session.run("workflow create --file missing.toml");
    session.run("workflow create");
    session.run("workflow edit welcome");
    session.run("workflow show welcom");
    session.run("workflow show 77");
    session.run("workflow history nobody");
    session.run("workflow history --cause bored");
    session.run("workflow pause nobody --yes");
    assert_transcript!(session);
}

/// Marks the first two deliveries, as a worker would; of the second nobody knows what became of it.
async fn hand_over(session: &Session) {
    // A first message is due at the next whole second, which this does not wait for.
    let soon = SystemClock.now() + TimeDelta::seconds(2);
    let (pool, clock) = (session.pool(), &ManualClock::new(soon));
    let worker = worker_registry::register(pool, clock, "host-1").await.expect("registers");
    let request =
        |id| StartRequest { delivery_id: DeliveryId(id), attempt: 1, segments: 1, route_id: None };
    let requests = [request(1), request(2)];
    let marked = start_attempts(pool, clock, worker.worker_id, Uuid::new_v4(), &requests);
    for start in marked.await.expect("marks") {
        assert!(matches!(start, Start::Started { .. }), "{start:?}");
    }
    let unknown = FinishRequest {
        delivery_id: DeliveryId(2),
        attempt: 1,
        outcome: AttemptOutcome::Unknown(Reason::new("timeout", "no answer")),
    };
    let policy = RetryPolicy {
        max_attempts: 1,
        first: Duration::from_secs(1),
        ceiling: Duration::from_secs(1),
    };
    let requests = [unknown];
    let finish = finish_attempts(pool, clock, &policy, worker.worker_id, Uuid::new_v4(), &requests);
    finish.await.expect("finishes");
}

#[tokio::test]
async fn what_is_in_flight_is_listed_and_not_refunded() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    hand_over(&session).await;
    session.run("workflow edit welcome");
    session.run("workflow pause welcome --dry-run");
    session.run("enrollment remove 2 --dry-run");
    session.run("workflow pause welcome --yes --wait=0");
    session.run("delivery list");
    session.run("delivery show 2");
    session.run("queue list");
    session.run("account balance");
    session.run("audit");
    assert_transcript!(session);
}
