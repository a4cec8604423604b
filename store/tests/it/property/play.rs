//! Plays each deed to the store and to the model.

use std::collections::BTreeMap;

use dripline_domain::clock::ManualClock;
use dripline_domain::delivery::Reason;
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::{AccountId, ContactId, DeliveryId, EnrollmentId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_domain::receipt::ReceiptStatus;
use dripline_domain::workflow::{SurplusPolicy, WorkflowDraft};
use dripline_store::ops::{
    AdjustError, Adjustment, Closing, Edit, EditWorkflowError, EnrollChunk, EnrollError, Enrolled,
    GiveUp, GiveUpRequest, NewEnrolment, PricedContact, Receipt, ReceiptOf, Received, Removal,
    Removals, Repeat, RepeatRequest, Resolved, StaleRepeat, Start, TopUp, adjust, begin_enrolment,
    delete_workflow, edit_workflow, end_enrolment, enroll, enroll_reserved, give_up, opt_out,
    pause_workflow, record_receipts, remove_contact, remove_contacts, repeat_attempts,
    resolve_unknown, top_up,
};
use dripline_store::testing::factory::{self, ACTOR, Account, Contacts, Route};
use dripline_store::testing::{TestDatabase, route_of};
use dripline_store::{Pool, account, audit, installation, workflow};
use proptest::sample::Index;
use uuid::Uuid;

use super::deed::{Deed, Outcome, Spoken};
use super::model::{Model, Seen, Workflow};
use crate::evidence::says;
use crate::journey::{self, POLICY, WORKER, Waiting};
use crate::support::{accepted, noon, not_sent, refused, unknown};

const CONTACTS: usize = 6;
const WORKFLOWS: usize = 3;
/// The bit, above those of the contacts, that makes an enrolment reserve its price.
const RESERVES: u8 = 1 << 7;
/// What one segment costs here; odd, so that parts of a hold need rounding.
const PRICE: i64 = 5_003;

/// A store, a model, and which row is which thing of the model.
pub(super) struct Play {
    database: TestDatabase,
    clock: ManualClock,
    account_id: AccountId,
    contacts: Vec<ContactId>,
    workflows: Vec<WorkflowId>,
    model: Model,
}

type Played = Result<(), String>;
/// Id, contact, workflow, exit, remaining, released.
type EnrollmentRow = (i64, i64, i64, Option<String>, i64, i64);
/// Enrollment, state, attempt, held, captured, released.
type DeliveryRow = (i64, String, i32, i64, i64, i64);

impl Play {
    pub(super) async fn new() -> Self {
        let database = TestDatabase::new().await;
        let clock = ManualClock::new(noon());
        let pool = database.pool();
        let empty = Account { available: Some(Micros::ZERO), ..Account::default() };
        let account_id = empty.create(pool, &clock).await;
        Route::default().create(pool, &clock, account_id).await;
        let contacts = Contacts::many(CONTACTS).create(pool, &clock, account_id).await;
        let model = Model { opted_out: vec![false; CONTACTS], ..Model::default() };
        let mut play = Self { database, clock, account_id, contacts, workflows: Vec::new(), model };
        for _ in 0..WORKFLOWS {
            play.create_workflow().await;
        }
        play
    }

    fn pool(&self) -> &Pool {
        self.database.pool()
    }

    async fn create_workflow(&mut self) {
        let workflow = factory::Workflow::with_steps(3);
        let id = workflow.create(self.pool(), &self.clock, self.account_id).await;
        self.workflows.push(id);
        self.model.workflows.push(Workflow { steps: 3, charge: false });
    }

    pub(super) async fn perform(&mut self, deed: &Deed) -> Played {
        match deed {
            Deed::TopUp { micros } => self.top_up(*micros).await,
            Deed::Adjust { micros } => self.adjust(*micros).await,
            Deed::Enroll { workflow, contacts, segments } => {
                self.enroll(self.pick_workflow(*workflow), *contacts, segments).await
            }
            Deed::Start { queued, segments } => self.start(*queued, *segments).await,
            Deed::Finish { taken, outcome } => self.finish(*taken, *outcome).await,
            Deed::Resolve { handed_over, witness } => self.resolve(*handed_over, *witness).await,
            Deed::Receipt { handed_over } => self.receipt(*handed_over).await,
            Deed::Repeat { unknown } => self.repeat(*unknown).await,
            Deed::Expire { queued } => self.give_up(*queued, GiveUp::Expired).await,
            Deed::Refuse { queued } => self.give_up(*queued, GiveUp::Refused(reason())).await,
            Deed::Retry { queued } => self.give_up(*queued, GiveUp::Retry(reason())).await,
            Deed::GiveUpClosed { queued } => self.give_up(*queued, GiveUp::Closed).await,
            Deed::Pause { workflow } => self.pause(self.pick_workflow(*workflow)).await,
            Deed::Remove { live } => self.remove(*live).await,
            Deed::RemoveSome { workflow, contacts } => {
                self.remove_some(self.pick_workflow(*workflow), *contacts).await
            }
            Deed::Edit { workflow, steps, charge } => {
                self.edit(self.pick_workflow(*workflow), *steps, *charge).await
            }
            Deed::Delete { workflow } => self.delete(self.pick_workflow(*workflow)).await,
            Deed::OptOut { contact } => self.opt_out(contact.index(CONTACTS)).await,
        }
    }

    /// Among the last ones, which are not deleted.
    fn pick_workflow(&self, index: Index) -> usize {
        self.workflows.len() - WORKFLOWS + index.index(WORKFLOWS)
    }

    async fn top_up(&mut self, micros: i64) -> Played {
        let payment = TopUp {
            account_id: self.account_id,
            amount: Micros(micros),
            batch_id: Uuid::new_v4(),
            actor: ACTOR.to_owned(),
            reason: None,
        };
        top_up(self.pool(), &self.clock, &payment).await.map_err(text)?;
        self.model.available += micros;
        Ok(())
    }

    async fn adjust(&mut self, micros: i64) -> Played {
        let adjustment = Adjustment {
            account_id: self.account_id,
            amount: Micros(micros),
            batch_id: Uuid::new_v4(),
            actor: ACTOR.to_owned(),
            reason: "a random deed".to_owned(),
        };
        match adjust(self.pool(), &self.clock, &adjustment).await {
            Ok(_) => self.model.available += micros,
            Err(AdjustError::Zero) if micros == 0 => {}
            Err(AdjustError::Insufficient(_)) if self.model.available + micros < 0 => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    async fn enroll(&mut self, workflow: usize, mask: u8, segments: &[u32]) -> Played {
        let asked: Vec<usize> = (0..CONTACTS).filter(|bit| mask & (1 << bit) != 0).collect();
        let segments = &segments[..self.model.workflows[workflow].steps];
        let steps: Vec<(i64, i64)> =
            segments.iter().map(|s| (i64::from(*s), i64::from(*s) * PRICE)).collect();
        let priced = asked.iter().map(|contact| PricedContact {
            contact_id: self.contacts[*contact],
            step_segments: segments.to_vec(),
            step_micros: steps.iter().map(|(_, micros)| Micros(*micros)).collect(),
        });
        let contacts: Vec<PricedContact> = priced.collect();
        let found = workflow::load(self.pool(), self.workflows[workflow]).await.map_err(text)?;
        let chunk = EnrollChunk {
            workflow_id: self.workflows[workflow],
            revision: found.ok_or("the workflow is gone")?.revision,
            batch_id: Uuid::new_v4(),
            actor: ACTOR.to_owned(),
            required: contacts.iter().flat_map(|c| &c.step_micros).copied().sum(),
            contacts,
        };
        let reserves = mask & RESERVES != 0;
        let done = if reserves {
            self.enroll_by_chunks(&chunk).await
        } else {
            enroll(self.pool(), &self.clock, &chunk).await
        };
        match (done, self.model.enroll(workflow, &asked, &steps)) {
            (Ok(done), Some(expected)) => {
                let expected: Vec<_> = expected.iter().map(|c| self.contacts[*c]).collect();
                if reserves {
                    return same("enrolled by chunks", &done.enrolled, &expected);
                }
                let again = enroll(self.pool(), &self.clock, &chunk).await.map_err(text)?;
                same("enrolled again with the same batch", &again.held, &done.held)?;
                same("enrolled", &done.enrolled, &expected)
            }
            (Err(EnrollError::InsufficientBalance(_)), None) => Ok(()),
            (done, expected) => Err(format!("{done:?}, and the model enrols {expected:?}")),
        }
    }

    /// The same as an enrolment that reserves the price of all and goes on two contacts at a time.
    async fn enroll_by_chunks(&self, whole: &EnrollChunk) -> Result<Enrolled, EnrollError> {
        let EnrollChunk { workflow_id, revision, contacts, .. } = whole;
        let new = NewEnrolment::of(*workflow_id, *revision, ACTOR, contacts);
        let id = begin_enrolment(self.pool(), &self.clock, &new).await?.operation_id;
        let mut all = Enrolled::default();
        for (number, some) in (1..).zip(contacts.chunks(2)) {
            let chunk = EnrollChunk { contacts: some.to_vec(), ..whole.clone() };
            let done = enroll_reserved(self.pool(), &self.clock, id, number, &chunk).await?;
            all.enrolled.extend(done.enrolled);
            all.held += done.held;
        }
        end_enrolment(self.pool(), &self.clock, id).await?;
        Ok(all)
    }

    async fn start(&mut self, queued: Index, segments: u32) -> Played {
        let Some(enrollment) = pick(&self.model.in_state(&["queued"]), queued) else {
            return Ok(());
        };
        let waiting = self.waiting(enrollment).await?;
        let started = journey::start_keyed(self.pool(), &self.clock, waiting, segments).await;
        let expected = self.model.start(enrollment, i64::from(segments));
        match started {
            Start::Started { .. } if expected => Ok(()),
            Start::OverHold { .. } if !expected => Ok(()),
            other => Err(format!("{other:?}, and the model says {expected}")),
        }
    }

    async fn finish(&mut self, taken: Index, outcome: Outcome) -> Played {
        let taken_ones = self.model.in_state(&["sending", "unknown"]);
        let Some(enrollment) = pick(&taken_ones, taken) else { return Ok(()) };
        let mut waiting = self.waiting(enrollment).await?;
        waiting.attempt -= 1;
        let reported = match outcome {
            Outcome::Accepted => accepted(),
            Outcome::Refused => refused(),
            Outcome::NotSent => not_sent(),
            Outcome::Unknown => unknown(),
        };
        journey::finish(self.pool(), &self.clock, waiting, reported.clone()).await;
        self.model.finish(enrollment, outcome);
        // Saying the same once more changes nothing, unless nobody knew, which stays so.
        journey::finish(self.pool(), &self.clock, waiting, reported).await;
        Ok(())
    }

    /// The enrollments whose last delivery was handed over, whatever became of it.
    fn handed_over(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.model.enrollments.len()).collect();
        all.retain(|e| {
            let last = self.model.enrollments[*e].deliveries.last();
            last.is_some_and(|delivery| delivery.handed_over)
        });
        all
    }

    async fn resolve(&mut self, handed_over: Index, witness: Spoken) -> Played {
        let Some(enrollment) = pick(&self.handed_over(), handed_over) else { return Ok(()) };
        let evidence = match witness {
            Spoken::CarrierHasIt => Evidence::Carrier(Finding::Sent),
            Spoken::CarrierHasItNot => Evidence::Carrier(Finding::NotSent),
            Spoken::OperatorSent => Evidence::Operator(Finding::Sent),
            Spoken::OperatorNotSent => Evidence::Operator(Finding::NotSent),
            Spoken::Deadline => Evidence::Deadline,
        };
        let waiting = self.waiting(enrollment).await?;
        let sent = evidence.verdict().finding() == Finding::Sent;
        let on_the_wire = self.model.in_state(&["sending"]).contains(&enrollment);
        let is_known = evidence != Evidence::Deadline;
        let expected = self.model.resolve(enrollment, sent, is_known);
        let batch_id = Uuid::new_v4();
        let piece = [says(waiting.delivery_id, evidence)];
        let (pool, clock) = (self.pool(), &self.clock);
        let heard = resolve_unknown(pool, clock, &POLICY, ACTOR, batch_id, &piece).await;
        match heard.map_err(text)?[..] {
            [Resolved::Decided(_)] if expected => {}
            [Resolved::OnTheWire] if on_the_wire => {}
            [Resolved::Agreed { .. } | Resolved::Contradicted { .. }]
                if !expected && !on_the_wire => {}
            ref other => return Err(format!("{other:?}, and the model says {expected}")),
        }
        // Once more, by the same batch and by another one, it changes nothing.
        for batch_id in [batch_id, Uuid::new_v4()] {
            let again = resolve_unknown(pool, clock, &POLICY, ACTOR, batch_id, &piece).await;
            if let [Resolved::Decided(_)] = again.map_err(text)?[..] {
                return Err("the same evidence decided twice".to_owned());
            }
        }
        Ok(())
    }

    async fn receipt(&mut self, handed_over: Index) -> Played {
        let Some(enrollment) = pick(&self.handed_over(), handed_over) else { return Ok(()) };
        let waiting = self.waiting(enrollment).await?;
        // Under the key that every hand-over here has.
        let installation = installation::id(self.pool()).await.map_err(text)?.simple();
        let receipt = [Receipt {
            over: route_of(self.pool(), waiting.delivery_id).await,
            of: ReceiptOf::Ours(format!("{installation}-{}-0", waiting.delivery_id)),
            status: ReceiptStatus::Sent,
            carrier_reference: None,
            reason: None,
        }];
        let expected = self.model.resolve(enrollment, true, true);
        let batch_id = Uuid::new_v4();
        let received =
            record_receipts(self.pool(), &self.clock, &POLICY, ACTOR, batch_id, &receipt).await;
        match received.map_err(text)?[..] {
            [Received::Decided(_)] if expected => Ok(()),
            [Received::Recorded | Received::Known | Received::Contradicted] if !expected => Ok(()),
            ref other => Err(format!("{other:?}, and the model says {expected}")),
        }
    }

    async fn repeat(&mut self, unknown: Index) -> Played {
        let Some(enrollment) = pick(&self.model.in_state(&["unknown"]), unknown) else {
            return Ok(());
        };
        let waiting = self.waiting(enrollment).await?;
        let text_segments = self.model.enrollments[enrollment].deliveries.last().map(|d| d.text);
        let request = RepeatRequest {
            delivery_id: waiting.delivery_id,
            attempt: waiting.attempt,
            segments: u32::try_from(text_segments.unwrap_or(0)).map_err(text)?,
            reference: journey::given(waiting.delivery_id),
        };
        let batch_id = Uuid::new_v4();
        let repeats = repeat_attempts(self.pool(), &self.clock, WORKER, batch_id, &[request]).await;
        match (repeats.map_err(text)?[0], self.model.repeat(enrollment)) {
            (Repeat::Started, true)
            | (Repeat::Stale(StaleRepeat::WorkflowClosed | StaleRepeat::OptedOut), false) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    async fn give_up(&mut self, queued: Index, cause: GiveUp) -> Played {
        let Some(enrollment) = pick(&self.model.in_state(&["queued"]), queued) else {
            return Ok(());
        };
        let waiting = self.waiting(enrollment).await?;
        let request = GiveUpRequest {
            delivery_id: waiting.delivery_id,
            attempt: waiting.attempt,
            cause: cause.clone(),
        };
        let batch_id = Uuid::new_v4();
        for _ in 0..2 {
            let request = [request.clone()];
            give_up(self.pool(), &self.clock, &POLICY, WORKER, batch_id, &request)
                .await
                .map_err(text)?;
        }
        match cause {
            GiveUp::Expired => self.model.end(enrollment, "expired", "expired"),
            GiveUp::Refused(_) => self.model.end(enrollment, "failed", "failed"),
            GiveUp::Retry(_) => self.model.retry(enrollment),
            GiveUp::Closed => {}
        }
        Ok(())
    }

    fn closing(&self, workflow: usize) -> Closing {
        Closing {
            workflow_id: self.workflows[workflow],
            actor: ACTOR.to_owned(),
            reason: Some("a random deed".to_owned()),
        }
    }

    async fn pause(&mut self, workflow: usize) -> Played {
        let paused = pause_workflow(self.pool(), &self.clock, &self.closing(workflow)).await;
        self.close(workflow, paused.map_err(text)?.released, "workflow_paused")
    }

    async fn delete(&mut self, workflow: usize) -> Played {
        let deleted = delete_workflow(self.pool(), &self.clock, &self.closing(workflow)).await;
        let deleted = deleted.map_err(text)?;
        self.close(workflow, deleted.released, "workflow_deleted")?;
        // The last ones are those that exist.
        let last = self.workflows.len() - WORKFLOWS;
        self.workflows.swap(workflow, last);
        self.model.workflows.swap(workflow, last);
        for enrollment in &mut self.model.enrollments {
            if enrollment.workflow == workflow {
                enrollment.workflow = last;
            } else if enrollment.workflow == last {
                enrollment.workflow = workflow;
            }
        }
        self.create_workflow().await;
        Ok(())
    }

    fn close(&mut self, workflow: usize, released: Micros, cause: &'static str) -> Played {
        let before = self.model.available;
        for enrollment in self.model.live_in(workflow) {
            self.model.take_out(enrollment, cause);
        }
        same("refund", &released.0, &(self.model.available - before))
    }

    async fn remove(&mut self, live: Index) -> Played {
        let Some(enrollment) = pick(&self.model.live(), live) else { return Ok(()) };
        let removal = Removal {
            enrollment_id: self.enrollment_id(enrollment).await?,
            actor: ACTOR.to_owned(),
            reason: None,
        };
        let removed = remove_contact(self.pool(), &self.clock, &removal).await.map_err(text)?;
        let before = self.model.available;
        self.model.take_out(enrollment, "removed");
        same("refund", &removed.released.0, &(self.model.available - before))
    }

    /// Takes those whose bit is set out of a workflow, by one operation.
    async fn remove_some(&mut self, workflow: usize, mask: u8) -> Played {
        let mut chosen = self.model.live_in(workflow);
        chosen.retain(|e| mask & (1 << self.model.enrollments[*e].contact) != 0);
        let mut enrollments = Vec::new();
        for enrollment in &chosen {
            enrollments.push(self.enrollment_id(*enrollment).await?);
        }
        let removals = Removals {
            account_id: self.account_id,
            workflow_id: self.workflows[workflow],
            enrollments,
            selection: format!("{mask:#b}"),
            batch_id: Uuid::new_v4(),
            actor: ACTOR.to_owned(),
            reason: None,
        };
        let removed = remove_contacts(self.pool(), &self.clock, &removals).await.map_err(text)?;
        let before = self.model.available;
        for enrollment in &chosen {
            self.model.take_out(*enrollment, "removed");
        }
        same("removed", &removed.removed, &(chosen.len() as u64))?;
        same("refund", &removed.released.0, &(self.model.available - before))
    }

    async fn edit(&mut self, workflow: usize, steps: usize, charge: bool) -> Played {
        let edit = Edit {
            workflow_id: self.workflows[workflow],
            draft: WorkflowDraft {
                name: format!("edited-{}", self.workflows[workflow]),
                surplus_policy: if charge { SurplusPolicy::Charge } else { SurplusPolicy::Fail },
                steps: vec![factory::step(std::time::Duration::ZERO); steps],
            },
            expected_revision: None,
            actor: ACTOR.to_owned(),
        };
        let live = self.model.live_in(workflow).len();
        match edit_workflow(self.pool(), &self.clock, &edit).await {
            Ok(_) if live == 0 => {
                self.model.workflows[workflow] = Workflow { steps, charge };
                Ok(())
            }
            Err(EditWorkflowError::Active(active)) => {
                same("contacts in the refusal", &active.contacts, &(live as u64))
            }
            other => Err(format!("{other:?} with {live} live")),
        }
    }

    async fn opt_out(&mut self, contact: usize) -> Played {
        opt_out(self.pool(), &self.clock, self.contacts[contact], ACTOR).await.map_err(text)?;
        self.model.opted_out[contact] = true;
        for enrollment in self.model.live() {
            if self.model.enrollments[enrollment].contact == contact {
                self.model.take_out(enrollment, "opted_out");
            }
        }
        Ok(())
    }

    async fn enrollment_id(&self, enrollment: usize) -> Result<EnrollmentId, String> {
        let this = &self.model.enrollments[enrollment];
        let earlier = self.model.enrollments[..enrollment]
            .iter()
            .filter(|e| (e.contact, e.workflow) == (this.contact, this.workflow));
        let id: i64 = sqlx::query_scalar(
            "SELECT enrollment_id FROM enrollments WHERE contact_id = $1 AND workflow_id = $2
             ORDER BY enrollment_id OFFSET $3 LIMIT 1",
        )
        .bind(self.contacts[this.contact].0)
        .bind(self.workflows[this.workflow].0)
        .bind(i64::try_from(earlier.count()).map_err(text)?)
        .fetch_one(self.pool())
        .await
        .map_err(text)?;
        Ok(EnrollmentId(id))
    }

    /// The last delivery of an enrollment.
    async fn waiting(&self, enrollment: usize) -> Result<Waiting, String> {
        let id = self.enrollment_id(enrollment).await?;
        let (delivery_id, attempt, held_segments): (i64, i32, i64) = sqlx::query_as(
            "SELECT delivery_id, attempt, held_segments FROM deliveries
             WHERE enrollment_id = $1 ORDER BY position DESC LIMIT 1",
        )
        .bind(id.0)
        .fetch_one(self.pool())
        .await
        .map_err(text)?;
        Ok(Waiting {
            delivery_id: DeliveryId(delivery_id),
            attempt: attempt.try_into().map_err(text)?,
            held_segments: held_segments.try_into().map_err(text)?,
        })
    }

    /// The balance, and every row of enrollments and deliveries.
    pub(super) async fn compare(&self) -> Played {
        let balance = account::balance(self.pool(), self.account_id).await.map_err(text)?;
        let balance = balance.ok_or("the balance is gone")?;
        let found = (balance.available.0, balance.held.0, balance.spent.0);
        same("balance", &found, &(self.model.available, self.model.held, self.model.spent))?;
        same("rows", &self.seen().await.map_err(text)?, &self.model.seen())
    }

    async fn seen(&self) -> Result<BTreeMap<(usize, usize), Vec<Seen>>, sqlx::Error> {
        let enrollments: Vec<EnrollmentRow> = sqlx::query_as(
            "SELECT enrollment_id, contact_id, workflow_id, exit_cause, remaining_micros,
                    released_micros
             FROM enrollments ORDER BY enrollment_id",
        )
        .fetch_all(self.pool())
        .await?;
        let deliveries: Vec<DeliveryRow> = sqlx::query_as(
            "SELECT enrollment_id, state, attempt, held_micros, captured_micros, released_micros
             FROM deliveries ORDER BY enrollment_id, position",
        )
        .fetch_all(self.pool())
        .await?;
        let mut by_enrollment: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for (enrollment, state, attempt, held, captured, released) in deliveries {
            let of = by_enrollment.entry(enrollment).or_default();
            of.push((state, attempt, held, captured, released));
        }
        let mut seen: BTreeMap<_, Vec<Seen>> = BTreeMap::new();
        for (id, contact, workflow, exit, remaining, released) in enrollments {
            let place = |id: Option<usize>| id.unwrap_or(usize::MAX);
            let contact = place(self.contacts.iter().position(|c| c.0 == contact));
            let workflow = place(self.workflows.iter().position(|w| w.0 == workflow));
            let deliveries = by_enrollment.remove(&id).unwrap_or_default();
            let row = Seen { exit, remaining, released, deliveries };
            seen.entry((contact, workflow)).or_default().push(row);
        }
        Ok(seen)
    }

    /// Nothing to complain about, though workers have taken no ticket here: those go first.
    pub(super) async fn audit(&self) -> Played {
        sqlx::query(
            "DELETE FROM apalis.jobs j
             WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.ticket_id = j.id)",
        )
        .execute(self.pool())
        .await
        .map_err(text)?;
        for result in audit::run(self.pool(), &self.clock).await.map_err(text)? {
            if !result.holds() {
                return Err(format!("{result:?}"));
            }
        }
        Ok(())
    }
}

fn pick(from: &[usize], index: Index) -> Option<usize> {
    (!from.is_empty()).then(|| from[index.index(from.len())])
}

fn reason() -> Reason {
    Reason::new("test", "a random deed")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Played {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: the store has {found:?}, the model {expected:?}"))
    }
}
