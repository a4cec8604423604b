//! What decides about deliveries of which nobody knew: every witness, every verdict, and those who come
//! too late.

use std::time::Duration;

use chrono::TimeDelta;
use dripline_domain::clock::Clock as _;
use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use dripline_domain::evidence::{Effect, Evidence, Finding, Verdict, Witness};
use dripline_domain::ids::{DeliveryId, RouteId};
use dripline_domain::money::Micros;
use dripline_domain::receipt::ReceiptStatus;
use dripline_store::listing::deliveries::{self, DeliveryDetail, DeliveryFilter};
use dripline_store::ops::{
    FinishRequest, Finished, Receipt, ReceiptOf, Received, Resolution, Resolved, StartRequest,
    opt_out, record_receipts, resolve_unknown,
};
use dripline_store::plan::{self, Then, UnknownFilter};
use dripline_store::testing::factory::{PRICE, Route, Scene};
use dripline_store::{installation, sweep};
use uuid::Uuid;

use crate::support::{
    Stage, accepted, balance, not_sent, outcomes, policy, refused, requests, unknown,
};

const FULL: i64 = 1_000_000_000_000;
/// What the tests sign with.
pub(crate) const ACTOR: &str = "test";

/// Evidence about the delivery's last attempt.
pub(crate) fn says(delivery_id: DeliveryId, evidence: Evidence) -> Resolution {
    Resolution {
        delivery_id,
        attempt: None,
        evidence,
        carrier_reference: None,
        reason: Some("a test".to_owned()),
    }
}

impl Stage {
    pub(crate) async fn resolve(&self, resolutions: &[Resolution]) -> Vec<Resolved> {
        self.resolve_as(Uuid::new_v4(), resolutions).await
    }

    pub(crate) async fn resolve_as(
        &self,
        batch_id: Uuid,
        resolutions: &[Resolution],
    ) -> Vec<Resolved> {
        let policy = policy();
        resolve_unknown(self.pool(), &self.clock, &policy, ACTOR, batch_id, resolutions)
            .await
            .unwrap()
    }

    async fn receive(&self, receipts: &[Receipt]) -> Vec<Received> {
        let batch_id = Uuid::new_v4();
        record_receipts(self.pool(), &self.clock, &policy(), ACTOR, batch_id, receipts)
            .await
            .unwrap()
    }

    /// Marks everything that is due and loses the answers.
    pub(crate) async fn lose_due(&self) -> Vec<StartRequest> {
        let (tickets, due) = self.claim_due().await;
        let starts = requests(&due, 1);
        self.start(&starts).await;
        self.finish(&outcomes(&starts, &unknown())).await;
        self.acknowledge(&tickets).await;
        starts
    }

    pub(crate) async fn show(&self, delivery_id: DeliveryId) -> DeliveryDetail {
        deliveries::show(self.pool(), delivery_id).await.unwrap().unwrap()
    }

    pub(crate) async fn contradicted(&self, scene: &Scene) -> usize {
        let filter = DeliveryFilter { contradicted: true, ..DeliveryFilter::default() };
        deliveries::list(self.pool(), scene.account_id, &filter).await.unwrap().len()
    }

    async fn reference(&self, start: &StartRequest) -> ReceiptOf {
        let installation = installation::id(self.pool()).await.unwrap().simple();
        ReceiptOf::Ours(format!("{installation}-{}-{}", start.delivery_id, start.attempt))
    }
}

/// The first route of a database, which is the only one that these tests send over.
const OVER: RouteId = RouteId(1);

fn receipt(of: ReceiptOf, status: ReceiptStatus) -> Receipt {
    Receipt { over: OVER, of, status, carrier_reference: Some("SM7".to_owned()), reason: None }
}

