//! A transaction that met another one is run again, and one that failed otherwise is not.

use std::cell::Cell;
use std::fmt::Debug;

use chrono::TimeDelta;
use dripline_domain::contact::ContactDraft;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::EnrollmentId;
use dripline_domain::phone::Phone;
use dripline_domain::receipt::ReceiptStatus;
use dripline_domain::workflow::SurplusPolicy;
use dripline_store::ops::{
    Closing, Edit, Finished, GiveUp, GiveUpRequest, Imported, InboundMessage, Inbounded,
    NewEnrolment, PostponeRequest, Receipt, ReceiptOf, Received, Removal, Removals, Repeat,
    RequeueChunk, Resolved, StaleReason, Start, WaitsFor, begin_enrolment, begin_removal,
    edit_workflow, end_enrolment, enroll, fence_deleted, fence_workflow, finish_attempts, give_up,
    import_contacts, postpone, purge_chunk, receive_inbound, record_receipts, remove_contact,
    repeat_attempts, requeue, resolve_unknown, start_attempts,
};
use dripline_store::testing::factory::{
    ACTOR, Account, Contacts, Enrolment, PRICE, Route, Scene, Workflow,
};
use dripline_store::testing::route_of;
use dripline_store::{contact, installation, workflow};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::evidence::says;
use crate::repeats::again;
use crate::support::{Stage, accepted, noon, outcomes, policy, refused, requests};

impl Stage {
    /// Lets the next statement that writes to the table fail with this code, and none after it.
    async fn fail_once(&self, table: &str, code: &str) {
        // What a sequence has given stays given when the transaction is undone.
        let statement = format!(
            "CREATE SEQUENCE IF NOT EXISTS fails;
             SELECT setval('fails', 1, false);
             CREATE OR REPLACE FUNCTION fail() RETURNS TRIGGER LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('fails') = 1 THEN
                     RAISE EXCEPTION 'as a test wants it' USING ERRCODE = TG_ARGV[0];
                 END IF;
                 RETURN NULL;
             END $$;
             DROP TRIGGER IF EXISTS fails ON {table};
             CREATE TRIGGER fails AFTER INSERT OR UPDATE OR DELETE ON {table}
             FOR EACH STATEMENT EXECUTE FUNCTION fail('{code}')"
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(self.pool()).await.unwrap();
    }

    /// The operation gives back any error but a conflict, and does its work in spite of that.
    async fn runs_again_after_a_conflict_only<T: Debug, E: Debug>(
        &self,
        table: &str,
        operation: impl AsyncFn() -> Result<T, E>,
    ) -> T {
        self.fail_once(table, "XX000").await;
        operation().await.expect_err("it was undone by an error, and that is no conflict");
        self.fail_once(table, "40001").await;
        let done = operation().await.expect("it was undone by a conflict");
        self.assert_sound().await;
        done
    }
}

fn closing(scene: &Scene) -> Closing {
    Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None }
}

#[tokio::test]
async fn a_mark_and_a_settlement_run_again() {
    let stage = &Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 3).await;
    let (_, due) = stage.claim_due().await;
    let starts = &requests(&due, 1);
    let (batch, worker) = (Uuid::new_v4(), stage.id());
    let mark = || start_attempts(stage.pool(), &stage.clock, worker, batch, starts);
    let marked = stage.runs_again_after_a_conflict_only("attempts", mark).await;
    assert!(marked.iter().all(|start| matches!(start, Start::Started { .. })), "{marked:?}");

    let (policy, finishes) = (&policy(), &outcomes(starts, &accepted()));
    let settle = || finish_attempts(stage.pool(), &stage.clock, policy, worker, batch, finishes);
    let settled = stage.runs_again_after_a_conflict_only("deliveries", settle).await;
    assert_eq!(settled, [Finished::Sent; 3]);
}

#[tokio::test]
async fn what_is_put_off_or_given_up_is_put_off_or_given_up_again() {
    let stage = &Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let (_, due) = stage.claim_due().await;
    let until = noon() + TimeDelta::hours(1);
    let requests = &[PostponeRequest::new(&due[0], until, WaitsFor::Carrier)];
    let put_off = || postpone(stage.pool(), requests);
    let done = stage.runs_again_after_a_conflict_only("deliveries", put_off).await;
    assert_eq!(done, [Some(noon() + TimeDelta::hours(1))]);

    let requests =
        &[GiveUpRequest { delivery_id: due[1].delivery_id, attempt: 0, cause: GiveUp::Expired }];
    let (policy, batch, worker) = (&policy(), Uuid::new_v4(), stage.id());
    let give_up = || give_up(stage.pool(), &stage.clock, policy, worker, batch, requests);
    let done = stage.runs_again_after_a_conflict_only("deliveries", give_up).await;
    assert_eq!(done, [Finished::Expired]);
}

