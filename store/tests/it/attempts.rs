//! Marks and settlements.

use std::time::Duration;

use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use dripline_domain::ids::DeliveryId;
use dripline_domain::money::Micros;
use dripline_domain::timing::Timing;
use dripline_domain::workflow::SurplusPolicy;
use dripline_store::ops::{
    Closing, FinishRequest, Finished, StaleReason, Start, StartRequest, fence_workflow, opt_out,
};
use dripline_store::testing::factory::{
    self, Account, Contacts, Enrolment, PRICE, Route, Scene, Workflow,
};
use uuid::Uuid;

use crate::support::{Stage, accepted, balance, not_sent, outcomes, refused, requests, unknown};

const FULL: i64 = 1_000_000_000_000;

#[tokio::test]
async fn a_sequence_is_sent_step_by_step_and_captured() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 3).await;
    let price = PRICE.0;
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - 6 * price, 6 * price, 0));

    assert_eq!(stage.send_due(&accepted()).await, vec![Finished::Sent; 3]);
    assert_eq!(
        stage.balance(scene.account_id).await,
        balance(FULL - 6 * price, 3 * price, 3 * price)
    );
    stage.assert_sound().await;

    assert_eq!(stage.send_due(&accepted()).await, vec![Finished::Sent; 3]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - 6 * price, 0, 6 * price));
    assert_eq!(stage.exits(scene.contacts[0]).await, [Some("finished".to_owned())]);
    assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 0);
    assert_eq!(stage.count("SELECT count(*) FROM ledger_entries WHERE kind = 'capture'").await, 2);
    stage.assert_sound().await;
}

#[tokio::test]
async fn the_next_step_is_due_after_its_delay_in_the_contacts_zone() {
    let stage = Stage::new().await;
    let account_id = Account::default().create(stage.pool(), &stage.clock).await;
    Route::default().create(stage.pool(), &stage.clock, account_id).await;
    let mut second = factory::step(Duration::from_hours(1));
    second.timing = Timing { at: chrono::NaiveTime::from_hms_opt(9, 0, 0), ..second.timing };
    let steps = vec![factory::step(Duration::ZERO), second];
    let workflow = Workflow { steps: Some(steps), ..Workflow::default() };
    let workflow_id = workflow.create(stage.pool(), &stage.clock, account_id).await;
    let contacts = Contacts { count: Some(1), time_zone: Some("Asia/Tokyo") };
    let contacts = contacts.create(stage.pool(), &stage.clock, account_id).await;
    let enrolment = Enrolment { steps: Some(2), ..Enrolment::default() };
    enrolment.create(stage.pool(), &stage.clock, workflow_id, &contacts).await;

    stage.send_due(&accepted()).await;
    let (due_at, run_at): (chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>) =
        sqlx::query_as(
            "SELECT d.due_at, j.run_at FROM deliveries d JOIN apalis.jobs j ON j.id = d.ticket_id",
        )
        .fetch_one(stage.pool())
        .await
        .unwrap();
    // Noon in UTC is 21:00 in Tokyo; the next 9:00 there is midnight UTC.
    assert_eq!(due_at.to_rfc3339(), "2026-03-03T00:00:00+00:00");
    assert_eq!(run_at, due_at);
}