#[tokio::test]
async fn every_witness_decides_once_and_moves_the_money_once() {
    use Finding::{NotSent, Sent};
    let price = PRICE.0;
    // Two steps are held; of the first one nobody knows.
    let goes_on = balance(FULL - 2 * price, price, price);
    let still_held = balance(FULL - 2 * price, 2 * price, 0);
    let cases = [
        (Evidence::Receipt, DeliveryState::Sent, "accepted", goes_on),
        (Evidence::Carrier(Sent), DeliveryState::Sent, "accepted", goes_on),
        (Evidence::Carrier(NotSent), DeliveryState::Queued, "not_sent", still_held),
        (Evidence::Operator(Sent), DeliveryState::Sent, "accepted", goes_on),
        (Evidence::Operator(NotSent), DeliveryState::Queued, "not_sent", still_held),
        (Evidence::Worker(Sent), DeliveryState::Sent, "accepted", goes_on),
        (Evidence::Deadline, DeliveryState::Sent, "presumed_sent", goes_on),
    ];
    for (evidence, state, outcome, left) in cases {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 1).await;
        let id = stage.lose_due().await[0].delivery_id;
        let batch_id = Uuid::new_v4();
        let decided = stage.resolve_as(batch_id, &[says(id, evidence)]).await;
        assert!(matches!(decided[0], Resolved::Decided(_)), "{evidence:?}: {decided:?}");
        stage.assert_sound().await;
        let again = stage.resolve_as(batch_id, &[says(id, evidence)]).await;
        assert_eq!(again, [Resolved::AlreadyDone], "{evidence:?}");
        assert_eq!(stage.balance(scene.account_id).await, left, "{evidence:?}");

        let shown = stage.show(id).await;
        assert_eq!(shown.delivery.state, state, "{evidence:?}");
        assert_eq!(shown.attempts[0].outcome.as_deref(), Some(outcome), "{evidence:?}");
        let [piece] = &shown.evidence[..] else { panic!("{:?}", shown.evidence) };
        assert_eq!((piece.witness, piece.verdict), (evidence.witness(), evidence.verdict()));
        assert_eq!((piece.effect, piece.state), (Effect::Decided, state));
        assert_eq!((piece.actor.as_str(), piece.attempt), (ACTOR, 1));
        assert_eq!(piece.reason.as_deref(), Some("a test"));
        assert_eq!(piece.recorded_at, stage.clock.now());
        // What goes on has a message that is due.
        assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 1, "{evidence:?}");
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn the_last_attempt_that_was_not_sent_fails_and_is_paid_back() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 1).await;
    for attempt in 1..=3 {
        let id = stage.lose_due().await[0].delivery_id;
        let decided = stage.resolve(&[says(id, Evidence::Carrier(Finding::NotSent))]).await;
        match decided[0] {
            Resolved::Decided(Finished::Requeued { .. }) if attempt < 3 => {}
            Resolved::Decided(Finished::Failed) if attempt == 3 => {}
            ref other => panic!("attempt {attempt}: {other:?}"),
        }
        stage.assert_sound().await;
        stage.advance(3_600);
    }
    assert_eq!(stage.balance(scene.account_id).await, balance(FULL, 0, 0));
    assert_eq!(stage.exits(scene.contacts[0]).await, [Some("failed".to_owned())]);
}