#[tokio::test]
async fn what_is_said_about_the_unknown_is_heard_again() {
    let stage = &Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let lost = stage.lose_due().await;
    let said = &[says(lost[0].delivery_id, Evidence::Operator(Finding::Sent))];
    let (policy, batch) = (&policy(), Uuid::new_v4());
    let resolve = || resolve_unknown(stage.pool(), &stage.clock, policy, ACTOR, batch, said);
    let resolved = stage.runs_again_after_a_conflict_only("evidence", resolve).await;
    assert_eq!(resolved, [Resolved::Decided(Finished::Sent)]);

    let installation = installation::id(stage.pool()).await.unwrap().simple();
    let receipts = &[Receipt {
        over: route_of(stage.pool(), lost[1].delivery_id).await,
        of: ReceiptOf::Ours(format!("{installation}-{}-1", lost[1].delivery_id)),
        status: ReceiptStatus::Sent,
        carrier_reference: None,
        reason: None,
    }];
    let batch = Uuid::new_v4();
    let record = || record_receipts(stage.pool(), &stage.clock, policy, ACTOR, batch, receipts);
    let received = stage.runs_again_after_a_conflict_only("evidence", record).await;
    assert_eq!(received, [Received::Decided(Finished::Sent)]);
}

#[tokio::test]
async fn what_a_contact_writes_is_heard_again() {
    let stage = &Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let contact = contact::load(stage.pool(), scene.contacts[0]).await.unwrap().unwrap();
    let stop = &[InboundMessage {
        account_id: scene.account_id,
        route_id: scene.route_id,
        carrier_reference: "SM1".to_owned(),
        sender: contact.phone.as_str().to_owned(),
        recipient: "+4930123456".to_owned(),
        text: "STOP".to_owned(),
    }];
    let write = || receive_inbound(stage.pool(), &stage.clock, "contact", stop);
    let received = stage.runs_again_after_a_conflict_only("inbound_messages", write).await;
    assert_eq!(received, [Inbounded::OptedOut(contact.contact_id)]);
}

#[tokio::test]
async fn the_same_request_is_taken_on_again() {
    let stage = &Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let requests = &[again(&stage.lose_keyed().await[0])];
    let (batch, worker) = (Uuid::new_v4(), stage.id());
    let repeat = || repeat_attempts(stage.pool(), &stage.clock, worker, batch, requests);
    let repeated = stage.runs_again_after_a_conflict_only("attempts", repeat).await;
    assert_eq!(repeated, [Repeat::Started]);
}

#[tokio::test]
async fn an_enrolment_runs_again_at_its_beginning_and_at_its_end() {
    let stage = &Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 1, 2).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    let chunk = &enrolment.chunk(scene.workflow_id, &scene.contacts[..1]);
    let enroll = || enroll(stage.pool(), &stage.clock, chunk);
    let enrolled = stage.runs_again_after_a_conflict_only("enrollments", enroll).await;
    assert_eq!(enrolled.enrolled, scene.contacts[..1]);

    let priced = [enrolment.price(scene.contacts[1])];
    let new = &NewEnrolment::of(scene.workflow_id, 1, ACTOR, &priced);
    let begin = || begin_enrolment(stage.pool(), &stage.clock, new);
    let begun = stage.runs_again_after_a_conflict_only("operations", begin).await;
    let end = || end_enrolment(stage.pool(), &stage.clock, begun.operation_id);
    let rest = stage.runs_again_after_a_conflict_only("operations", end).await;
    assert_eq!(rest, PRICE);
}

#[tokio::test]
async fn what_was_refused_is_requeued_again() {
    let stage = &Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    stage.finish(&outcomes(&starts, &refused())).await;
    let priced = Enrolment { steps: Some(1), ..Enrolment::default() }.price(scene.contacts[0]);
    let chunk = &RequeueChunk {
        workflow_id: scene.workflow_id,
        revision: 1,
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        deliveries: vec![(due[0].delivery_id, priced)],
        required: PRICE,
    };
    let requeue = || requeue(stage.pool(), &stage.clock, chunk);
    let requeued = stage.runs_again_after_a_conflict_only("enrollments", requeue).await;
    assert_eq!((requeued.requeued.len(), requeued.held), (1, PRICE));
}

