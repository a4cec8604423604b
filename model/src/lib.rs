//! A small model of how a message leaves: mark, the wire, settle, pause, purge, removal, words that come
//! after a decision, requeues, and what may go wrong between any two statements. Explored exhaustively by
//! the tests, with [`stateright`].
//!
//! The real transactions live in `store/src/ops`; the model has one action for each of their statements
//! (see the tables in [`worker`], [`hearing`], [`closing`], [`removal`] and [`requeue`]), takes row locks as
//! they do ([`locks`]), and decides with the domain's own types. Beside the transactions of a caller there
//! are:
//!
//! | action | stands for |
//! |---|---|
//! | [`Action::Reaps`] | `orphaned_attempts.sql`, one statement that locks what it changes, and its COMMIT |
//! | [`worker::Step::Evidence`] | `finish_attempts` for an `unknown` attempt, with an outcome that is known |
//! | [`worker::Step::Errs`] | the same, with "not sent", which is not true |
//! | [`worker::Step::Dies`], [`closing::Pause::Dies`] | `kill -9`: the transaction is undone, its locks are gone |
//! | [`worker::End`] | a COMMIT whose answer is lost, be it that it took place or not |
//!
//! What the model leaves out, and why that hides nothing it looks for:
//!
//! - **Tickets.** A ticket is a wake-up call that may be lost, doubled or late. Here any worker may be
//!   woken for any queued delivery at any time, which is every ticket there could be.
//! - **The reaper's knowledge.** It looks for old heartbeats and free locks; here it may also be wrong
//!   about a worker that lives ([`Scene::wrong_burials`]).
//! - **Time.** Nothing here waits; whatever could happen later may happen now.
//! - **Gates.** The advisory lock in front of a workflow's row makes waiting fair, and excludes nobody
//!   whom the row's own lock does not exclude.
//! - **Batches.** A batch is one message: two in one transaction share its fate, which is that of each.
//! - **Opt-outs, texts that have grown, expiry.** They are decided under the same locks, as further
//!   reasons not to mark or not to queue again.
//! - **Presumption.** That a message is presumed sent at a deadline is a decision about money, and no
//!   evidence: the carrier need not agree with it.
//! - **Repetitions under a key.** The carrier takes them for one request. Their mark is not that of
//!   `start_attempts`, and what is shown of words here is not shown of it.
//! - **A late "not sent".** It is recorded, and moves nothing.
//!
//! A purge and a removal cancel what they find queued, whatever was said of it. The store leaves no word on what is
//! queued: it hears such a word again from the start, and settles at once. The model writes it down there, so that
//! marks and settlements have to do without that; it promises only that no settlement gives back what was said to
//! be sent.
//!
//! A statement that locks several rows takes them together or waits for them together. Evidence is
//! true: "not sent" is said only of what has not left and cannot any more, but for [`Scene::errors`] words.
//! What these deny the carrier's log cannot agree with, until somebody who knows better is believed: so
//! long it is not counted ([`world::Message::taken`]), and everything else must be as ever. "Sent" is
//! never false.
//!
//! To add a statement: add it to the `Step` of its process, with the lock it holds to [`locks`]. To add a
//! mistake that the model must find: add it to [`Bug`], and the tests ask for a counterexample.

use stateright::{Model, Property};

pub mod closing;
pub mod hearing;
pub mod locks;
pub mod properties;
pub mod removal;
pub mod requeue;
mod scene;
pub mod worker;
pub mod world;

pub use scene::{Bug, Scene};

use closing::{Chunk, Operator, Pause};
use dripline_domain::delivery::DeliveryState;
use removal::Removal;
use requeue::Requeue;
use world::{Answer, World};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Worker number `.0` takes its next step.
    Worker(usize, worker::Step),
    /// The process that pauses takes its next step.
    Pause(Pause),
    /// Another process goes on with the purge.
    Sweep(Chunk),
    /// The process that removes takes its next step.
    Removal(Removal),
    /// The process that requeues takes its next step.
    Requeue(Requeue),
    /// The reaper makes an attempt unknown whose worker is gone, or is taken for it.
    Reaps {
        /// Whose.
        contact: usize,
        /// Which step.
        step: usize,
    },
}

