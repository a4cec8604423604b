//! What one exploration is about: how many of everything, which faults, and which deliberate bug.

use dripline_domain::retry::RetryPolicy;

use crate::world::{ATTEMPTS, CONTACTS, STEPS};

/// One exploration: who is there, what may go wrong, and what was broken on purpose.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether somebody is on the scene")]
pub struct Scene {
    /// What it shows, for people.
    pub name: &'static str,
    /// Contacts enrolled, at most [`CONTACTS`].
    pub contacts: usize,
    /// Steps of the workflow, at most [`STEPS`].
    pub steps: usize,
    /// Workers that send, at most two.
    pub workers: usize,
    /// Whether somebody pauses the workflow, at any moment. Their process may die.
    pub pause: bool,
    /// Enrollments in one chunk of the purge.
    pub chunk: usize,
    /// Whether somebody removes the first contact, at any moment.
    pub removal: bool,
    /// Whether a worker may be taken for dead while it lives: its session was cut and its heartbeat
    /// is late.
    pub wrong_burials: bool,
    /// Whether somebody brings evidence for what is unknown.
    pub evidence: bool,
    /// How often somebody falsely says that an attempt was not sent: the carrier that has taken it, or a
    /// witness. Of each such attempt that the carrier has taken somebody may say, at any moment behind
    /// that, that it was sent.
    pub errors: u8,
    /// How often somebody requeues a failed message, at any moment.
    pub requeues: u8,
    /// How often a worker's process dies. It comes back under a new name.
    pub deaths: u8,
    /// How often a COMMIT gets no answer, be it that it took place or not.
    pub losses: u8,
    /// Hand-overs of one delivery in all.
    pub retry: RetryPolicy,
    /// What was broken on purpose.
    pub bug: Option<Bug>,
}

/// A mistake that looks harmless. The model must find what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The mark reads whether its workflow is open, without locking it.
    StatusReadWithoutLock,
    /// An attempt that was not sent goes back into the queue without another look at its workflow and
    /// enrollment.
    RetryDoesNotReread,
    /// What has been `sending` for long is taken for not sent.
    NotSentByTimer,
    /// A pause lists as in flight what is `sending`, and forgets that `unknown` may still leave.
    InFlightByStateOnly,
    /// A settlement does not compare the attempt that it settles.
    SettleIgnoresAttempt,
    /// The reaper puts what a dead worker was sending back into the queue.
    ReaperRequeues,
    /// A worker sends although it did not hear that its mark was committed.
    SendsUnacknowledged,
    /// The purge gives back what is on the wire as well.
    PurgeReleasesInFlight,
    /// The mark reads whether somebody says that the message was sent, and does not compare it.
    MarkIgnoresSaidSent,
    /// A settlement does not compare whether somebody had said that the message was sent.
    SettleIgnoresSaidSent,
    /// What was sent, as somebody says, is given back by giving up.
    GivingUpReleases,
    /// A requeue reads whether somebody says that the failed message was sent, without locking it.
    RequeueReadsWithoutLock,
    /// What takes up a failed message is looked for once, and what is requeued meanwhile is not seen.
    RequeuedLookedForOnce,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::StatusReadWithoutLock,
        Self::RetryDoesNotReread,
        Self::NotSentByTimer,
        Self::InFlightByStateOnly,
        Self::SettleIgnoresAttempt,
        Self::ReaperRequeues,
        Self::SendsUnacknowledged,
        Self::PurgeReleasesInFlight,
        Self::MarkIgnoresSaidSent,
        Self::SettleIgnoresSaidSent,
        Self::GivingUpReleases,
        Self::RequeueReadsWithoutLock,
        Self::RequeuedLookedForOnce,
    ];
}

/// One contact, one step, one worker and nothing that goes wrong.
const CALM: Scene = Scene {
    name: "calm",
    contacts: 1,
    steps: 1,
    workers: 1,
    pause: false,
    chunk: 1,
    removal: false,
    wrong_burials: false,
    evidence: false,
    errors: 0,
    requeues: 0,
    deaths: 0,
    losses: 0,
    retry: TWO_ATTEMPTS,
    bug: None,
};

const TWO_ATTEMPTS: RetryPolicy = attempts(2);

const fn attempts(max_attempts: u32) -> RetryPolicy {
    RetryPolicy {
        max_attempts,
        first: std::time::Duration::from_secs(5),
        ceiling: std::time::Duration::from_mins(15),
    }
}