#[tokio::test]
async fn a_later_piece_moves_nothing_and_a_contradiction_is_kept_once() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let lost = stage.lose_due().await;
    let (first, second) = (lost[0].delivery_id, lost[1].delivery_id);
    stage.resolve(&[says(first, Evidence::Operator(Finding::Sent))]).await;
    stage.resolve(&[says(second, Evidence::Deadline)]).await;
    let before = stage.balance(scene.account_id).await;
    assert_eq!(stage.contradicted(&scene).await, 0);

    let sent = DeliveryState::Sent;
    for _ in 0..2 {
        let heard = stage
            .resolve(&[
                says(first, Evidence::Carrier(Finding::NotSent)),
                says(second, Evidence::Operator(Finding::Sent)),
            ])
            .await;
        assert_eq!(
            heard,
            [Resolved::Contradicted { state: sent }, Resolved::Agreed { state: sent }]
        );
    }
    assert_eq!(stage.balance(scene.account_id).await, before);
    assert_eq!(stage.contradicted(&scene).await, 1);
    let shown = stage.show(first).await;
    let effects: Vec<_> = shown.evidence.iter().map(|piece| piece.effect).collect();
    assert_eq!(effects, [Effect::Decided, Effect::Contradicted]);
    assert_eq!(shown.evidence[1].verdict, Verdict::NotSent);
    assert_eq!(stage.show(second).await.delivery.reason.unwrap().code, "presumed_sent");
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_workers_late_outcome_is_compared_with_the_decision() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 4).await;
    let lost = stage.lose_due().await;
    let ids: Vec<_> = lost.iter().map(|start| start.delivery_id).collect();
    stage
        .resolve(&[
            says(ids[0], Evidence::Operator(Finding::NotSent)),
            says(ids[1], Evidence::Operator(Finding::Sent)),
            says(ids[2], Evidence::Operator(Finding::Sent)),
            says(ids[3], Evidence::Deadline),
        ])
        .await;
    let before = stage.balance(scene.account_id).await;
    let late = [not_sent(), refused(), accepted(), unknown()];
    let late: Vec<_> = lost
        .iter()
        .zip(late)
        .map(|(start, outcome)| FinishRequest {
            delivery_id: start.delivery_id,
            attempt: start.attempt,
            outcome,
        })
        .collect();
    let batch_id = Uuid::new_v4();
    for _ in 0..2 {
        assert_eq!(stage.finish_as(batch_id, &late).await, vec![Finished::AlreadyDone; 4]);
    }
    assert_eq!(stage.balance(scene.account_id).await, before);
    assert_eq!(stage.contradicted(&scene).await, 1);
    let shown = stage.show(ids[1]).await;
    let [_, piece] = &shown.evidence[..] else { panic!("{:?}", shown.evidence) };
    assert_eq!((piece.witness, piece.verdict), (Witness::Worker, Verdict::NotSent));
    assert_eq!(piece.effect, Effect::Contradicted);
    for agreed in [ids[0], ids[2]] {
        assert_eq!(stage.show(agreed).await.evidence.len(), 1);
    }
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_ordinary_settlement_that_runs_again_is_no_evidence() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    let finishes =
        [outcomes(&starts[..1], &accepted()), outcomes(&starts[1..], &refused())].concat();
    stage.finish(&finishes).await;
    stage.finish(&finishes).await;
    assert_eq!(stage.count("SELECT count(*) FROM evidence").await, 0);
}

#[tokio::test]
async fn what_is_not_unknown_is_left_alone() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let (_, due) = stage.claim_due().await;
    let operator = Evidence::Operator(Finding::Sent);
    let [queued, sending] = [due[0].delivery_id, due[1].delivery_id];
    stage.start(&requests(&due[1..], 1)).await;
    let before = stage.balance(scene.account_id).await;
    let nobody = DeliveryId(-1);
    let heard = stage
        .resolve(&[says(queued, operator), says(sending, operator), says(nobody, operator)])
        .await;
    assert_eq!(heard, [Resolved::NotFound, Resolved::OnTheWire, Resolved::NotFound]);
    assert_eq!(stage.balance(scene.account_id).await, before);
    assert_eq!(stage.count("SELECT count(*) FROM evidence").await, 0);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_batch_hears_one_piece_for_each_delivery() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let id = stage.lose_due().await[0].delivery_id;
    let sent = says(id, Evidence::Operator(Finding::Sent));
    let not = says(id, Evidence::Operator(Finding::NotSent));
    let heard = stage.resolve(&[sent, not]).await;
    assert_eq!(heard, [Resolved::Decided(Finished::Sent), Resolved::AlreadyDone]);
    assert_eq!(stage.balance(scene.account_id).await.spent, PRICE);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_receipt_decides_what_was_unknown_and_only_rises() {
    use ReceiptStatus::{Delivered, Queued, Sent, Undelivered};
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 1).await;
    let start = stage.lose_due().await[0];
    let ours = stage.reference(&start).await;
    let decided = stage.receive(&[receipt(ours.clone(), Sent)]).await;
    assert_eq!(decided, [Received::Decided(Finished::Sent)]);
    stage.assert_sound().await;
    let money = stage.balance(scene.account_id).await;
    let shown = stage.show(start.delivery_id).await;
    assert_eq!(shown.delivery.carrier_reference.as_deref(), Some("SM7"));

    for (status, expected) in [
        (Queued, Received::Known),
        (Sent, Received::Known),
        (Undelivered, Received::Recorded),
        (Delivered, Received::Known),
        (Undelivered, Received::Known),
    ] {
        // By the carrier's own id, too.
        let carriers = ReceiptOf::Carriers("SM7".to_owned());
        assert_eq!(stage.receive(&[receipt(carriers, status)]).await, [expected], "{status}");
    }
    let shown = stage.show(start.delivery_id).await;
    assert_eq!(shown.receipts[0].status, Undelivered);
    assert_eq!(shown.evidence.len(), 1);
    // Accepted and not delivered: the carrier billed it.
    assert_eq!(stage.balance(scene.account_id).await, money);
    stage.assert_sound().await;
}

