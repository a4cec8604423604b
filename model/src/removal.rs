//! The removal of the first contact, in one transaction. One action for each statement of
//! `store/src/ops/remove_contact.rs`.
//!
//! | action | statement |
//! |---|---|
//! | [`Removal::SharesWorkflow`] | `situation::share_workflows`: the workflow `FOR SHARE` |
//! | [`Removal::LocksEnrollment`] | `lock_enrollment`: `FOR UPDATE`; one that has ended is refused |
//! | [`Removal::LocksQueued`] | `lock_queued`: its queued delivery `FOR UPDATE`, if there is one |
//! | [`Removal::ListsInFlight`] | `plan::in_flight` of the enrollment |
//! | [`Removal::Commits`] | `Changes::write` on rows that are locked, COMMIT |

use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;

use crate::locks;
use crate::scene::Scene;
use crate::worker::{End, commit};
use crate::world::{InFlight, STEPS, World, hold};

/// The process that removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Remover {
    /// It has not begun.
    #[default]
    Waiting,
    /// The workflow is shared.
    Shared,
    /// The enrollment is locked.
    Locked,
    /// Its queued delivery is locked, if there is one.
    Looked {
        /// Its step.
        queued: Option<usize>,
    },
    /// What is in flight is listed.
    Listed {
        /// The step of the queued delivery.
        queued: Option<usize>,
        /// For each step, the attempt in flight.
        list: [usize; STEPS],
    },
    /// It has ended, was refused, or got no answer.
    Gone,
}

/// What the removing process does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table at the head of this module says what each stands for")]
pub enum Removal {
    SharesWorkflow,
    LocksEnrollment,
    LocksQueued,
    ListsInFlight,
    Commits(End),
}

impl Remover {
    pub(crate) fn is_in_transaction(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Gone)
    }

    pub(crate) fn has_locked_enrollment(&self) -> bool {
        matches!(self, Self::Locked | Self::Looked { .. } | Self::Listed { .. })
    }
}

/// What the removing process can do next; to begin is its choice.
pub(crate) fn steps(world: &World, steps: &mut Vec<Removal>) {
    match world.remover {
        Remover::Waiting | Remover::Gone => {}
        Remover::Shared => {
            if locks::enrollment_is_free(world, 0) {
                steps.push(Removal::LocksEnrollment);
            }
        }
        Remover::Locked => {
            // Only a delivery that is committed as queued is waited for, such as one being marked.
            let waits = queued(world).is_some_and(|step| !locks::delivery_is_free(world, 0, step));
            if !waits {
                steps.push(Removal::LocksQueued);
            }
        }
        Remover::Looked { .. } => steps.push(Removal::ListsInFlight),
        Remover::Listed { .. } => commit(world, steps, Removal::Commits),
    }
}

/// Whether the removing process could begin now.
pub(crate) fn may_begin(scene: &Scene, world: &World) -> bool {
    scene.removal && world.remover == Remover::Waiting && locks::workflow_can_be_shared(world)
}

/// Does it.
pub(crate) fn take(scene: &Scene, world: &mut World, step: Removal) {
    world.remover = match (step, world.remover) {
        (Removal::SharesWorkflow, Remover::Waiting) => Remover::Shared,
        (Removal::LocksEnrollment, Remover::Shared) => {
            if world.contacts[0].exit.is_some() {
                Remover::Gone
            } else {
                Remover::Locked
            }
        }
        (Removal::LocksQueued, Remover::Locked) => Remover::Looked { queued: queued(world) },
        (Removal::ListsInFlight, Remover::Looked { queued }) => {
            let list: InFlight = world.in_flight(scene);
            Remover::Listed { queued, list: list[0] }
        }
        (Removal::Commits(end), Remover::Listed { queued, list }) => {
            if end != End::Lost {
                if let Some(step) = queued {
                    world.set_state(0, step, DeliveryState::Cancelled);
                    world.release(0, step, hold(step).micros);
                }
                world.end_enrollment(scene, 0, ExitCause::Removed);
            }
            if end == End::Acknowledged {
                let mut promise = InFlight::default();
                promise[0] = list;
                world.promises.removal = Some(promise);
            } else {
                world.losses -= 1;
            }
            Remover::Gone
        }
        (step, at) => unreachable!("{step:?} at {at:?}"),
    };
}

/// The step whose delivery is queued, as committed now.
fn queued(world: &World) -> Option<usize> {
    let live = world.contacts[0].live_delivery();
    live.filter(|(_, delivery)| delivery.state == DeliveryState::Queued).map(|(step, _)| step)
}