impl Scene {
    /// What will happen sooner or later if nothing else does: no faults, and nobody begins anything.
    fn work(&self, world: &World, actions: &mut Vec<Action>) {
        let mut steps = Vec::new();
        for place in 0..self.workers {
            worker::steps(self, world, place, &mut steps);
            actions.extend(steps.drain(..).map(|step| Action::Worker(place, step)));
        }
        let mut pause = Vec::new();
        closing::steps(self, world, &mut pause);
        actions.extend(pause.into_iter().map(Action::Pause));
        let mut sweep = Vec::new();
        closing::chunk_steps(self, world, &world.sweep, &mut sweep);
        actions.extend(sweep.into_iter().map(Action::Sweep));
        let mut removal = Vec::new();
        removal::steps(world, &mut removal);
        actions.extend(removal.into_iter().map(Action::Removal));
        let mut requeue = Vec::new();
        requeue::steps(self, world, &mut requeue);
        actions.extend(requeue.into_iter().map(Action::Requeue));
        self.reaps(world, false, actions);
    }

    /// What somebody may choose to do, and what may go wrong.
    fn chances(&self, world: &World, actions: &mut Vec<Action>) {
        if closing::may_begin(self, world) {
            actions.push(Action::Pause(Pause::RaisesEpoch));
        }
        if removal::may_begin(self, world) {
            actions.push(Action::Removal(Removal::SharesWorkflow));
        }
        let failed = requeue::may_begin(self, world);
        actions.extend(failed.map(|failed| Action::Requeue(Requeue::SharesWorkflow(failed))));
        let mut words = Vec::new();
        for place in 0..self.workers {
            worker::words(self, world, place, &mut words);
            actions.extend(words.drain(..).map(|word| Action::Worker(place, word)));
        }
        if world.deaths > 0 {
            let busy = (0..self.workers).filter(|p| world.workers[*p].at != worker::At::Idle);
            actions.extend(busy.map(|place| Action::Worker(place, worker::Step::Dies)));
        }
        if !matches!(world.operator, Operator::Waiting | Operator::Gone) {
            actions.push(Action::Pause(Pause::Dies));
        }
        if self.wrong_burials {
            self.reaps(world, true, actions);
        }
    }

    /// Attempts without an outcome: those of the dead, or those of the living.
    fn reaps(&self, world: &World, of_the_living: bool, actions: &mut Vec<Action>) {
        for (contact, step, message) in world.jobs(self) {
            let Some(delivery) = message.delivery else { continue };
            if delivery.state != DeliveryState::Sending
                || !locks::delivery_is_free(world, contact, step)
            {
                continue;
            }
            let attempt = message.attempts[delivery.attempt - 1];
            let Some(attempt) = attempt.filter(|attempt| attempt.outcome.is_none()) else {
                continue;
            };
            let lives = world.workers[attempt.worker.place].life == attempt.worker.life;
            if lives == of_the_living {
                actions.push(Action::Reaps { contact, step });
            }
        }
    }

    /// Whether nothing is left to do.
    pub fn is_quiet(&self, world: &World) -> bool {
        let mut work = Vec::new();
        self.work(world, &mut work);
        work.is_empty()
    }

    /// The reaper's statement and its COMMIT.
    fn reap(&self, world: &mut World, contact: usize, step: usize) {
        let message = &mut world.contacts[contact].messages[step];
        let delivery = message.delivery.expect("it is sending");
        let attempt = &mut message.attempts[delivery.attempt - 1];
        let attempt = attempt.as_mut().expect("what is sending has its attempt");
        if self.has(Bug::ReaperRequeues) && delivery.attempt < self.retry.max_attempts as usize {
            attempt.outcome = Some(Answer::NotSent);
            world.set_state(contact, step, DeliveryState::Queued);
        } else {
            attempt.outcome = Some(Answer::Unknown);
            world.set_state(contact, step, DeliveryState::Unknown);
        }
    }
}

impl Model for Scene {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::enrolled(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.work(world, actions);
        self.chances(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Worker(place, step) => worker::take(self, &mut next, place, step),
            Action::Pause(step) => closing::take(self, &mut next, step),
            Action::Sweep(step) => {
                next.sweep = closing::take_chunk(self, &mut next, world.sweep, step);
            }
            Action::Removal(step) => removal::take(self, &mut next, step),
            Action::Requeue(step) => requeue::take(self, &mut next, step),
            Action::Reaps { contact, step } => self.reap(&mut next, contact, step),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
