//! A worker: load, mark, the wire, settle. One action for each statement of
//! `store/src/ops/{start_attempts,finish_attempts,give_up}.rs`.
//!
//! | action | statement |
//! |---|---|
//! | [`Step::Load`] | `delivery::load_due`, for whatever ticket woke it |
//! | [`Step::MarkLocks`] | `situation::lock_workflows`: the workflow `FOR SHARE` |
//! | [`Step::MarkReads`] | `before_mark.sql`, and `find_marked` for a batch that runs again |
//! | [`Step::MarkWrites`] | `mark.sql`: compare and set on `(state, attempt, said_sent)`, and the attempt's row |
//! | [`Step::MarkCommits`] | COMMIT, with or without its answer |
//! | [`Step::Leaves`] | the wire: no transaction is open |
//! | [`Step::SettleLocks`] | `situation::lock_workflows` of `finish_attempts` or `give_up` |
//! | [`Step::SettleReads`] | `situation.sql`, then `decide`; what comes too late is heard: [`hearing`] |
//! | [`Step::SettleWritesEnrollment`] | `enrollment/change.sql`: compare and set on `(live, position)` |
//! | [`Step::SettleLocksEnrollment`] | `lock_requeued`: the live enrollment `FOR SHARE` |
//! | [`Step::SettleWritesDelivery`] | `settle.sql`: compare and set on `(attempt, state, said_sent)` |
//! | [`Step::SettleCommits`] | the next step's delivery, the ticket, the balance, COMMIT |
//!
//! What is merged into COMMIT touches rows that nobody else can see or wait for before it.

use dripline_domain::delivery::{AttemptOutcome, DeliveryState};
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ledger::Settlement;

use crate::hearing::{self, Hearing, Hears};
use crate::locks;
use crate::scene::{Bug, Scene};
use crate::world::{Answer, Attempt, Delivery, Job, WorkerName, World, hold};

/// A process that sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Worker {
    /// Raised by every death; a new life is a new worker to everybody else.
    pub life: u8,
    /// Where it stands.
    pub at: At,
}

/// Where a worker stands. What it holds locked follows from that: see [`locks`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum At {
    /// With nothing in its hands.
    #[default]
    Idle,
    /// It has read a queued delivery, rendered it, and will mark this attempt. A mark whose COMMIT got
    /// no answer is run again from here: its batch id is that of the attempt's row.
    Loaded(Job),
    /// In the mark's transaction: the workflow is locked.
    MarkLocked(Job),
    /// In the mark's transaction: it is read.
    MarkRead {
        /// What is to be marked.
        job: Job,
        /// Whether this very batch has marked it before; else it may be marked now.
        before: bool,
    },
    /// In the mark's transaction: the delivery is written.
    MarkWritten(Job),
    /// The COMMIT was acknowledged: it will leave, whatever happens elsewhere.
    Marked(Job),
    /// Something is to be settled: outside the transaction, or undone and to be run again.
    Settling(Job, Deed),
    /// In the settlement's transaction: the workflow is locked.
    SettleLocked(Job, Deed),
    /// In the settlement's transaction: it is decided what to write.
    SettleDecided(Job, Deed, Change),
    /// In the settlement's transaction: the enrollment is written, or locked against its end.
    SettleEnrollment(Job, Deed, Change),
    /// In the settlement's transaction: the delivery is written too.
    SettleDelivery(Job, Deed, Change),
    /// In a transaction that hears that an attempt was sent, against what was decided.
    Hearing(Job, Deed, Hearing),
}

/// What is to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// `finish_attempts`: this became of the attempt.
    Finish(Answer),
    /// The same, and it is not true.
    Errs(Answer),
    /// `resolve_unknown`: an attempt was sent of which that has been denied.
    Says,
    /// `give_up` with `GiveUp::Closed`: it was found closed before its mark.
    GiveUp,
}

/// What a settlement decided to write, and what it read, to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// The delivery as it was read.
    pub(crate) read: Delivery,
    /// Where it goes.
    pub(crate) to: DeliveryState,
    /// Where the enrollment goes, if it goes anywhere.
    pub(crate) enrollment: Option<EnrollmentTo>,
    /// The attempt that the carrier has taken after all.
    pub(crate) taken: Option<usize>,
}