#[tokio::test]
async fn several_receipts_in_one_batch_count_by_their_rank() {
    use ReceiptStatus::{Delivered, Queued, Sent};
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let start = stage.lose_due().await[0];
    let ours = stage.reference(&start).await;
    let batch: Vec<_> =
        [Queued, Delivered, Sent].map(|status| receipt(ours.clone(), status)).to_vec();
    let received = stage.receive(&batch).await;
    assert_eq!(received, [Received::Decided(Finished::Sent), Received::Recorded, Received::Known]);
    assert_eq!(stage.show(start.delivery_id).await.receipts[0].status, Delivered);
    assert_eq!(stage.receive(&batch).await, vec![Received::Known; 3]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_receipt_of_a_message_that_was_decided_not_sent_contradicts() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let first = stage.lose_due().await[0];
    stage.resolve(&[says(first.delivery_id, Evidence::Operator(Finding::NotSent))]).await;
    stage.advance(3_600);
    stage.send_due(&accepted()).await;
    let money = stage.balance(scene.account_id).await;
    let late = receipt(stage.reference(&first).await, ReceiptStatus::Delivered);
    for _ in 0..2 {
        assert_eq!(stage.receive(std::slice::from_ref(&late)).await, [Received::Contradicted]);
    }
    assert_eq!(stage.balance(scene.account_id).await, money);
    assert_eq!(stage.contradicted(&scene).await, 1);
    let shown = stage.show(first.delivery_id).await;
    assert_eq!(shown.evidence.len(), 2);
    assert_eq!((shown.evidence[1].attempt, shown.evidence[1].witness), (1, Witness::Receipt));
    assert_eq!(shown.receipts[0].attempt, 1);
    stage.assert_sound().await;
}

#[tokio::test]
async fn receipts_of_strangers_are_not_stored() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let start = stage.lose_due().await[0];
    let never = StartRequest { attempt: 2, ..start };
    let nobody = StartRequest { delivery_id: DeliveryId(987_654), ..start };
    let whole = StartRequest { attempt: 0, ..start };
    let carriers = |reference: &str| ReceiptOf::Carriers(reference.to_owned());
    let of = [
        stage.reference(&never).await,
        stage.reference(&nobody).await,
        // No key was given, so that no reference speaks of all attempts.
        stage.reference(&whole).await,
        ReceiptOf::Ours(format!("{}-1-1", Uuid::new_v4().simple())),
        ReceiptOf::Ours("garbage".to_owned()),
        carriers("SM-nobody"),
        carriers(""),
    ];
    let receipts = of.map(|of| receipt(of, ReceiptStatus::Sent));
    assert_eq!(stage.receive(&receipts).await, vec![Received::Unknown; 7]);
    assert_eq!(stage.count("SELECT count(*) FROM receipts").await, 0);
    assert_eq!(stage.count("SELECT count(*) FROM evidence").await, 0);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Unknown; 2]);
}

