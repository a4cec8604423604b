//! Hearing that an attempt was sent of which it had been decided that it was not. One action for each
//! statement of `store/src/ops/hearing.rs`, for `resolve_unknown` and for what comes too late to
//! `finish_attempts`.
//!
//! | action | statement |
//! |---|---|
//! | [`Step::SettleLocks`], [`Step::SettleReads`] | `situation::lock_workflows`, `situation.sql` |
//! | [`Hears::ReadsAgain`] | `note_late`: `situation.sql` once more, since the outcome decides nothing |
//! | [`Hears::ReadsAttempts`] | `evidence/attempts.sql`: what was decided about it; then `beside` |
//! | [`Step::SettleWritesEnrollment`], ... | it waits: overruled, and written like any settlement |
//! | [`Hears::WritesSaidSent`] | it does not: `said_sent.sql` writes the word on its delivery |
//! | [`Hears::LooksForRequeued`] | `said_sent_requeued.sql`, its first part: what takes it up, as it begins |
//! | [`Hears::WritesRequeued`] | `said_sent_requeued.sql`, the rest: writes the word on that, too; then once more |
//! | [`Hears::Commits`] | COMMIT; from then on no mark of the message may pass |
//!
//! What takes it up is looked for again behind each such write, until nothing more is found: a
//! snapshot does not show what was requeued while the statement waited for whoever did it.
//!
//! The evidence itself is inserted in between, and `attempts` are written in front of the delivery; nobody
//! waits for these rows but who is undone by the delivery's compare-and-set. That an attempt was sent of
//! which nothing is decided yet is [`Step::Evidence`].
//!
//! [`Step::SettleLocks`]: crate::worker::Step::SettleLocks
//! [`Step::SettleReads`]: crate::worker::Step::SettleReads
//! [`Step::SettleWritesEnrollment`]: crate::worker::Step::SettleWritesEnrollment
//! [`Step::Evidence`]: crate::worker::Step::Evidence

use dripline_domain::delivery::DeliveryState;
use dripline_domain::evidence::{Effect, Evidence, Finding};

use crate::locks;
use crate::scene::{Bug, Scene};
use crate::worker::{At, Change, Deed, End, commit, go_on};
use crate::world::{Answer, CONTACTS, Delivery, Job, World};

/// Where a transaction stands that hears it. The workflow is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hearing {
    /// An outcome came too late to decide anything.
    Late,
    /// The delivery is read.
    Read {
        /// As it stood.
        read: Delivery,
        /// Whether its enrollment was live, and stood at this step.
        live: bool,
    },
    /// The word contradicts what was decided.
    Contradicts,
    /// The word is written.
    Written(Told),
    /// And these are seen to take the delivery up, without the word.
    Seen(Told, [bool; CONTACTS]),
    /// And nothing more was found.
    Done(Told),
}

/// On what the word is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// On the delivery that it speaks of; else it stood there before.
    own: bool,
    /// On what takes it up, by the enrollments.
    requeued: [bool; CONTACTS],
}

/// What such a transaction does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table at the head of this module says what each stands for")]
pub enum Hears {
    ReadsAgain,
    ReadsAttempts,
    WritesSaidSent,
    LooksForRequeued,
    WritesRequeued,
    Commits(End),
}

impl Hearing {
    /// The first statement of it: where the delivery stands.
    pub(crate) fn read(world: &World, job: Job) -> Option<Self> {
        let contact = &world.contacts[job.contact];
        let read = contact.delivery(job.step)?;
        Some(Self::Read { read, live: world.is_live(job) })
    }

    /// Whether it has written, and so locked, the delivery that it speaks of, or what takes it up.
    pub(crate) fn has_written(&self, is_spoken_of: bool, contact: usize) -> bool {
        match self {
            Self::Late | Self::Read { .. } | Self::Contradicts => false,
            Self::Written(told) | Self::Seen(told, _) | Self::Done(told) => {
                is_spoken_of && told.own || told.requeued[contact]
            }
        }
    }
}

/// What it can do next.
pub(crate) fn steps(world: &World, job: Job, hearing: Hearing, steps: &mut Vec<Hears>) {
    match hearing {
        Hearing::Late => steps.push(Hears::ReadsAgain),
        Hearing::Read { .. } => steps.push(Hears::ReadsAttempts),
        Hearing::Contradicts => {
            let delivery = world.contacts[job.contact].delivery(job.step);
            let told = delivery.is_some_and(|delivery| delivery.said_sent);
            if told || locks::delivery_is_free(world, job.contact, job.step) {
                steps.push(Hears::WritesSaidSent);
            }
        }
        Hearing::Written(_) => steps.push(Hears::LooksForRequeued),
        Hearing::Seen(_, seen) => {
            let mut seen = (0..CONTACTS).filter(|contact| seen[*contact]);
            if seen.all(|contact| locks::delivery_is_free(world, contact, job.step)) {
                steps.push(Hears::WritesRequeued);
            }
        }
        Hearing::Done(_) => commit(world, steps, Hears::Commits),
    }
}