impl Change {
    /// How the enrollment is locked with it: alone, shared, or not at all.
    pub(crate) fn locks_enrollment(&self) -> Option<bool> {
        match self.enrollment {
            Some(_) => Some(true),
            None => (self.to == DeliveryState::Queued).then_some(false),
        }
    }

    /// Whether what was being sent is cancelled.
    pub(crate) fn cancels(&self) -> bool {
        self.to == DeliveryState::Cancelled
    }
}

/// What becomes of the enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnrollmentTo {
    /// Its next step gets a delivery.
    NextStep,
    /// It ends.
    Exit(ExitCause),
}

/// How a COMMIT ends, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It took place, and its caller knows.
    Acknowledged,
    /// It took place, and nobody said so.
    Unanswered,
    /// It did not take place, and nobody said so.
    Lost,
}

/// What a worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table at the head of this module says what each stands for")]
pub enum Step {
    Load(Job),
    MarkLocks,
    MarkReads,
    MarkWrites,
    MarkCommits(End),
    /// The hand-over, with what the worker learns of it, and whether the carrier took it.
    Leaves {
        answer: Answer,
        taken: bool,
    },
    SettleLocks,
    SettleReads,
    SettleWritesEnrollment,
    SettleLocksEnrollment,
    SettleWritesDelivery,
    SettleCommits(End),
    /// Somebody brings evidence for what is unknown, and this worker settles it.
    Evidence(Job, Answer),
    /// Somebody says of what is unknown that it was not sent, and this worker settles it, though it was
    /// sent, or still may be.
    Errs(Job),
    /// Somebody says of what has been denied that it was sent, and this worker hears it.
    Says(Job),
    Hears(Hears),
    /// The bug [`Bug::NotSentByTimer`].
    Timer(Job),
    /// The process dies, and starts again under a new name.
    Dies,
}

/// What a hand-over can end with, and whether the carrier has taken the message then.
const WIRE: [(Answer, bool); 5] = [
    (Answer::Accepted, true),
    (Answer::Unknown, true),
    (Answer::Unknown, false),
    (Answer::Refused, false),
    (Answer::NotSent, false),
];

impl At {
    /// Whether it stands before the wire with this very hand-over.
    pub(crate) fn may_still_send(&self, job: Job) -> bool {
        match self {
            Self::Loaded(own)
            | Self::MarkLocked(own)
            | Self::MarkRead { job: own, .. }
            | Self::MarkWritten(own)
            | Self::Marked(own) => *own == job,
            _ => false,
        }
    }
}