impl Scene {
    /// Every scene that the tests explore. Together they have every pair of processes at work on the
    /// same rows, under every fault; all of it at once would be too many states to see the end of.
    pub fn all() -> Vec<Self> {
        let mut scenes = vec![
            Self {
                name: "two workers fight for one message, and the workflow is paused",
                workers: 2,
                pause: true,
                wrong_burials: true,
                evidence: true,
                deaths: 1,
                losses: 1,
                ..CALM
            },
            Self {
                name: "two workers fight for one message, and its contact is removed",
                workers: 2,
                removal: true,
                wrong_burials: true,
                evidence: true,
                deaths: 1,
                losses: 1,
                ..CALM
            },
            Self {
                name: "nobody ever learns what became of a dead worker's message",
                workers: 2,
                pause: true,
                deaths: 1,
                losses: 1,
                ..CALM
            },
            Self {
                name: "one contact is removed while the workflow is paused",
                pause: true,
                removal: true,
                wrong_burials: true,
                evidence: true,
                deaths: 1,
                losses: 1,
                ..CALM
            },
            Self {
                name: "two contacts are purged in chunks of one",
                contacts: 2,
                pause: true,
                evidence: true,
                losses: 1,
                ..CALM
            },
            Self {
                name: "two contacts are purged in one chunk, while one of them is removed",
                contacts: 2,
                pause: true,
                chunk: 2,
                removal: true,
                ..CALM
            },
            Self {
                name: "a contact goes on to the second step while the workflow is paused",
                steps: 2,
                workers: 2,
                pause: true,
                ..CALM
            },
            Self {
                name: "a contact goes on to the second step while it is removed",
                steps: 2,
                removal: true,
                wrong_burials: true,
                evidence: true,
                deaths: 1,
                losses: 1,
                ..CALM
            },
        ];
        scenes.extend(Self::of_words());
        for scene in &scenes {
            let enrolments = scene.contacts + usize::from(scene.requeues);
            let attempts = scene.retry.max_attempts as usize;
            let fits = enrolments <= CONTACTS && scene.steps <= STEPS && attempts <= ATTEMPTS;
            // A removal's promise is about the first enrollment, not about the contact.
            assert!(fits && !(scene.removal && scene.requeues > 0), "{}", scene.name);
        }
        scenes
    }

    /// Those where somebody errs, and somebody else says so.
    fn of_words() -> [Self; 9] {
        [
            Self {
                name: "somebody is wrong about a worker that lives, and it comes back",
                workers: 2,
                wrong_burials: true,
                evidence: true,
                errors: 1,
                ..CALM
            },
            Self {
                name: "what the carrier denied is said to be sent, while it is tried again and again",
                workers: 2,
                errors: 1,
                retry: attempts(3),
                ..CALM
            },
            Self {
                name: "what the carrier denied is said to be sent, and answers are lost",
                workers: 2,
                errors: 1,
                losses: 1,
                ..CALM
            },
            Self {
                name: "what the carrier denied is said to be sent while the workflow is paused",
                workers: 2,
                pause: true,
                errors: 1,
                ..CALM
            },
            Self {
                name: "what the carrier denied is said to be sent while its contact is removed",
                workers: 2,
                removal: true,
                errors: 1,
                retry: attempts(3),
                ..CALM
            },
            Self {
                name: "what the carrier denied is said to be sent while it is requeued",
                workers: 2,
                errors: 1,
                requeues: 1,
                losses: 1,
                retry: attempts(1),
                ..CALM
            },
            Self {
                name: "what was requeued is said to be sent, and goes on to the second step",
                steps: 2,
                workers: 2,
                errors: 1,
                requeues: 1,
                retry: attempts(1),
                ..CALM
            },
            Self {
                name: "what was requeued is said to be sent while it is requeued once more",
                workers: 2,
                errors: 1,
                requeues: 2,
                retry: attempts(1),
                ..CALM
            },
            Self {
                name: "what was requeued is said to be sent while the workflow is paused",
                workers: 2,
                pause: true,
                errors: 1,
                requeues: 1,
                retry: attempts(1),
                ..CALM
            },
        ]
    }

    /// The same with something broken on purpose.
    #[must_use]
    pub fn with(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }

    /// Whether this is broken.
    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}