/// Does it. Gives where the worker stands then.
pub(crate) fn take(
    scene: &Scene,
    world: &mut World,
    (job, deed, hearing): (Job, Deed, Hearing),
    step: Hears,
) -> At {
    let next = match (step, hearing) {
        (Hears::ReadsAgain, Hearing::Late) => match Hearing::read(world, job) {
            Some(read) => read,
            None => return At::Idle,
        },
        (Hears::ReadsAttempts, Hearing::Read { read, live }) => {
            return weigh(scene, world, job, deed, read, live);
        }
        (Hears::WritesSaidSent, Hearing::Contradicts) => {
            let message = &world.contacts[job.contact].messages[job.step];
            let decided = message.attempts[job.attempt - 1].and_then(|attempt| attempt.outcome);
            let denied = matches!(decided, Some(Answer::Refused | Answer::NotSent));
            let told = message.delivery.is_some_and(|delivery| delivery.said_sent);
            Hearing::Written(Told { own: denied && !told, ..Told::default() })
        }
        (Hears::LooksForRequeued, Hearing::Written(told)) => {
            let seen = untold(world, job, told);
            if seen.contains(&true) { Hearing::Seen(told, seen) } else { Hearing::Done(told) }
        }
        (Hears::WritesRequeued, Hearing::Seen(Told { own, requeued }, seen)) => {
            let still = untold(world, job, Told { own, requeued });
            let requeued = std::array::from_fn(|c| requeued[c] || seen[c] && still[c]);
            let told = Told { own, requeued };
            if scene.has(Bug::RequeuedLookedForOnce) {
                Hearing::Done(told)
            } else {
                Hearing::Written(told)
            }
        }
        (Hears::Commits(end), Hearing::Done(told)) => {
            if end != End::Lost {
                tell(world, job, told);
            }
            if end == End::Acknowledged {
                return At::Idle;
            }
            world.losses -= 1;
            return At::Settling(job, deed);
        }
        (step, at) => unreachable!("{step:?} at {at:?}"),
    };
    At::Hearing(job, deed, next)
}

/// What the word does: `SpokenOf::stands`, and what follows from it.
fn weigh(scene: &Scene, world: &World, job: Job, deed: Deed, read: Delivery, live: bool) -> At {
    let attempt = world.contacts[job.contact].messages[job.step].attempts[job.attempt - 1];
    let decided = match attempt.and_then(|attempt| attempt.outcome) {
        Some(Answer::Accepted) => Finding::Sent,
        Some(Answer::Refused | Answer::NotSent) => Finding::NotSent,
        // It is still to be decided, which is not done here.
        Some(Answer::Unknown) | None => return At::Idle,
    };
    if read.attempt == job.attempt && read.state.is_on_the_wire() {
        // It was decided between the two statements: undone, and heard again.
        return At::Settling(job, deed);
    }
    match Evidence::Receipt.beside(decided, read.state == DeliveryState::Queued) {
        Effect::Agreed | Effect::Decided => At::Idle,
        Effect::Contradicted => At::Hearing(job, deed, Hearing::Contradicts),
        Effect::Overruled => {
            let enrollment = live.then(|| go_on(scene, job.step));
            let taken = Some(job.attempt);
            let change = Change { read, to: DeliveryState::Sent, enrollment, taken };
            At::SettleDecided(job, deed, change)
        }
    }
}

/// What takes up the failed delivery, and what takes up that, as far as nobody has told it, this very
/// transaction neither.
fn untold(world: &World, job: Job, told: Told) -> [bool; CONTACTS] {
    let delivery = world.contacts[job.contact].delivery(job.step);
    let failed = delivery.is_some_and(|delivery| {
        delivery.state == DeliveryState::Failed && (delivery.said_sent || told.own)
    });
    let mut untold = [false; CONTACTS];
    let mut last = failed.then_some(job.contact);
    while let Some(earlier) = last {
        last = (0..world.enrolled).find(|next| world.contacts[*next].takes_up == Some(earlier));
        if let Some(next) = last {
            let delivery = world.contacts[next].delivery(job.step);
            untold[next] = delivery.is_some_and(|delivery| {
                !delivery.said_sent && delivery.state != DeliveryState::Sent
            }) && !told.requeued[next];
        }
    }
    untold
}

fn tell(world: &mut World, job: Job, told: Told) {
    for (contact, row) in world.contacts.iter_mut().enumerate() {
        if (contact == job.contact && told.own) || told.requeued[contact] {
            let delivery = row.messages[job.step].delivery.as_mut();
            delivery.expect("it is locked").said_sent = true;
        }
    }
    let attempt = &mut world.contacts[job.contact].messages[job.step].attempts[job.attempt - 1];
    attempt.as_mut().expect("it is spoken of").said = true;
}
