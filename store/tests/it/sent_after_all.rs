//! What is said to have been sent after it was queued again: it is not sent a second time.

use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use dripline_domain::evidence::{Effect, Evidence, Finding};
use dripline_store::ops::{
    Finished, GiveUp, GiveUpRequest, Resolution, Resolved, StaleReason, Start, StartRequest,
    give_up,
};
use dripline_store::testing::factory::{PRICE, Scene};
use uuid::Uuid;

use crate::evidence::says;
use crate::support::{Stage, accepted, not_sent, outcomes, policy, refused, requests};

/// What waits to be sent again, with how many attempts behind it.
async fn waits_again(stage: &Stage, steps: usize) -> (Scene, StartRequest) {
    let scene = Scene::enrolled(stage.pool(), &stage.clock, steps, 1).await;
    let (tickets, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    let finished = stage.finish(&outcomes(&starts, &not_sent())).await;
    assert!(matches!(finished[0], Finished::Requeued { .. }), "{finished:?}");
    stage.acknowledge(&tickets).await;
    (scene, starts[0])
}

#[tokio::test]
async fn what_was_sent_after_all_is_not_sent_again() {
    for witness in
        [Evidence::Receipt, Evidence::Carrier(Finding::Sent), Evidence::Operator(Finding::Sent)]
    {
        let stage = Stage::new().await;
        let (scene, first) = waits_again(&stage, 2).await;
        let late = says(first.delivery_id, witness);
        let batch_id = Uuid::new_v4();
        let heard = stage.resolve_as(batch_id, std::slice::from_ref(&late)).await;
        assert_eq!(heard, [Resolved::Decided(Finished::Sent)]);
        assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
        let detail = stage.show(first.delivery_id).await;
        assert_eq!(detail.delivery.state, DeliveryState::Sent);
        assert_eq!(detail.attempts[0].outcome.as_deref(), Some("accepted"));
        let effects: Vec<_> = detail.evidence.iter().map(|piece| piece.effect).collect();
        assert_eq!(effects, [Effect::Overruled]);
        // Its ticket is gone, the next step's is there, and saying it again changes nothing.
        let again = stage.resolve_as(batch_id, std::slice::from_ref(&late)).await;
        assert_eq!(again, [Resolved::AlreadyDone]);
        let again = stage.resolve(std::slice::from_ref(&late)).await;
        assert_eq!(again, [Resolved::Agreed { state: DeliveryState::Sent }]);
        stage.advance(7_200);
        let (tickets, due) = stage.claim_due().await;
        assert_eq!((tickets.len(), due.len()), (1, 1));
        assert_eq!(due[0].position, 2);
        assert_eq!(stage.contradicted(&scene).await, 0);
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn an_earlier_attempt_that_was_sent_after_all_is_the_one_that_is_paid() {
    let stage = Stage::new().await;
    let (scene, first) = waits_again(&stage, 1).await;
    stage.advance(3_600);
    let (tickets, due) = stage.claim_due().await;
    let second = requests(&due, 1);
    stage.start(&second).await;
    // While it is on the wire again, nothing can be done but to keep what is said until that is over.
    let late = Resolution {
        attempt: Some(1),
        ..says(first.delivery_id, Evidence::Carrier(Finding::Sent))
    };
    let heard = stage.resolve(std::slice::from_ref(&late)).await;
    assert_eq!(heard, [Resolved::Contradicted { state: DeliveryState::Sending }]);
    assert_eq!(stage.finish(&outcomes(&second, &not_sent())).await, [Finished::Sent]);
    stage.acknowledge(&tickets).await;
    let attempts = stage.show(first.delivery_id).await.attempts;
    let outcomes: Vec<_> = attempts.iter().map(|one| one.outcome.as_deref()).collect();
    assert_eq!(outcomes, [Some("accepted"), Some("not_sent")]);
    assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_an_earlier_attempt_sent_is_remembered_while_a_later_one_is_unknown() {
    for last in [refused(), not_sent()] {
        let stage = Stage::new().await;
        let (scene, first) = waits_again(&stage, 2).await;
        stage.advance(3_600);
        let second = stage.lose_due().await;
        let late = Resolution { attempt: Some(1), ..says(first.delivery_id, Evidence::Receipt) };
        let heard = stage.resolve(&[late]).await;
        assert_eq!(heard, [Resolved::Contradicted { state: DeliveryState::Unknown }]);
        if matches!(last, AttemptOutcome::Refused(_)) {
            assert_eq!(stage.finish(&outcomes(&second, &last)).await, [Finished::Sent]);
        } else {
            let not = says(first.delivery_id, Evidence::Carrier(Finding::NotSent));
            assert_eq!(stage.resolve(&[not]).await, [Resolved::Decided(Finished::Sent)]);
        }
        let detail = stage.show(first.delivery_id).await;
        assert_eq!((detail.delivery.state, detail.delivery.reason), (DeliveryState::Sent, None));
        assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
        stage.advance(7_200);
        let (_, due) = stage.claim_due().await;
        assert_eq!(due.iter().map(|due| due.position).collect::<Vec<_>>(), [2]);
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn what_is_queued_by_somebody_who_had_not_heard_it_is_settled_before_it_leaves() {
    for cause in [GiveUp::Closed, GiveUp::Expired, GiveUp::Retry(Reason::new("plugin", "a trap"))] {
        let stage = Stage::new().await;
        let (scene, first) = waits_again(&stage, 1).await;
        stage.advance(3_600);
        let (_, due) = stage.claim_due().await;
        stage.start(&requests(&due, 1)).await;
        let late = Resolution { attempt: Some(1), ..says(first.delivery_id, Evidence::Receipt) };
        stage.resolve(&[late]).await;
        // What a settlement does that has read the delivery before.
        for statement in [
            "UPDATE deliveries SET state = 'queued', ticket_id = 'gone'",
            "UPDATE attempts SET outcome = 'not_sent', finished_at = now() WHERE attempt = 2",
        ] {
            sqlx::query(statement).execute(stage.pool()).await.unwrap();
        }
        let third = StartRequest { attempt: 3, ..first };
        assert_eq!(stage.start(&[third]).await, [Start::Stale(StaleReason::SaidSent)]);
        let request = GiveUpRequest { delivery_id: first.delivery_id, attempt: 2, cause };
        let batch_id = Uuid::new_v4();
        for expected in [Finished::Sent, Finished::AlreadyDone] {
            let (pool, clock) = (stage.pool(), &stage.clock);
            let one = std::slice::from_ref(&request);
            let done = give_up(pool, clock, &policy(), stage.id(), batch_id, one).await;
            assert_eq!(done.unwrap(), [expected]);
        }
        assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn a_worker_that_was_taken_for_dead_keeps_its_message_from_being_sent_again() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_due().await;
    stage.resolve(&[says(lost[0].delivery_id, Evidence::Operator(Finding::NotSent))]).await;
    let finished = stage.finish(&outcomes(&lost, &accepted())).await;
    assert_eq!(finished, [Finished::AlreadyDone]);
    let detail = stage.show(lost[0].delivery_id).await;
    assert_eq!(detail.delivery.state, DeliveryState::Sent);
    assert_eq!(detail.delivery.carrier_reference.as_deref(), Some("SM1"));
    assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
    stage.assert_sound().await;
}

#[tokio::test]
async fn who_stands_before_the_wire_and_who_says_it_was_sent_do_not_both_win() {
    for _ in 0..20 {
        let stage = Stage::new().await;
        let (_, first) = waits_again(&stage, 1).await;
        stage.advance(3_600);
        let (_, due) = stage.claim_due().await;
        let again = requests(&due, 1);
        let late = [says(first.delivery_id, Evidence::Carrier(Finding::Sent))];
        let late = [Resolution { attempt: Some(1), ..late[0].clone() }];
        let (started, heard) = tokio::join!(stage.start(&again), stage.resolve(&late));
        let started = matches!(started[0], Start::Started { .. });
        let settled = heard == [Resolved::Decided(Finished::Sent)];
        assert_ne!(started, settled, "{heard:?}");
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn who_queues_it_again_and_who_says_it_was_sent_leave_nothing_to_be_given_back() {
    for _ in 0..20 {
        let stage = Stage::new().await;
        let (scene, first) = waits_again(&stage, 1).await;
        stage.advance(3_600);
        let (_, due) = stage.claim_due().await;
        let again = requests(&due, 1);
        stage.start(&again).await;
        let late = [Resolution { attempt: Some(1), ..says(first.delivery_id, Evidence::Receipt) }];
        let ends = outcomes(&again, &not_sent());
        tokio::join!(stage.finish(&ends), stage.resolve(&late));
        let waiting = "SELECT count(*) FROM deliveries WHERE said_sent AND state = 'queued'";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(stage.pool()).await.unwrap();
        assert_eq!(waiting, 0, "a purge or a removal would give its money back");
        assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
        stage.assert_sound().await;
    }
}