/// What this worker can do next, apart from faults.
pub(crate) fn steps(scene: &Scene, world: &World, place: usize, steps: &mut Vec<Step>) {
    match world.workers[place].at {
        At::Idle => {
            for (contact, step, message) in world.jobs(scene) {
                let Some(delivery) = message.delivery else { continue };
                let at = |attempt| Job { contact, step, attempt };
                match delivery.state {
                    DeliveryState::Queued => steps.push(Step::Load(at(delivery.attempt + 1))),
                    DeliveryState::Unknown if scene.evidence => {
                        let job = at(delivery.attempt);
                        steps
                            .extend(evidence(world, job).map(|answer| Step::Evidence(job, answer)));
                    }
                    DeliveryState::Sending if scene.has(Bug::NotSentByTimer) => {
                        steps.push(Step::Timer(at(delivery.attempt)));
                    }
                    _ => {}
                }
            }
        }
        At::Loaded(_) => {
            if scene.has(Bug::StatusReadWithoutLock) || locks::workflow_can_be_shared(world) {
                steps.push(Step::MarkLocks);
            }
        }
        At::MarkLocked(_) => steps.push(Step::MarkReads),
        At::MarkRead { job, before: false } => {
            if locks::delivery_is_free(world, job.contact, job.step) {
                steps.push(Step::MarkWrites);
            }
        }
        At::MarkRead { before: true, .. } | At::MarkWritten(_) => {
            commit(world, steps, Step::MarkCommits);
        }
        At::Marked(_) => {
            steps.extend(WIRE.map(|(answer, taken)| Step::Leaves { answer, taken }));
            if world.errors > 0 {
                steps.push(Step::Leaves { answer: Answer::NotSent, taken: true });
            }
        }
        At::Settling(..) => {
            if locks::workflow_can_be_shared(world) {
                steps.push(Step::SettleLocks);
            }
        }
        At::SettleLocked(..) => steps.push(Step::SettleReads),
        At::SettleDecided(job, _, change) => {
            if change.enrollment.is_some() {
                if locks::enrollment_is_free(world, job.contact) {
                    steps.push(Step::SettleWritesEnrollment);
                }
            } else if change.to == DeliveryState::Queued && !scene.has(Bug::RetryDoesNotReread) {
                if locks::enrollment_can_be_shared(world, job.contact) {
                    steps.push(Step::SettleLocksEnrollment);
                }
            } else if locks::delivery_is_free(world, job.contact, job.step) {
                steps.push(Step::SettleWritesDelivery);
            }
        }
        At::SettleEnrollment(job, ..) => {
            if locks::delivery_is_free(world, job.contact, job.step) {
                steps.push(Step::SettleWritesDelivery);
            }
        }
        At::SettleDelivery(..) => commit(world, steps, Step::SettleCommits),
        At::Hearing(job, _, hearing) => {
            let mut hears = Vec::new();
            hearing::steps(world, job, hearing, &mut hears);
            steps.extend(hears.into_iter().map(Step::Hears));
        }
    }
}

/// What somebody may choose to say to this worker: what is not true, and of what was denied that it is.
pub(crate) fn words(scene: &Scene, world: &World, place: usize, steps: &mut Vec<Step>) {
    if world.workers[place].at != At::Idle || scene.errors == 0 {
        return;
    }
    for (contact, step, message) in world.jobs(scene) {
        for (attempt, made) in (1..).zip(message.attempts).filter_map(|(n, a)| Some((n, a?))) {
            let job = Job { contact, step, attempt };
            if made.denied && made.taken && !made.said {
                steps.push(Step::Says(job));
            }
            let unknown = message.delivery.is_some_and(|delivery| {
                delivery.state == DeliveryState::Unknown && delivery.attempt == attempt
            });
            if world.errors > 0 && unknown && (made.taken || world.may_still_leave(job)) {
                steps.push(Step::Errs(job));
            }
        }
    }
}

/// The ways a COMMIT can end while answers may still be lost.
pub(crate) fn commit<A>(world: &World, actions: &mut Vec<A>, action: impl Fn(End) -> A) {
    actions.push(action(End::Acknowledged));
    if world.losses > 0 {
        actions.extend([action(End::Unanswered), action(End::Lost)]);
    }
}

/// What can be known for sure of an attempt whose outcome is unknown. It is true for good: that it was
/// not sent is said only when nobody can send it any more.
fn evidence(world: &World, job: Job) -> Option<Answer> {
    let attempt = world.contacts[job.contact].messages[job.step].attempts[job.attempt - 1]?;
    if attempt.taken {
        Some(Answer::Accepted)
    } else if world.may_still_leave(job) {
        None
    } else {
        Some(Answer::NotSent)
    }
}