#[tokio::test]
async fn a_batch_whose_commit_got_no_answer_is_recognised() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 4).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    let batch_id = Uuid::new_v4();
    let first = stage.start_as(batch_id, &starts).await;
    assert!(first.iter().all(|start| matches!(start, Start::Started { .. })));
    assert_eq!(stage.start_as(batch_id, &starts).await, first);
    let other = stage.start(&starts).await;
    assert_eq!(other, vec![Start::Stale(StaleReason::NotQueued); 4]);

    let finishes = outcomes(&starts, &accepted());
    let batch_id = Uuid::new_v4();
    assert_eq!(stage.finish_as(batch_id, &finishes).await, vec![Finished::Sent; 4]);
    assert_eq!(stage.finish_as(batch_id, &finishes).await, vec![Finished::AlreadyDone; 4]);
    assert_eq!(stage.finish(&finishes).await, vec![Finished::AlreadyDone; 4]);
    assert_eq!(stage.balance(scene.account_id).await.spent, Micros(4 * PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn one_delivery_twice_in_a_batch_counts_once() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let (_, due) = stage.claim_due().await;
    let one = requests(&due, 1)[0];
    let starts = stage.start(&[one, one]).await;
    assert_eq!(starts[1], Start::Stale(StaleReason::NotQueued));
    let finish = outcomes(&[one, one], &accepted());
    assert_eq!(stage.finish(&finish).await, [Finished::Sent, Finished::AlreadyDone]);
    assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_stale_message_is_not_marked_and_says_why() {
    let stage = Stage::new().await;
    let account_id = Account::default().create(stage.pool(), &stage.clock).await;
    Route::default().create(stage.pool(), &stage.clock, account_id).await;
    let mut step = factory::step(Duration::from_mins(1));
    step.timing.expires_after = Some(Duration::from_mins(10));
    let workflow = Workflow { steps: Some(vec![step]), ..Workflow::default() };
    let workflow_id = workflow.create(stage.pool(), &stage.clock, account_id).await;
    let contacts = Contacts::many(2).create(stage.pool(), &stage.clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(stage.pool(), &stage.clock, workflow_id, &contacts).await;
    let ids: Vec<i64> = sqlx::query_scalar("SELECT delivery_id FROM deliveries ORDER BY 1")
        .fetch_all(stage.pool())
        .await
        .unwrap();
    let request = |id: i64, attempt| StartRequest {
        delivery_id: DeliveryId(id),
        attempt,
        segments: 1,
        route_id: None,
    };
    let reason = async |request| match stage.start(&[request]).await[0] {
        Start::Stale(reason) => reason,
        ref other => panic!("{other:?}"),
    };

    assert_eq!(reason(request(ids[0], 1)).await, StaleReason::NotDue);
    assert_eq!(reason(request(-1, 1)).await, StaleReason::NotQueued);
    stage.advance(60);
    assert_eq!(reason(request(ids[0], 2)).await, StaleReason::Superseded);
    stage.advance(600);
    assert_eq!(reason(request(ids[0], 1)).await, StaleReason::Expired);
    stage.advance(-600);
    sqlx::query("UPDATE contacts SET opted_out_at = now() WHERE contact_id = $1")
        .bind(contacts[0].0)
        .execute(stage.pool())
        .await
        .unwrap();
    assert_eq!(reason(request(ids[0], 1)).await, StaleReason::OptedOut);
    let closing = Closing { workflow_id, actor: "test".to_owned(), reason: None };
    fence_workflow(stage.pool(), &stage.clock, &closing).await.unwrap();
    assert_eq!(reason(request(ids[1], 1)).await, StaleReason::WorkflowClosed);
    assert_eq!(stage.count("SELECT count(*) FROM attempts").await, 0);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_shorter_text_gives_the_rest_back() {
    let stage = Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 1, 1).await;
    let enrolment = Enrolment { steps: Some(1), segments: Some(3), ..Enrolment::default() };
    enrolment.create(stage.pool(), &stage.clock, scene.workflow_id, &scene.contacts).await;
    stage.send_due(&accepted()).await;
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - PRICE.0, 0, PRICE.0));
    stage.assert_sound().await;
}

async fn charging(stage: &Stage, available: i64) -> Scene {
    let account = Account { available: Some(Micros(available)), ..Account::default() };
    let account_id = account.create(stage.pool(), &stage.clock).await;
    let route_id = Route::default().create(stage.pool(), &stage.clock, account_id).await;
    let workflow = Workflow {
        steps: Some(vec![factory::step(Duration::ZERO)]),
        surplus_policy: SurplusPolicy::Charge,
        ..Workflow::default()
    };
    let workflow_id = workflow.create(stage.pool(), &stage.clock, account_id).await;
    let contacts = Contacts::many(2).create(stage.pool(), &stage.clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(stage.pool(), &stage.clock, workflow_id, &contacts).await;
    Scene { account_id, route_id, workflow_id, contacts }
}

#[tokio::test]
async fn a_longer_text_is_held_as_far_as_the_balance_goes() {
    let stage = Stage::new().await;
    // Two are held; three more segments can be.
    let scene = charging(&stage, 5 * PRICE.0).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 3);
    let started = stage.start(&starts).await;
    assert!(matches!(started[0], Start::Started { .. }));
    assert_eq!(
        started[1],
        Start::OverHold {
            needed_segments: 3,
            held_segments: 1,
            policy: SurplusPolicy::Charge,
            available: PRICE,
        }
    );
    assert_eq!(stage.balance(scene.account_id).await, balance(PRICE.0, 4 * PRICE.0, 0));
    stage.assert_sound().await;
    stage.finish(&outcomes(&starts[..1], &accepted())).await;
    assert_eq!(stage.balance(scene.account_id).await, balance(PRICE.0, PRICE.0, 3 * PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_text_that_grows_between_attempts_is_held_twice_and_given_back_whole() {
    let stage = Stage::new().await;
    let scene = charging(&stage, 100 * PRICE.0).await;
    for segments in [2, 4] {
        let (tickets, due) = stage.claim_due().await;
        let starts = requests(&due, segments);
        stage.start(&starts).await;
        let finished = stage.finish(&outcomes(&starts, &not_sent())).await;
        assert!(matches!(finished[0], Finished::Requeued { .. }), "{finished:?}");
        stage.acknowledge(&tickets).await;
        stage.assert_sound().await;
        stage.advance(3_600);
    }
    assert_eq!(stage.balance(scene.account_id).await.held, Micros(8 * PRICE.0));
    stage.send_due(&refused()).await;
    assert_eq!(stage.balance(scene.account_id).await, balance(100 * PRICE.0, 0, 0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_longer_text_is_refused_by_policy() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let (_, due) = stage.claim_due().await;
    let start = stage.start(&requests(&due, 2)).await[0];
    let Start::OverHold { policy: SurplusPolicy::Fail, held_segments: 1, .. } = start else {
        panic!("{start:?}");
    };
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Queued]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_refused_message_ends_its_enrollment_and_comes_back_whole() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 3, 2).await;
    assert_eq!(stage.send_due(&refused()).await, [Finished::Failed; 2]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    assert_eq!(stage.exits(scene.contacts[1]).await, [Some("failed".to_owned())]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_stop_ends_every_enrollment_of_the_contact() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let account = Account { many_live_workflows_per_contact: true, ..Account::default() };
    let account_id = account.create(pool, &stage.clock).await;
    Route::default().create(pool, &stage.clock, account_id).await;
    let contacts = Contacts::many(1).create(pool, &stage.clock, account_id).await;
    let first = Workflow::default().create(pool, &stage.clock, account_id).await;
    let mut later = factory::step(Duration::from_hours(5));
    later.timing.days = dripline_domain::timing::WeekdaySet::EVERY_DAY;
    let second = Workflow { steps: Some(vec![later]), ..Workflow::default() };
    let second = second.create(pool, &stage.clock, account_id).await;
    Enrolment::default().create(pool, &stage.clock, first, &contacts).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, &stage.clock, second, &contacts).await;

    let stop = AttemptOutcome::Refused(Reason::stop("twilio:21610", "unsubscribed"));
    assert_eq!(stage.send_due(&stop).await, [Finished::Failed]);
    let out = Some("opted_out".to_owned());
    assert_eq!(stage.exits(contacts[0]).await, [out.clone(), out]);
    assert_eq!(stage.balance(account_id).await, balance(FULL, 0, 0));
    assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 0);
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_opt_out_leaves_what_is_on_the_wire_and_ends_the_rest() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 2).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due[..1], 1);
    stage.start(&starts).await;
    for contact in &scene.contacts {
        let ended = opt_out(stage.pool(), &stage.clock, *contact, "operator").await.unwrap();
        assert_eq!(ended, Some(1));
    }
    assert_eq!(stage.balance(scene.account_id).await.held, PRICE);
    assert_eq!(stage.finish(&outcomes(&starts, &accepted())).await, [Finished::Sent]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL - PRICE.0, 0, PRICE.0));
    stage.assert_sound().await;
    let nobody = dripline_domain::ids::ContactId(-1);
    assert_eq!(opt_out(stage.pool(), &stage.clock, nobody, "operator").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_not_sent_comes_back_until_its_attempts_are_used_up() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 1).await;
    for attempt in 1..=2 {
        let finished = stage.send_due(&not_sent()).await;
        let Finished::Requeued { due_at } = finished[0] else { panic!("{finished:?}") };
        assert_eq!(due_at.timestamp_subsec_nanos(), 0, "attempt {attempt}");
        stage.assert_sound().await;
        stage.advance(3_600);
    }
    assert_eq!(stage.send_due(&not_sent()).await, [Finished::Failed]);
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    assert_eq!(stage.count("SELECT count(*) FROM attempts WHERE outcome = 'not_sent'").await, 3);
    stage.assert_sound().await;
}

#[tokio::test]
async fn the_carriers_wish_is_obeyed_and_an_expiry_is_not_overslept() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let account_id = Account::default().create(pool, &stage.clock).await;
    Route::default().create(pool, &stage.clock, account_id).await;
    let mut step = factory::step(Duration::ZERO);
    step.timing.expires_after = Some(Duration::from_mins(10));
    let workflow = Workflow { steps: Some(vec![step]), ..Workflow::default() };
    let workflow_id = workflow.create(pool, &stage.clock, account_id).await;
    let contacts = Contacts::many(1).create(pool, &stage.clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, &stage.clock, workflow_id, &contacts).await;

    let later = |minutes| AttemptOutcome::NotSent {
        reason: Reason::new("throttled", "slow down"),
        retry_after: Some(Duration::from_mins(minutes)),
    };
    let finished = stage.send_due(&later(5)).await;
    let Finished::Requeued { due_at } = finished[0] else { panic!("{finished:?}") };
    assert!(due_at >= crate::support::noon() + chrono::TimeDelta::minutes(5));
    stage.advance(9 * 60);
    assert_eq!(stage.send_due(&later(5)).await, [Finished::Expired]);
    assert_eq!(stage.exits(contacts[0]).await, [Some("expired".to_owned())]);
    assert_eq!(stage.balance(account_id).await, balance(FULL, 0, 0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_unknown_outcome_holds_its_money_until_evidence_comes() {
    let evidence =
        [(accepted(), Finished::Sent, FULL - 2 * PRICE.0), (refused(), Finished::Failed, FULL)];
    for (evidence, expected, available) in evidence {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 1).await;
        let (_, due) = stage.claim_due().await;
        let starts = requests(&due, 1);
        stage.start(&starts).await;
        let no_answer = outcomes(&starts, &unknown());
        assert_eq!(stage.finish(&no_answer).await, [Finished::Unknown]);
        assert_eq!(stage.finish(&no_answer).await, [Finished::Unknown]);
        assert_eq!(stage.balance(scene.account_id).await.held, Micros(2 * PRICE.0));
        assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Unknown]);
        stage.assert_sound().await;
        assert_eq!(stage.finish(&outcomes(&starts, &evidence)).await, [expected]);
        assert_eq!(stage.balance(scene.account_id).await.available, Micros(available));
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn a_settlement_of_another_attempt_changes_nothing() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    stage.send_due(&not_sent()).await;
    stage.advance(3_600);
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    assert_eq!(starts[0].attempt, 2);
    stage.start(&starts).await;
    let late =
        FinishRequest { delivery_id: starts[0].delivery_id, attempt: 1, outcome: accepted() };
    assert_eq!(stage.finish(&[late]).await, [Finished::AlreadyDone]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_route_that_costs_nothing_is_settled_all_the_same() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::create(pool, &stage.clock, 2, 2).await;
    let free =
        Enrolment { steps: Some(2), price_per_segment: Some(Micros::ZERO), ..Enrolment::default() };
    free.create(pool, &stage.clock, scene.workflow_id, &scene.contacts).await;
    stage.send_due(&accepted()).await;
    stage.assert_sound().await;
    stage.send_due(&refused()).await;
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    stage.assert_sound().await;
}
