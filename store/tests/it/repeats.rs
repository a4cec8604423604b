//! Class K: the same request again under the same key, taken on by one worker, and never more than that.

use std::time::Duration;

use chrono::TimeDelta;
use dripline_domain::clock::ManualClock;
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::{DeliveryId, RouteId};
use dripline_domain::receipt::ReceiptStatus;
use dripline_store::inquiry;
use dripline_store::ops::{
    Closing, Finished, GiveUp, GiveUpRequest, Receipt, ReceiptOf, Received, Repeat, RepeatRequest,
    Resolved, StaleRepeat, StartRequest, give_up, opt_out, pause_workflow, record_receipts,
    repeat_attempts, start_referenced_attempts,
};
use dripline_store::testing::factory::{PRICE, Scene};
use dripline_store::testing::route_of;
use dripline_store::{audit, installation};
use uuid::Uuid;

use crate::evidence::{ACTOR, says};
use crate::journey::given;
use crate::support::{
    Stage, accepted, balance, noon, not_sent, outcomes, policy, refused, requests, unknown,
};

const FULL: i64 = 1_000_000_000_000;
const LIFETIME: Duration = Duration::from_hours(3);
const CARRIER: &str = "keyed-carrier";

pub(crate) fn again(start: &StartRequest) -> RepeatRequest {
    RepeatRequest {
        delivery_id: start.delivery_id,
        attempt: start.attempt,
        segments: start.segments,
        reference: given(start.delivery_id),
    }
}

impl Stage {
    /// Marks everything that is due under a key.
    async fn start_keyed(&self) -> Vec<StartRequest> {
        let (tickets, due) = self.claim_due().await;
        let starts = requests(&due, 1);
        let keys: Vec<_> = starts.iter().map(|start| Some(given(start.delivery_id))).collect();
        let batch_id = Uuid::new_v4();
        start_referenced_attempts(self.pool(), &self.clock, self.id(), batch_id, &starts, &keys)
            .await
            .unwrap();
        self.acknowledge(&tickets).await;
        starts
    }

    /// The same, and loses the answers.
    pub(crate) async fn lose_keyed(&self) -> Vec<StartRequest> {
        let starts = self.start_keyed().await;
        self.finish(&outcomes(&starts, &unknown())).await;
        starts
    }

    pub(crate) async fn repeat(&self, requests: &[RepeatRequest]) -> Vec<Repeat> {
        self.repeat_as(Uuid::new_v4(), requests).await
    }

    async fn repeat_as(&self, batch_id: Uuid, requests: &[RepeatRequest]) -> Vec<Repeat> {
        repeat_attempts(self.pool(), &self.clock, self.id(), batch_id, requests).await.unwrap()
    }

    async fn outcomes_of(&self, id: DeliveryId) -> Vec<String> {
        let attempts = self.show(id).await.attempts.into_iter();
        attempts.map(|attempt| attempt.outcome.unwrap_or_else(|| "none".to_owned())).collect()
    }
}

pub(crate) fn next(start: &StartRequest) -> StartRequest {
    StartRequest { attempt: start.attempt + 1, ..*start }
}

