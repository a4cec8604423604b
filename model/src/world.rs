//! One state of the model: the committed rows, where every process stands, and what was promised.

use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ledger::{Balance, EntryKind, Hold};
use dripline_domain::money::Micros;

use crate::closing::{Operator, Purge};
use crate::removal::Remover;
use crate::requeue::Requeuer;
use crate::scene::Scene;
use crate::worker::Worker;

/// The most enrollments: contacts, and how often they are enrolled anew.
pub const CONTACTS: usize = 3;
/// The most steps.
pub const STEPS: usize = 2;
/// The most workers.
pub const WORKERS: usize = 2;
/// The most hand-overs of one delivery.
pub const ATTEMPTS: usize = 3;

/// Everything there is at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// `workflows.epoch` has been raised above the epoch of the enrollments.
    pub closed: bool,
    /// `enrollments` with their `deliveries` and `attempts`.
    pub contacts: [Contact; CONTACTS],
    /// How many enrollments there are.
    pub enrolled: usize,
    /// `operations`: the pause, once its fence is committed.
    pub operation: Option<Operation>,
    /// `balances`.
    pub balance: Balance,
    /// The processes that send.
    pub workers: [Worker; WORKERS],
    /// The process that pauses.
    pub operator: Operator,
    /// Another process's sweep for unfinished purges.
    pub sweep: Purge,
    /// The process that removes the first contact.
    pub remover: Remover,
    /// The process that requeues.
    pub requeuer: Requeuer,
    /// Requeues that may still begin.
    pub requeues: u8,
    /// False words that may still be said.
    pub errors: u8,
    /// Deaths that may still happen.
    pub deaths: u8,
    /// Answers to COMMIT that may still be lost.
    pub losses: u8,
    /// What callers were told.
    pub promises: Promises,
    /// What has already gone wrong on the way here.
    pub wrongs: Wrongs,
}

/// One enrollment with its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contact {
    /// `enrollments.exit_cause`.
    pub exit: Option<ExitCause>,
    /// `enrollments.position`, from 0: the last step that has a delivery.
    pub position: usize,
    /// `enrollments.requeued_delivery_id`: the enrollment whose failed step it takes up.
    pub takes_up: Option<usize>,
    /// Its steps.
    pub messages: [Message; STEPS],
}

/// One step of one enrollment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Message {
    /// Its delivery, once it is the enrollment's turn.
    pub delivery: Option<Delivery>,
    /// Its hand-overs.
    pub attempts: [Option<Attempt>; ATTEMPTS],
    /// How often its hold was captured.
    pub captures: u8,
    /// How often its hold was released.
    pub releases: u8,
    /// How often the carrier took it, but for what somebody falsely says that it did not, until who knows
    /// better is believed. In no row: only the carrier's own log knows.
    pub taken: u8,
}

/// One row of `deliveries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// `state`.
    pub state: DeliveryState,
    /// `attempt`: hand-overs so far.
    pub attempt: usize,
    /// `said_sent`: somebody says that the message was sent, by an earlier attempt or before this delivery
    /// took it up.
    pub said_sent: bool,
}

/// One row of `attempts`, and what the carrier knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// `worker_id` and with it `batch_id`: one worker marks a delivery's attempt in one batch.
    pub worker: WorkerName,
    /// `outcome`.
    pub outcome: Option<Answer>,
    /// Whether the carrier took this hand-over. In no row either; evidence is about it.
    pub taken: bool,
    /// Whether it was decided by a false word that it was not sent.
    pub denied: bool,
    /// Whether `evidence` has a row that says it was sent, against that decision.
    pub said: bool,
}

/// A row of `operations` that is being purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// `purged_to_contact_id`: contacts below this place are done.
    pub purged_to: usize,
    /// `finished_at is not null`.
    pub finished: bool,
}

/// Which process, and which life of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerName {
    /// Its place among the workers.
    pub place: usize,
    /// Raised by every death.
    pub life: u8,
}

/// Which message, and which hand-over of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Whose.
    pub contact: usize,
    /// Which step, from 0.
    pub step: usize,
    /// Which hand-over, from 1.
    pub attempt: usize,
}

/// The outcome of a hand-over, small enough to stand in a state. What it means is the domain's
/// [`AttemptOutcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The carrier took it and said so.
    Accepted,
    /// The carrier said no.
    Refused,
    /// Not a byte left.
    NotSent,
    /// No answer after the first byte.
    Unknown,
}