/// Does it.
pub(crate) fn take(scene: &Scene, world: &mut World, place: usize, step: Step) {
    let worker = &mut world.workers[place];
    let name = WorkerName { place, life: worker.life };
    match (step, worker.at) {
        (Step::Dies, _) => {
            // What was not committed is undone: it stands nowhere but in the worker.
            *worker = Worker { life: worker.life + 1, at: At::Idle };
            world.deaths -= 1;
        }
        (Step::Load(job), At::Idle) => worker.at = At::Loaded(job),
        (Step::Evidence(job, answer), At::Idle) => {
            worker.at = At::Settling(job, Deed::Finish(answer));
        }
        (Step::Timer(job), At::Idle) => {
            worker.at = At::Settling(job, Deed::Finish(Answer::NotSent));
        }
        (Step::Errs(job), At::Idle) => {
            worker.at = At::Settling(job, Deed::Errs(Answer::NotSent));
            world.errors -= 1;
        }
        (Step::Says(job), At::Idle) => worker.at = At::Settling(job, Deed::Says),
        (Step::Hears(step), At::Hearing(job, deed, hearing)) => {
            world.workers[place].at = hearing::take(scene, world, (job, deed, hearing), step);
        }
        (Step::MarkLocks, At::Loaded(job)) => worker.at = At::MarkLocked(job),
        (Step::MarkReads, At::MarkLocked(job)) => {
            world.workers[place].at = read_before_mark(world, name, job);
        }
        (Step::MarkWrites, At::MarkRead { job, .. }) => {
            let delivery = world.contacts[job.contact].delivery(job.step);
            let as_read = delivery.is_some_and(|delivery| {
                delivery.state == DeliveryState::Queued
                    && delivery.attempt == job.attempt - 1
                    && (!delivery.said_sent || scene.has(Bug::MarkIgnoresSaidSent))
            });
            worker.at = if as_read { At::MarkWritten(job) } else { At::Idle };
        }
        (Step::MarkCommits(end), at) => mark_commits(scene, world, name, at, end),
        (Step::Leaves { answer, taken }, At::Marked(job)) => {
            let errs = answer == Answer::NotSent && taken;
            worker.at =
                At::Settling(job, if errs { Deed::Errs(answer) } else { Deed::Finish(answer) });
            world.errors -= u8::from(errs);
            leaves(world, name, job, answer, taken);
        }
        (Step::SettleLocks, At::Settling(job, deed)) => worker.at = At::SettleLocked(job, deed),
        (Step::SettleReads, At::SettleLocked(job, deed)) => {
            world.workers[place].at = if deed == Deed::Says {
                let read = Hearing::read(world, job);
                read.map_or(At::Idle, |read| At::Hearing(job, deed, read))
            } else if let Some(change) = decide(scene, world, job, deed) {
                At::SettleDecided(job, deed, change)
            } else if scene.errors > 0 && deed == Deed::Finish(Answer::Accepted) {
                // Where nobody errs, whoever has decided has decided that, too.
                At::Hearing(job, deed, Hearing::Late)
            } else {
                At::Idle
            };
        }
        (Step::SettleWritesEnrollment, At::SettleDecided(job, deed, change)) => {
            let contact = &world.contacts[job.contact];
            let as_read = contact.exit.is_none() && contact.position == job.step;
            worker.at = if as_read {
                At::SettleEnrollment(job, deed, change)
            } else {
                At::Settling(job, deed)
            };
        }
        (Step::SettleLocksEnrollment, At::SettleDecided(job, deed, change)) => {
            worker.at = if world.contacts[job.contact].exit.is_none() {
                At::SettleEnrollment(job, deed, change)
            } else {
                At::Settling(job, deed)
            };
        }
        (
            Step::SettleWritesDelivery,
            At::SettleDecided(job, deed, change) | At::SettleEnrollment(job, deed, change),
        ) => {
            let delivery = world.contacts[job.contact].delivery(job.step);
            let as_read = delivery.is_some_and(|delivery| {
                let same_kind = if change.read.state == DeliveryState::Queued {
                    delivery.state == DeliveryState::Queued
                } else {
                    delivery.state.is_on_the_wire()
                };
                let same_attempt = delivery.attempt == change.read.attempt;
                let same_word = delivery.said_sent == change.read.said_sent;
                same_kind
                    && (same_attempt || scene.has(Bug::SettleIgnoresAttempt))
                    && (same_word || scene.has(Bug::SettleIgnoresSaidSent))
            });
            worker.at = if as_read {
                At::SettleDelivery(job, deed, change)
            } else {
                At::Settling(job, deed)
            };
        }
        (Step::SettleCommits(end), At::SettleDelivery(job, deed, change)) => {
            settle_commits(scene, world, place, job, deed, change, end);
        }
        (step, at) => unreachable!("{step:?} at {at:?}"),
    }
}