/// Over a route of another account, or to another carrier, nothing is heard of a message.
#[tokio::test]
async fn only_the_carrier_that_got_a_message_reports_on_it() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let named = |name: &str| Route { name: Some(name.to_owned()), ..Route::default() };
    let to_telnyx = Route { carrier: Some("telnyx".to_owned()), ..named("telnyx") };
    let elsewhere = to_telnyx.create(stage.pool(), &stage.clock, scene.account_id).await;
    let beside = named("beside").create(stage.pool(), &stage.clock, scene.account_id).await;
    let stranger = Scene::create(stage.pool(), &stage.clock, 1, 0).await.route_id;
    let nobody = RouteId(987_654);

    let (tickets, due) = stage.claim_due().await;
    let starts: Vec<StartRequest> = requests(&due, 1)
        .into_iter()
        .map(|start| StartRequest { route_id: Some(scene.route_id), ..start })
        .collect();
    stage.start(&starts).await;
    let taken = AttemptOutcome::Accepted { carrier_reference: Some("SM1".to_owned()) };
    let mut finishes = outcomes(&starts, &unknown());
    finishes[0].outcome = taken;
    stage.finish(&finishes).await;
    stage.acknowledge(&tickets).await;

    let by_ours = stage.reference(&starts[1]).await;
    let by_theirs = ReceiptOf::Carriers("SM1".to_owned());
    let of =
        |over, of: &ReceiptOf| Receipt { over, ..receipt(of.clone(), ReceiptStatus::Delivered) };
    let strange: Vec<Receipt> = [elsewhere, stranger, nobody]
        .into_iter()
        .flat_map(|over| [of(over, &by_ours), of(over, &by_theirs)])
        .collect();
    assert_eq!(stage.receive(&strange).await, [Received::Unknown; 6]);
    assert_eq!(stage.count("SELECT count(*) FROM receipts").await, 0);
    assert_eq!(stage.count("SELECT count(*) FROM evidence").await, 0);
    // Another route of the account to the same carrier may have the address in that carrier's console.
    let heard = stage.receive(&[of(beside, &by_ours), of(beside, &by_theirs)]).await;
    assert_eq!(heard, [Received::Decided(Finished::Sent), Received::Recorded]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_id_that_names_two_messages_names_none() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    // The factory's carrier gives both the same id.
    stage.send_due(&accepted()).await;
    let twice = ReceiptOf::Carriers("SM1".to_owned());
    let received = stage.receive(&[receipt(twice, ReceiptStatus::Delivered)]).await;
    assert_eq!(received, [Received::Ambiguous]);
    assert_eq!(stage.count("SELECT count(*) FROM receipts").await, 0);
}

#[tokio::test]
async fn a_split_message_is_named_by_its_first_id() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let split = AttemptOutcome::Accepted { carrier_reference: Some("A1,A2".to_owned()) };
    stage.send_due(&split).await;
    let of = ReceiptOf::Carriers("A1".to_owned());
    let received = stage.receive(&[receipt(of, ReceiptStatus::Delivered)]).await;
    assert_eq!(received, [Received::Recorded]);
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_doubt_decides_in_the_sweep() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let (tickets, due) = stage.claim_due().await;
    let starts = requests(&due, 1);
    stage.start(&starts).await;
    let early = receipt(stage.reference(&starts[0]).await, ReceiptStatus::Queued);
    // On the wire, it is the worker's word that counts.
    assert_eq!(stage.receive(&[early]).await, [Received::Recorded]);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Sending; 2]);
    stage.finish(&outcomes(&starts, &unknown())).await;
    stage.acknowledge(&tickets).await;

    let sweep = async || {
        let deadline = Duration::from_hours(72);
        let policy = policy();
        sweep::unknown_deliveries(stage.pool(), &stage.clock, &policy, "worker 1", deadline)
            .await
            .unwrap()
    };
    let decided = sweep().await;
    assert_eq!((decided.by_receipt, decided.by_deadline), (1, 0));
    assert_eq!(
        stage.states(scene.workflow_id).await,
        [DeliveryState::Sent, DeliveryState::Unknown]
    );
    stage.clock.advance(TimeDelta::hours(72) - TimeDelta::seconds(1));
    assert_eq!(sweep().await.by_deadline, 0);
    stage.advance(1);
    assert_eq!(sweep().await.by_deadline, 1);
    assert_eq!(sweep().await.by_deadline, 0);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Sent; 2]);
    let shown = stage.show(starts[1].delivery_id).await;
    assert_eq!(shown.evidence[0].witness, Witness::Deadline);
    assert_eq!(shown.evidence[0].reason.as_deref(), Some("no evidence came within 72 h"));
    assert_eq!(shown.attempts[0].outcome.as_deref(), Some("presumed_sent"));
    assert_eq!(stage.balance(scene.account_id).await.spent, Micros(2 * PRICE.0));
    stage.assert_sound().await;
}