impl Answer {
    /// The outcome as the transactions are given it.
    pub fn outcome(self) -> AttemptOutcome {
        let reason = Reason::new("model", "");
        match self {
            Self::Accepted => AttemptOutcome::Accepted { carrier_reference: None },
            Self::Refused => AttemptOutcome::Refused(reason),
            Self::NotSent => AttemptOutcome::NotSent { reason, retry_after: None },
            Self::Unknown => AttemptOutcome::Unknown(reason),
        }
    }

    /// Whether an attempt with this outcome, or with none yet, may have reached the carrier.
    pub fn may_have_reached(outcome: Option<Self>) -> bool {
        matches!(outcome, None | Some(Self::Accepted | Self::Unknown))
    }
}

/// For each message, the attempt that was listed as in flight; 0 for none.
pub type InFlight = [[usize; STEPS]; CONTACTS];

/// What was promised to callers, from the moment their call returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Promises {
    /// The pause returned: no message of the workflow starts to leave except these.
    pub pause: Option<InFlight>,
    /// The removal returned: no message to the first contact starts to leave except these.
    pub removal: Option<InFlight>,
}

impl Promises {
    /// Whether this hand-over would break one of them.
    pub fn forbid(&self, job: Job) -> bool {
        let unlisted = |list: InFlight| list[job.contact][job.step] != job.attempt;
        self.pause.is_some_and(unlisted) || (job.contact == 0 && self.removal.is_some_and(unlisted))
    }
}

/// What must never happen and can only be seen while it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wrong of its own")]
pub struct Wrongs {
    /// A mark was committed, or a message left, against a promise.
    pub late: bool,
    /// A balance was asked for what it does not hold.
    pub overdrawn: bool,
    /// A delivery went where [`DeliveryState::may_become`] does not let it.
    pub forbidden: bool,
    /// A message was marked of which somebody had said that it was sent.
    pub again: bool,
    /// What had been said to be sent before its settlement was given back by that.
    pub given_back: bool,
}

impl Message {
    /// A delivery that nobody has sent yet.
    pub fn queue(&mut self) {
        self.delivery =
            Some(Delivery { state: DeliveryState::Queued, attempt: 0, said_sent: false });
    }

    /// Whether somebody says that one of its attempts was sent, which had been decided otherwise.
    pub fn is_said(&self) -> bool {
        self.attempts.iter().flatten().any(|attempt| attempt.said)
    }

    /// Takes a hand-over for not sent, though it was, or will be.
    pub fn deny(&mut self, attempt: usize) {
        let Some(attempt) = &mut self.attempts[attempt - 1] else { return };
        attempt.denied = true;
        self.taken -= u8::from(attempt.taken);
    }

    /// Takes a hand-over for sent that had been taken for not sent.
    pub fn believe(&mut self, attempt: usize) {
        let Some(attempt) = &mut self.attempts[attempt - 1] else { return };
        attempt.outcome = Some(Answer::Accepted);
        self.taken += u8::from(attempt.denied && attempt.taken);
        attempt.denied = false;
        attempt.said = true;
    }
}

impl Contact {
    /// The delivery of that step.
    pub fn delivery(&self, step: usize) -> Option<Delivery> {
        self.messages[step].delivery
    }

    /// Its delivery that is not settled, with its step.
    pub fn live_delivery(&self) -> Option<(usize, Delivery)> {
        let mut deliveries = (0..STEPS).filter_map(|step| Some((step, self.delivery(step)?)));
        deliveries.find(|(_, delivery)| delivery.state.is_live())
    }
}

/// What is held for a step. Each step has a price of its own, so that no mistake cancels another.
pub fn hold(step: usize) -> Hold {
    Hold { segments: 1, micros: Micros([10, 101][step]) }
}

/// What was put into the account: enough for everybody, and for all that is requeued.
pub fn topped_up(scene: &Scene) -> Micros {
    let enrolments = scene.contacts + usize::from(scene.requeues);
    (0..enrolments).flat_map(|_| (0..scene.steps).map(hold)).sum::<Hold>().micros
}

/// What one enrollment holds for the steps behind `position`.
pub fn remaining(scene: &Scene, position: usize) -> Hold {
    (position + 1..scene.steps).map(hold).sum()
}