/// Whether the delivery may be marked, as `start_attempts` finds it in the statement after the lock.
fn read_before_mark(world: &World, name: WorkerName, job: Job) -> At {
    let contact = &world.contacts[job.contact];
    let message = &contact.messages[job.step];
    let Some(delivery) = message.delivery else { return At::Idle };
    let own = message.attempts[job.attempt - 1].is_some_and(|attempt| attempt.worker == name);
    if own && delivery.state == DeliveryState::Sending && delivery.attempt == job.attempt {
        return At::MarkRead { job, before: true };
    }
    if delivery.state != DeliveryState::Queued || delivery.attempt + 1 != job.attempt {
        return At::Idle;
    }
    if delivery.said_sent || world.closed || contact.exit.is_some() {
        return At::Settling(Job { attempt: delivery.attempt, ..job }, Deed::GiveUp);
    }
    At::MarkRead { job, before: false }
}

fn mark_commits(scene: &Scene, world: &mut World, name: WorkerName, at: At, end: End) {
    let (job, writes) = match at {
        At::MarkWritten(job) => (job, true),
        At::MarkRead { job, before: true } => (job, false),
        at => unreachable!("no mark to commit at {at:?}"),
    };
    if writes && end != End::Lost {
        world.set_state(job.contact, job.step, DeliveryState::Sending);
        let message = &mut world.contacts[job.contact].messages[job.step];
        message.delivery.as_mut().expect("it is written").attempt = job.attempt;
        let made =
            Attempt { worker: name, outcome: None, taken: false, denied: false, said: false };
        message.attempts[job.attempt - 1] = Some(made);
        world.wrongs.late |= world.promises.forbid(job);
        world.wrongs.again |= world.is_said(job.contact, job.step);
    }
    if end != End::Acknowledged {
        world.losses -= 1;
    }
    let sends = end == End::Acknowledged || scene.has(Bug::SendsUnacknowledged);
    world.workers[name.place].at = if sends { At::Marked(job) } else { At::Loaded(job) };
}

/// The hand-over. What others can ever see of it is whether the carrier took the message, so it is one
/// action, however long it takes: a worker that is slow stands before it, or behind it.
fn leaves(world: &mut World, name: WorkerName, job: Job, answer: Answer, taken: bool) {
    let message = &mut world.contacts[job.contact].messages[job.step];
    let attempt = message.attempts[job.attempt - 1].as_mut();
    let own = attempt.filter(|attempt| attempt.worker == name);
    // Who has denied what had not left yet has misled whoever lists what is in flight, too.
    let denied = own.as_ref().is_some_and(|attempt| attempt.denied);
    if taken {
        if let Some(attempt) = own {
            attempt.taken = true;
        }
        if !denied {
            message.taken = (message.taken + 1).min(2);
        }
    }
    if (taken || answer != Answer::NotSent) && !denied {
        world.wrongs.late |= world.promises.forbid(job);
    }
}

/// What a settlement writes: `decide` of `finish_attempts` and of `give_up`. `None`: it was settled
/// before, and the transaction ends with nothing written.
pub(crate) fn decide(scene: &Scene, world: &World, job: Job, deed: Deed) -> Option<Change> {
    let contact = &world.contacts[job.contact];
    let read = contact.delivery(job.step)?;
    let same_attempt = read.attempt == job.attempt || scene.has(Bug::SettleIgnoresAttempt);
    let live = world.is_live(job);
    let change = |to, enrollment| Some(Change { read, to, enrollment, taken: None });
    let (Deed::Finish(answer) | Deed::Errs(answer)) = deed else {
        if !same_attempt || read.state != DeliveryState::Queued {
            return None;
        }
        if read.said_sent {
            return Some(need_not_be_sent(scene, world, job, read));
        }
        return if live { None } else { change(DeliveryState::Cancelled, None) };
    };
    if !same_attempt || !read.state.is_on_the_wire() {
        return None;
    }
    let exit = |cause| live.then_some(EnrollmentTo::Exit(cause));
    match answer.outcome() {
        AttemptOutcome::Refused(_) | AttemptOutcome::NotSent { .. } if read.said_sent => {
            Some(need_not_be_sent(scene, world, job, read))
        }
        AttemptOutcome::Accepted { .. } => {
            change(DeliveryState::Sent, live.then(|| go_on(scene, job.step)))
        }
        AttemptOutcome::Refused(_) => change(DeliveryState::Failed, exit(ExitCause::Failed)),
        AttemptOutcome::NotSent { .. } => {
            let tries_left = read.attempt < scene.retry.max_attempts as usize;
            let looks = !tries_left || !scene.has(Bug::RetryDoesNotReread);
            if looks && !live {
                change(DeliveryState::Cancelled, None)
            } else if tries_left {
                change(DeliveryState::Queued, None)
            } else {
                change(DeliveryState::Failed, exit(ExitCause::Failed))
            }
        }
        AttemptOutcome::Unknown(_) if read.state == DeliveryState::Unknown => None,
        AttemptOutcome::Unknown(_) => change(DeliveryState::Unknown, None),
    }
}

