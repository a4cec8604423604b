//! The requeue of a failed message, in one transaction. One action for each statement of
//! `store/src/ops/requeue.rs`.
//!
//! | action | statement |
//! |---|---|
//! | [`Requeue::SharesWorkflow`] | `situation::share_workflows`: the workflow `FOR SHARE` |
//! | [`Requeue::LocksFailed`] | `sort_out_deliveries`: the failed delivery `FOR SHARE`; `workflow.check` |
//! | [`Requeue::Commits`] | `enrollment/requeue.sql`, the hold and the balance, COMMIT |
//!
//! Refused is what somebody says was sent, what was requeued, and all while the workflow is closed. There is
//! one such process: two are kept apart by the unique key of what they take up.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::ledger::EntryKind;

use crate::locks;
use crate::scene::{Bug, Scene};
use crate::worker::{End, commit};
use crate::world::{Contact, World, hold, remaining};

/// The process that requeues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Requeuer {
    /// It has not begun, or has ended.
    #[default]
    Waiting,
    /// The workflow is shared.
    Shared(Failed),
    /// The failed delivery is shared.
    Locked(Failed),
    /// The bug [`Bug::RequeueReadsWithoutLock`]: it is only read.
    Read(Failed),
}

/// The failed delivery that is to be taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Failed {
    /// Its enrollment.
    pub contact: usize,
    /// Its step.
    pub step: usize,
}

/// What the requeuing process does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table at the head of this module says what each stands for")]
pub enum Requeue {
    SharesWorkflow(Failed),
    LocksFailed,
    Commits(End),
}

impl Requeuer {
    pub(crate) fn is_in_transaction(&self) -> bool {
        *self != Self::Waiting
    }

    pub(crate) fn has_locked(&self, contact: usize, step: usize) -> bool {
        *self == Self::Locked(Failed { contact, step })
    }
}

/// What the requeuing process can do next; to begin is its choice.
pub(crate) fn steps(scene: &Scene, world: &World, steps: &mut Vec<Requeue>) {
    match world.requeuer {
        Requeuer::Waiting => {}
        Requeuer::Shared(Failed { contact, step }) => {
            let locks = !scene.has(Bug::RequeueReadsWithoutLock);
            if !locks || locks::delivery_is_free(world, contact, step) {
                steps.push(Requeue::LocksFailed);
            }
        }
        Requeuer::Locked(_) | Requeuer::Read(_) => commit(world, steps, Requeue::Commits),
    }
}

/// The failed deliveries that the requeuing process could begin with now.
pub(crate) fn may_begin<'a>(
    scene: &'a Scene,
    world: &'a World,
) -> impl Iterator<Item = Failed> + 'a {
    let begins = world.requeues > 0
        && world.requeuer == Requeuer::Waiting
        && locks::workflow_can_be_shared(world);
    let failed = world.jobs(scene).filter(move |(_, _, message)| {
        begins && message.delivery.is_some_and(|delivery| delivery.state == DeliveryState::Failed)
    });
    failed.map(|(contact, step, _)| Failed { contact, step })
}

/// Does it.
pub(crate) fn take(scene: &Scene, world: &mut World, step: Requeue) {
    world.requeuer = match (step, world.requeuer) {
        (Requeue::SharesWorkflow(failed), Requeuer::Waiting) => {
            world.requeues -= 1;
            Requeuer::Shared(failed)
        }
        (Requeue::LocksFailed, Requeuer::Shared(failed)) => {
            let delivery = world.contacts[failed.contact].delivery(failed.step);
            let taken_up = |row: &Contact| row.takes_up == Some(failed.contact);
            let refused = world.closed
                || delivery.is_none_or(|delivery| delivery.said_sent)
                || world.contacts[..world.enrolled].iter().any(taken_up);
            if refused {
                Requeuer::Waiting
            } else if scene.has(Bug::RequeueReadsWithoutLock) {
                Requeuer::Read(failed)
            } else {
                Requeuer::Locked(failed)
            }
        }
        (Requeue::Commits(end), Requeuer::Locked(failed) | Requeuer::Read(failed)) => {
            if end != End::Lost {
                enrol(scene, world, failed);
            }
            if end != End::Acknowledged {
                world.losses -= 1;
            }
            Requeuer::Waiting
        }
        (step, at) => unreachable!("{step:?} at {at:?}"),
    };
}

fn enrol(scene: &Scene, world: &mut World, failed: Failed) {
    let Failed { contact, step } = failed;
    let mut row = Contact { position: step, takes_up: Some(contact), ..Contact::default() };
    row.messages[step].queue();
    world.contacts[world.enrolled] = row;
    world.enrolled += 1;
    world.book(EntryKind::Hold, (hold(step) + remaining(scene, step)).micros);
}