impl World {
    /// Everybody enrolled and paid for, at their first step.
    pub fn enrolled(scene: &Scene) -> Self {
        let mut contact = Contact::default();
        contact.messages[0].queue();
        let everything: Hold = (0..scene.contacts).flat_map(|_| (0..scene.steps).map(hold)).sum();
        let balance = Balance { available: topped_up(scene), ..Balance::default() };
        let balance = balance.apply(EntryKind::Hold, everything.micros).expect("it was put in");
        Self {
            closed: false,
            contacts: [contact; CONTACTS],
            enrolled: scene.contacts,
            operation: None,
            balance,
            workers: [Worker::default(); WORKERS],
            operator: Operator::default(),
            sweep: Purge::default(),
            remover: Remover::default(),
            requeuer: Requeuer::default(),
            requeues: scene.requeues,
            errors: scene.errors,
            deaths: scene.deaths,
            losses: scene.losses,
            promises: Promises::default(),
            wrongs: Wrongs::default(),
        }
    }

    /// The messages of the scene.
    pub fn jobs<'a>(
        &'a self,
        scene: &'a Scene,
    ) -> impl Iterator<Item = (usize, usize, &'a Message)> + 'a {
        let contacts = self.contacts[..self.enrolled].iter().enumerate();
        contacts.flat_map(|(contact, row)| {
            let messages = row.messages[..scene.steps].iter().enumerate();
            messages.map(move |(step, message)| (contact, step, message))
        })
    }

    /// What a pause or a removal lists as in flight, as committed now: `store/src/plan.rs`.
    pub fn in_flight(&self, scene: &Scene) -> InFlight {
        let forgets = scene.has(crate::Bug::InFlightByStateOnly);
        let mut list = InFlight::default();
        for (contact, step, message) in self.jobs(scene) {
            let Some(delivery) = message.delivery else { continue };
            let listed = if forgets {
                delivery.state == DeliveryState::Sending
            } else {
                delivery.state.is_on_the_wire()
            };
            if listed {
                list[contact][step] = delivery.attempt;
            }
        }
        list
    }

    /// Whether a worker that stands before the wire has this hand-over in its hands.
    pub fn may_still_leave(&self, job: Job) -> bool {
        self.workers.iter().any(|worker| worker.at.may_still_send(job))
    }

    /// Whether the enrollment goes on behind this step: nothing has ended it, and no pause has closed it.
    pub fn is_live(&self, job: Job) -> bool {
        let contact = &self.contacts[job.contact];
        !self.closed && contact.exit.is_none() && contact.position == job.step
    }

    /// Whether somebody says that the message of this step was sent, by this enrollment or by one whose
    /// failed step it takes up.
    pub fn is_said(&self, contact: usize, step: usize) -> bool {
        let row = &self.contacts[contact];
        row.messages[step].is_said()
            || row.takes_up.is_some_and(|earlier| self.is_said(earlier, step))
    }

    /// Moves a delivery, as a committed transaction does. That what waits to be sent again is settled as
    /// sent, since somebody says so, is the one step that the domain's state machine does not know.
    pub fn set_state(&mut self, contact: usize, step: usize, to: DeliveryState) {
        let message = &mut self.contacts[contact].messages[step];
        let said = message.is_said();
        let delivery = &mut message.delivery;
        let delivery = delivery.as_mut().expect("only a delivery that is there is written");
        let after_all =
            (delivery.state, to) == (DeliveryState::Queued, DeliveryState::Sent) && said;
        self.wrongs.forbidden |=
            delivery.state != to && !delivery.state.may_become(to) && !after_all;
        delivery.state = to;
    }

    /// Books one entry.
    pub fn book(&mut self, kind: EntryKind, amount: Micros) {
        match self.balance.apply(kind, amount) {
            Ok(balance) => self.balance = balance,
            Err(_) => self.wrongs.overdrawn = true,
        }
    }

    /// Gives back what is held for a step.
    pub fn release(&mut self, contact: usize, step: usize, amount: Micros) {
        self.book(EntryKind::Release, amount);
        let releases = &mut self.contacts[contact].messages[step].releases;
        *releases = releases.saturating_add(1).min(2);
    }

    /// Takes what is held for a step.
    pub fn capture(&mut self, contact: usize, step: usize, amount: Micros) {
        self.book(EntryKind::Capture, amount);
        let captures = &mut self.contacts[contact].messages[step].captures;
        *captures = captures.saturating_add(1).min(2);
    }

    /// Ends an enrollment and gives back what it holds for its later steps.
    pub fn end_enrollment(&mut self, scene: &Scene, contact: usize, cause: ExitCause) {
        let position = self.contacts[contact].position;
        self.contacts[contact].exit = Some(cause);
        for step in position + 1..scene.steps {
            self.release(contact, step, hold(step).micros);
        }
    }
}