/// `Situation::need_not_be_sent`: sent by an earlier attempt, or given back when what it takes up was sent.
fn need_not_be_sent(scene: &Scene, world: &World, job: Job, read: Delivery) -> Change {
    let attempts = world.contacts[job.contact].messages[job.step].attempts;
    let taken = (1..).zip(attempts).find_map(|(number, attempt)| {
        let attempt = attempt.filter(|attempt| attempt.said)?;
        matches!(attempt.outcome?, Answer::Refused | Answer::NotSent).then_some(number)
    });
    let releases = scene.has(Bug::GivingUpReleases) && read.state == DeliveryState::Queued;
    let taken = taken.filter(|_| !releases);
    let to = if taken.is_some() { DeliveryState::Sent } else { DeliveryState::Cancelled };
    let enrollment = world.is_live(job).then(|| go_on(scene, job.step));
    Change { read, to, enrollment, taken }
}

/// Where a live enrollment goes behind this step.
pub(crate) fn go_on(scene: &Scene, step: usize) -> EnrollmentTo {
    if step + 1 < scene.steps {
        EnrollmentTo::NextStep
    } else {
        EnrollmentTo::Exit(ExitCause::Finished)
    }
}

fn settle_commits(
    scene: &Scene,
    world: &mut World,
    place: usize,
    job: Job,
    deed: Deed,
    change: Change,
    end: End,
) {
    if end != End::Lost {
        apply(scene, world, job, deed, change);
    }
    world.workers[place].at = if end == End::Acknowledged {
        At::Idle
    } else {
        world.losses -= 1;
        // The same batch again: it finds what it has done, or does it.
        At::Settling(job, deed)
    };
}

fn apply(scene: &Scene, world: &mut World, job: Job, deed: Deed, change: Change) {
    let Job { contact, step, .. } = job;
    let message = &mut world.contacts[contact].messages[step];
    let given_back = change.to.is_terminal() && change.to != DeliveryState::Sent;
    world.wrongs.given_back |= given_back && message.is_said();
    if let Deed::Finish(answer) | Deed::Errs(answer) = deed
        && let Some(attempt) = &mut message.attempts[change.read.attempt - 1]
    {
        attempt.outcome = Some(answer);
    }
    if let Deed::Errs(_) = deed {
        message.deny(change.read.attempt);
    }
    if let Some(taken) = change.taken {
        message.believe(taken);
    }
    world.set_state(contact, step, change.to);
    if change.to.is_terminal() {
        let settlement = if change.to == DeliveryState::Sent {
            Settlement::sent(hold(step), 1)
        } else {
            Settlement::unsent(hold(step))
        };
        if settlement.captured.segments > 0 {
            world.capture(contact, step, settlement.captured.micros);
        }
        if settlement.released.segments > 0 {
            world.release(contact, step, settlement.released.micros);
        }
    }
    match change.enrollment {
        None => {}
        Some(EnrollmentTo::Exit(cause)) => world.end_enrollment(scene, contact, cause),
        Some(EnrollmentTo::NextStep) => {
            let row = &mut world.contacts[contact];
            row.position = step + 1;
            row.messages[step + 1].queue();
        }
    }
}