#[tokio::test]
async fn who_is_taken_out_is_taken_out_again() {
    let stage = &Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let enrollments: Vec<i64> =
        sqlx::query_scalar("SELECT enrollment_id FROM enrollments ORDER BY enrollment_id")
            .fetch_all(stage.pool())
            .await
            .unwrap();
    let removal = &Removal {
        enrollment_id: EnrollmentId(enrollments[0]),
        actor: ACTOR.to_owned(),
        reason: None,
    };
    let remove = || remove_contact(stage.pool(), &stage.clock, removal);
    let removed = stage.runs_again_after_a_conflict_only("enrollments", remove).await;
    assert_eq!((removed.cancelled, removed.released), (1, PRICE));

    let removals = &Removals {
        account_id: scene.account_id,
        workflow_id: scene.workflow_id,
        enrollments: vec![EnrollmentId(enrollments[1])],
        selection: "all".to_owned(),
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        reason: None,
    };
    let begin = || begin_removal(stage.pool(), &stage.clock, removals);
    let begun = stage.runs_again_after_a_conflict_only("operations", begin).await;
    assert_eq!(begun.preview.contacts, 1);
    let purge = || purge_chunk(stage.pool(), &stage.clock, begun.operation_id, 10);
    let purged = stage.runs_again_after_a_conflict_only("enrollments", purge).await;
    assert_eq!((purged.removed, purged.released), (1, PRICE));
}

#[tokio::test]
async fn a_workflow_is_edited_paused_and_deleted_again() {
    let stage = &Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 1, 0).await;
    let shown = workflow::show(stage.pool(), scene.workflow_id).await.unwrap().unwrap();
    let edit = &Edit {
        workflow_id: scene.workflow_id,
        draft: shown.to_draft(),
        expected_revision: None,
        actor: ACTOR.to_owned(),
    };
    let edit = || edit_workflow(stage.pool(), &stage.clock, edit);
    let edited = stage.runs_again_after_a_conflict_only("workflows", edit).await;
    assert_eq!(edited.revision, 2);

    let closing = &closing(&scene);
    let pause = || fence_workflow(stage.pool(), &stage.clock, closing);
    let paused = stage.runs_again_after_a_conflict_only("workflows", pause).await;
    let delete = || fence_deleted(stage.pool(), &stage.clock, closing);
    let deleted = stage.runs_again_after_a_conflict_only("workflows", delete).await;
    assert!(deleted.operation_id > paused.operation_id);
}

#[tokio::test]
async fn contacts_are_imported_again() {
    let stage = &Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 1, 0).await;
    let drafts = &[ContactDraft {
        phone: Phone::from_e164("+393330000001").unwrap(),
        fields: [("name".to_owned(), "Ada".to_owned())].into(),
        time_zone: chrono_tz::Europe::Rome,
    }];
    let import = || import_contacts(stage.pool(), &stage.clock, scene.account_id, drafts, ACTOR);
    let imported = stage.runs_again_after_a_conflict_only("contacts", import).await;
    assert_eq!(imported, Imported { inserted: 1, updated: 0, unchanged: 0 });
}

/// Of the first delivery somebody says that it was sent, in a transaction that commits only when the deed has read
/// it and waits.
async fn while_it_is_said_sent<T>(stage: &Stage, deed: impl Future<Output = T>) -> T {
    let mut other = stage.pool().begin().await.unwrap();
    sqlx::query(
        "UPDATE deliveries SET said_sent = true
         WHERE delivery_id = (SELECT min(delivery_id) FROM deliveries)",
    )
    .execute(&mut *other)
    .await
    .unwrap();
    let is_over = Cell::new(false);
    let (done, ()) = tokio::join!(
        async {
            let done = deed.await;
            is_over.set(true);
            done
        },
        async {
            stage.until_waiting(1, &is_over).await;
            other.commit().await.unwrap();
        }
    );
    done
}

#[tokio::test]
async fn what_slips_away_from_a_mark_takes_no_hold_with_it() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    let account_id = Account::default().create(pool, clock).await;
    Route::default().create(pool, clock, account_id).await;
    let workflow = Workflow { surplus_policy: SurplusPolicy::Charge, ..Workflow::with_steps(1) };
    let workflow_id = workflow.create(pool, clock, account_id).await;
    let contacts = Contacts::many(1).create(pool, clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, clock, workflow_id, &contacts).await;
    let (_, due) = stage.claim_due().await;
    let mut starts = requests(&due, 1);
    starts[0].segments = 3;
    let marks = Box::pin(while_it_is_said_sent(&stage, stage.start(&starts))).await;
    assert_eq!(marks, [Start::Stale(StaleReason::SaidSent)]);
    assert_eq!(stage.balance(account_id).await.held, PRICE);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_settlement_goes_by_what_is_said_while_it_is_written() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    let finishes = outcomes(&starts, &accepted());
    let settled = Box::pin(while_it_is_said_sent(&stage, stage.finish(&finishes))).await;
    assert_eq!(settled, [Finished::Sent]);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Sent]);
    assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
    stage.assert_sound().await;
}