#[tokio::test]
async fn a_repetition_that_is_accepted_decides_for_both_attempts() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_keyed().await;
    let id = lost[0].delivery_id;
    assert_eq!(stage.repeat(&[again(&lost[0])]).await, [Repeat::Started]);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Sending]);
    assert_eq!(stage.outcomes_of(id).await, ["repeated", "none"]);
    stage.assert_sound().await;
    assert_eq!(stage.finish(&outcomes(&[next(&lost[0])], &accepted())).await, [Finished::Sent]);
    assert_eq!(stage.outcomes_of(id).await, ["repeated", "accepted"]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - PRICE.0, 0, PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn whatever_else_a_repetition_meets_says_nothing_about_the_attempt_before() {
    for met in [refused(), not_sent(), unknown()] {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
        let lost = stage.lose_keyed().await;
        stage.repeat(&[again(&lost[0])]).await;
        let second = next(&lost[0]);
        assert_eq!(stage.finish(&outcomes(&[second], &met)).await, [Finished::Unknown]);
        assert_eq!(stage.outcomes_of(lost[0].delivery_id).await, ["repeated", "unknown"]);
        assert_eq!(stage.balance(scene.account_id).await.held, PRICE);
        stage.assert_sound().await;
        // And once more.
        assert_eq!(stage.repeat(&[again(&second)]).await, [Repeat::Started]);
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn that_a_repeated_attempt_was_accepted_decides_though_it_is_heard_late_and_twice() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_keyed().await;
    let id = lost[0].delivery_id;
    stage.repeat(&[again(&lost[0])]).await;
    // While the repetition is on the wire, its own worker decides.
    assert_eq!(stage.finish(&outcomes(&lost, &accepted())).await, [Finished::AlreadyDone]);
    let second = next(&lost[0]);
    stage.finish(&outcomes(&[second], &unknown())).await;
    for nothing in [refused(), not_sent(), unknown()] {
        assert_eq!(stage.finish(&outcomes(&lost, &nothing)).await, [Finished::AlreadyDone]);
        assert_eq!(stage.balance(scene.account_id).await.held, PRICE);
    }
    assert_eq!(stage.finish(&outcomes(&lost, &accepted())).await, [Finished::Sent]);
    assert_eq!(stage.finish(&outcomes(&lost, &accepted())).await, [Finished::AlreadyDone]);
    assert_eq!(stage.finish(&outcomes(&[second], &accepted())).await, [Finished::AlreadyDone]);
    assert_eq!(stage.outcomes_of(id).await, ["repeated", "accepted"]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - PRICE.0, 0, PRICE.0));
    assert!(stage.show(id).await.evidence.is_empty(), "nobody contradicts anybody");
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_a_journal_tells_after_the_decision_keeps_the_message_from_being_sent_again() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_keyed().await;
    let id = lost[0].delivery_id;
    stage.repeat(&[again(&lost[0])]).await;
    stage.finish(&outcomes(&[next(&lost[0])], &unknown())).await;
    stage.resolve(&[says(id, Evidence::Operator(Finding::NotSent))]).await;
    let heard = stage.show(id).await.evidence.len();
    for _ in 0..2 {
        assert_eq!(stage.finish(&outcomes(&lost, &accepted())).await, [Finished::AlreadyDone]);
        assert_eq!(stage.balance(scene.account_id).await, balance(FULL - PRICE.0, 0, PRICE.0));
        assert_eq!(stage.show(id).await.evidence.len(), heard + 1);
    }
    assert_eq!(stage.outcomes_of(id).await, ["accepted", "not_sent"]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_operator_decides_about_all_attempts_under_a_key() {
    for (finding, expected) in
        [(Finding::NotSent, ["not_sent", "not_sent"]), (Finding::Sent, ["repeated", "accepted"])]
    {
        let stage = Stage::new().await;
        Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
        let lost = stage.lose_keyed().await;
        stage.repeat(&[again(&lost[0])]).await;
        stage.finish(&outcomes(&[next(&lost[0])], &unknown())).await;
        let id = lost[0].delivery_id;
        let decided = stage.resolve(&[says(id, Evidence::Operator(finding))]).await;
        assert!(matches!(decided[0], Resolved::Decided(_)), "{decided:?}");
        assert_eq!(stage.outcomes_of(id).await, expected);
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn a_receipt_under_the_key_is_heard_after_an_attempt_that_had_nothing_to_hand_over() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let starts = stage.start_keyed().await;
    stage.finish(&outcomes(&starts, &not_sent())).await;
    let id = starts[0].delivery_id;
    let retry = GiveUpRequest {
        delivery_id: id,
        attempt: 1,
        cause: GiveUp::Retry(Reason::new("plugin", "a trap")),
    };
    let (pool, clock) = (stage.pool(), &stage.clock);
    give_up(pool, clock, &policy(), stage.id(), Uuid::new_v4(), &[retry]).await.unwrap();
    let installation = installation::id(pool).await.unwrap().simple();
    let receipt = [Receipt {
        over: route_of(pool, id).await,
        of: ReceiptOf::Ours(format!("{installation}-{id}-0")),
        status: ReceiptStatus::Delivered,
        carrier_reference: None,
        reason: None,
    }];
    let received = record_receipts(pool, clock, &policy(), ACTOR, Uuid::new_v4(), &receipt).await;
    assert_eq!(received.unwrap(), [Received::Decided(Finished::Sent)]);
    assert_eq!(stage.outcomes_of(id).await, ["accepted", "not_sent"]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - PRICE.0, 0, PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn repetitions_are_one_try() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let mut last = stage.lose_keyed().await[0];
    for _ in 0..4 {
        assert_eq!(stage.repeat(&[again(&last)]).await, [Repeat::Started]);
        last = next(&last);
        stage.finish(&outcomes(&[last], &unknown())).await;
    }
    // The policy allows three tries, and this was one.
    let not = says(last.delivery_id, Evidence::Operator(Finding::NotSent));
    let decided = stage.resolve(&[not]).await;
    assert!(matches!(decided[0], Resolved::Decided(Finished::Requeued { .. })), "{decided:?}");
    stage.assert_sound().await;
}

#[tokio::test]
async fn only_the_same_request_under_a_living_key_is_repeated() {
    use StaleRepeat::{Expired, NoKey, NotUnknown, OtherRequest};
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_keyed().await[0];
    let good = again(&lost);
    let check = async |request: &RepeatRequest, expected: StaleRepeat| {
        let repeats = stage.repeat(std::slice::from_ref(request)).await;
        assert_eq!(repeats, [Repeat::Stale(expected)], "{request:?}");
    };
    let with = |change: fn(&mut RepeatRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    check(&with(|r| r.attempt = 2), NotUnknown).await;
    check(&with(|r| r.delivery_id = DeliveryId(-1)), NotUnknown).await;
    check(&with(|r| r.reference.key = None), NoKey).await;
    check(&with(|r| r.reference.reference = "in5-9-0".to_owned()), OtherRequest).await;
    check(&with(|r| r.reference.route_revision = 2), OtherRequest).await;
    check(&with(|r| r.reference.route_id = RouteId(9)), OtherRequest).await;
    check(&with(|r| r.segments = 2), OtherRequest).await;
    let other = |r: &mut RepeatRequest| {
        r.reference.key.as_mut().unwrap().request_digest = "another".to_owned();
    };
    check(&with(other), OtherRequest).await;

    sqlx::query("UPDATE deliveries SET expires_at = $1")
        .bind(noon())
        .execute(stage.pool())
        .await
        .unwrap();
    check(&good, Expired).await;
    sqlx::query("UPDATE deliveries SET expires_at = NULL").execute(stage.pool()).await.unwrap();
    // Not in the key's last minute: the request must still arrive.
    stage.clock.advance(TimeDelta::from_std(LIFETIME).unwrap() - TimeDelta::seconds(60));
    check(&good, NoKey).await;
    stage.advance(-1);
    assert_eq!(stage.repeat(std::slice::from_ref(&good)).await, [Repeat::Started]);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Sending]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn without_a_key_nothing_is_repeated() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_due().await;
    let repeats = stage.repeat(&[again(&lost[0])]).await;
    assert_eq!(repeats, [Repeat::Stale(StaleRepeat::NoKey)]);
}

#[tokio::test]
async fn nothing_leaves_again_after_a_pause_or_an_opt_out() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let lost = stage.lose_keyed().await;
    opt_out(stage.pool(), &stage.clock, scene.contacts[0], ACTOR).await.unwrap();
    let closing = Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
    pause_workflow(stage.pool(), &stage.clock, &closing).await.unwrap();
    let repeats = stage.repeat(&[again(&lost[0]), again(&lost[1])]).await;
    assert_eq!(repeats, vec![Repeat::Stale(StaleRepeat::WorkflowClosed); 2]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_repeated_mark_whose_commit_got_no_answer_is_recognised() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_keyed().await;
    let one = [again(&lost[0])];
    let batch_id = Uuid::new_v4();
    assert_eq!(stage.repeat_as(batch_id, &one).await, [Repeat::Started]);
    assert_eq!(stage.repeat_as(batch_id, &one).await, [Repeat::Started]);
    assert_eq!(stage.repeat(&one).await, [Repeat::Stale(StaleRepeat::NotUnknown)]);
    assert_eq!(stage.outcomes_of(lost[0].delivery_id).await.len(), 2);
}

#[tokio::test]
async fn a_receipt_under_the_key_is_of_all_attempts() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_keyed().await;
    stage.repeat(&[again(&lost[0])]).await;
    let installation = installation::id(stage.pool()).await.unwrap().simple();
    let receipt = Receipt {
        over: route_of(stage.pool(), lost[0].delivery_id).await,
        of: ReceiptOf::Ours(format!("{installation}-{}-0", lost[0].delivery_id)),
        status: dripline_domain::receipt::ReceiptStatus::Sent,
        carrier_reference: None,
        reason: None,
    };
    let receive = async || {
        let (batch_id, one) = (Uuid::new_v4(), std::slice::from_ref(&receipt));
        record_receipts(stage.pool(), &stage.clock, &policy(), ACTOR, batch_id, one).await.unwrap()
    };
    // On the wire it waits for the worker's word, and is kept for the case that there is none.
    assert_eq!(receive().await, [Received::Recorded]);
    stage.finish(&outcomes(&[next(&lost[0])], &refused())).await;
    assert_eq!(receive().await, [Received::Decided(Finished::Sent)]);
    assert_eq!(stage.outcomes_of(lost[0].delivery_id).await, ["repeated", "accepted"]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn the_audit_allows_several_attempts_under_one_key_and_nothing_more() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_keyed().await;
    stage.repeat(&[again(&lost[0])]).await;
    stage.assert_sound().await;
    let holds = async || {
        let eighth = audit::INVARIANTS[7];
        audit::check(stage.pool(), &stage.clock, eighth).await.unwrap().holds()
    };
    for (damage, repair) in [
        ("reference = 'another'", "reference = 'in5-1-0'"),
        ("request_digest = 'another'", "request_digest = 'same'"),
        ("route_id = 2", "route_id = 1"),
        // As if the second attempt had come after the first one's key was gone.
        ("key_expires_at = '2026-03-02 12:00:00Z'", "key_expires_at = '2026-03-02 15:00:00Z'"),
    ] {
        let change = async |set: &str| {
            let statement = format!("UPDATE attempt_references SET {set} WHERE attempt = 1");
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(stage.pool()).await.unwrap();
        };
        change(damage).await;
        assert!(!holds().await, "{damage}");
        change(repair).await;
        assert!(holds().await, "{repair}");
    }
    sqlx::query("DELETE FROM attempt_references WHERE attempt = 2")
        .execute(stage.pool())
        .await
        .unwrap();
    assert!(!holds().await, "one attempt had no key");
}

#[tokio::test]
async fn an_inquiry_is_taken_on_once_and_comes_back_when_it_is_due() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 3).await;
    let lost = stage.lose_keyed().await;
    let carriers = [CARRIER.to_owned()];
    let claim = async |limit| {
        let lease = Duration::from_mins(1);
        inquiry::claim(stage.pool(), &stage.clock, &carriers, lease, limit).await.unwrap()
    };
    let nobody = inquiry::claim(stage.pool(), &stage.clock, &[], Duration::ZERO, 9).await.unwrap();
    assert!(nobody.is_empty());
    let first = claim(2).await;
    assert_eq!(first.len(), 2);
    assert_eq!((first[0].attempt, first[0].inquiry, first[0].keyed), (1, 1, true));
    assert_eq!(first[0].reference, given(first[0].delivery_id).reference);
    assert_eq!(claim(9).await.len(), 1);
    assert!(claim(9).await.is_empty());

    let wait = Duration::from_secs(5);
    inquiry::postpone(stage.pool(), &stage.clock, &first[0], wait).await.unwrap();
    stage.advance(5);
    let again = claim(9).await;
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].delivery_id, again[0].inquiry), (first[0].delivery_id, 2));
    // Somebody who was slow does not bring it forward.
    inquiry::postpone(stage.pool(), &stage.clock, &first[0], Duration::ZERO).await.unwrap();
    assert!(claim(9).await.is_empty());

    // What its worker never came back to is taken on again.
    stage.advance(60);
    assert_eq!(claim(9).await.len(), 3);
    assert_eq!(inquiry::forget_decided(stage.pool()).await.unwrap(), 0);
    stage.resolve(&[says(lost[0].delivery_id, Evidence::Deadline)]).await;
    assert_eq!(inquiry::forget_decided(stage.pool()).await.unwrap(), 1);
    stage.advance(60);
    assert_eq!(claim(9).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_workers_one_takes_on_each_inquiry_and_one_repeats() {
    const WORKERS: usize = 8;
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 40).await;
    let lost = stage.lose_keyed().await;
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(WORKERS));
    let requests: Vec<_> = lost.iter().map(again).collect();
    let workers = (0..WORKERS).map(|_| {
        let (pool, clock, worker) = (stage.pool().clone(), ManualClock::new(noon()), stage.id());
        let (barrier, requests) = (barrier.clone(), requests.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            let carriers = [CARRIER.to_owned()];
            let lease = Duration::from_mins(1);
            let claimed = inquiry::claim(&pool, &clock, &carriers, lease, 100).await.unwrap();
            barrier.wait().await;
            let repeats =
                repeat_attempts(&pool, &clock, worker, Uuid::new_v4(), &requests).await.unwrap();
            let started = repeats.iter().filter(|repeat| **repeat == Repeat::Started).count();
            (claimed.len(), started)
        })
    });
    let (mut claimed, mut started) = (0, 0);
    for worker in workers.collect::<Vec<_>>() {
        let (inquiries, repeats) = worker.await.unwrap();
        claimed += inquiries;
        started += repeats;
    }
    assert_eq!((claimed, started), (40, 40));
    stage.assert_sound().await;
}