#[tokio::test]
async fn what_a_pause_or_an_opt_out_has_closed_is_captured_or_paid_back_and_never_queued() {
    use dripline_store::ops::{Closing, pause_workflow};
    for finding in [Finding::Sent, Finding::NotSent] {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 2).await;
        let lost = stage.lose_due().await;
        opt_out(stage.pool(), &stage.clock, scene.contacts[0], ACTOR).await.unwrap();
        let closing =
            Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
        pause_workflow(stage.pool(), &stage.clock, &closing).await.unwrap();
        let evidence = Evidence::Operator(finding);
        let pieces: Vec<_> = lost.iter().map(|start| says(start.delivery_id, evidence)).collect();
        let decided = stage.resolve(&pieces).await;
        let (finished, spent) = match finding {
            Finding::Sent => (Finished::Sent, 2 * PRICE.0),
            Finding::NotSent => (Finished::Cancelled, 0),
        };
        assert_eq!(decided, vec![Resolved::Decided(finished); 2]);
        assert_eq!(stage.balance(scene.account_id).await, balance(FULL - spent, 0, spent));
        assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 0);
        stage.assert_sound().await;
    }
}

#[tokio::test]
async fn evidence_is_never_changed() {
    let stage = Stage::new().await;
    Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let id = stage.lose_due().await[0].delivery_id;
    stage.resolve(&[says(id, Evidence::Deadline)]).await;
    for statement in ["UPDATE evidence SET verdict = 'sent'", "DELETE FROM evidence"] {
        let error = sqlx::query(statement).execute(stage.pool()).await.unwrap_err().to_string();
        assert!(error.contains("evidence is never changed or removed"), "{error}");
    }
}

#[tokio::test]
async fn a_plan_says_what_resolving_will_do() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 2).await;
    let lost = stage.lose_due().await;
    let plan = async |delivery_id, finding| {
        let filter = UnknownFilter { delivery_id, ..UnknownFilter::default() };
        let now = stage.clock.now();
        plan::resolve(stage.pool(), scene.account_id, &filter, finding, &policy(), now)
            .await
            .unwrap()
    };
    let one = plan(Some(lost[0].delivery_id), Finding::Sent).await.pop().unwrap();
    assert_eq!((one.becomes, one.captured_micros), (DeliveryState::Sent, PRICE));
    assert_eq!((one.released_micros, one.then), (Micros::ZERO, Then::GoesOn));
    assert_eq!(one.reason, Some(Reason::new("timeout", "no answer")));
    assert_eq!(one.unknown_since, stage.clock.now());
    let all = plan(None, Finding::NotSent).await;
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].becomes, all[0].then), (DeliveryState::Queued, Then::GoesOn));

    // Two more attempts are made, both lost: then there is none left.
    for _ in 0..2 {
        stage.resolve(&[says(lost[0].delivery_id, Evidence::Operator(Finding::NotSent))]).await;
        stage.advance(3_600);
        stage.lose_due().await;
    }
    let one = plan(Some(lost[0].delivery_id), Finding::NotSent).await.pop().unwrap();
    assert_eq!((one.becomes, one.then), (DeliveryState::Failed, Then::Ends));
    assert_eq!(one.released_micros, Micros(2 * PRICE.0));
    let before = stage.balance(scene.account_id).await.available;
    let decided =
        stage.resolve(&[says(one.delivery_id, Evidence::Operator(Finding::NotSent))]).await;
    assert_eq!(decided, [Resolved::Decided(Finished::Failed)]);
    let after = stage.balance(scene.account_id).await.available;
    assert_eq!(after - before, one.released_micros);
    let none = UnknownFilter {
        unknown_since: Some(stage.clock.now() - TimeDelta::days(9)),
        ..UnknownFilter::default()
    };
    let (policy, now) = (policy(), stage.clock.now());
    let found =
        plan::resolve(stage.pool(), scene.account_id, &none, Finding::Sent, &policy, now).await;
    assert!(found.unwrap().is_empty());
}

#[tokio::test]
async fn not_sent_after_all_is_settled_by_the_worker_itself_while_nobody_has_decided() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let lost = stage.lose_due().await;
    let finished = stage.finish(&outcomes(&lost, &not_sent())).await;
    assert!(matches!(finished[0], Finished::Requeued { .. }), "{finished:?}");
    assert_eq!(stage.balance(scene.account_id).await.spent, Micros(0));
    stage.assert_sound().await;
}
