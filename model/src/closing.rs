//! The pause: its fence, and the purge that any process can go on with. One action for each statement
//! of `store/src/ops/{pause_workflow,purge}.rs`.
//!
//! | action | statement |
//! |---|---|
//! | [`Pause::RaisesEpoch`] | `close`: `UPDATE workflows SET epoch = epoch + 1` |
//! | [`Pause::ListsInFlight`] | `record`: `INSERT INTO operations`, then `plan::in_flight` |
//! | [`Pause::CommitsFence`] | COMMIT; when it is acknowledged, the promise holds |
//! | [`Chunk::LocksOperation`] | `lock`: the operation `FOR UPDATE`, unless it is finished |
//! | [`Chunk::LocksEnrollments`] | `lock_enrollments`: the next live ones `FOR UPDATE`, in order |
//! | [`Chunk::Looks`] | `purge.sql`, its first part: which deliveries are queued, in its snapshot |
//! | [`Chunk::Cancels`] | `purge.sql`, the rest: cancels those that still are, ends the enrollments |
//! | [`Chunk::Asks`] | `finish`: done, if nobody of the closed epoch is live |
//! | [`Chunk::Commits`] | the release and the balance, COMMIT |

use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;

use crate::locks;
use crate::scene::{Bug, Scene};
use crate::worker::{End, commit};
use crate::world::{CONTACTS, InFlight, Operation, World, hold};

/// The process that pauses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operator {
    /// It has not begun.
    #[default]
    Waiting,
    /// The epoch is raised, not committed.
    Fenced,
    /// What is in flight is listed, not committed.
    Listed(InFlight),
    /// The fence has returned, and it purges.
    Purging(Purge),
    /// It has ended, got no answer, or died.
    Gone,
}

/// What the pausing process does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table at the head of this module says what each stands for")]
pub enum Pause {
    RaisesEpoch,
    ListsInFlight,
    CommitsFence(End),
    Purges(Chunk),
    /// Its process dies.
    Dies,
}

/// Where a process stands that purges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purge {
    /// Between two chunks.
    #[default]
    Between,
    /// The operation is locked.
    Operation,
    /// Those enrollments are locked.
    Enrollments([bool; CONTACTS]),
    /// And this is what the statement's snapshot shows as queued of them.
    Seen([bool; CONTACTS], Queued),
    /// Those are ended, and of these the queued delivery is cancelled.
    Cancelled([bool; CONTACTS], Queued),
    /// It was asked whether nobody is left.
    Asked([bool; CONTACTS], Queued, bool),
}

/// For each contact, the step whose delivery is queued.
pub type Queued = [Option<usize>; CONTACTS];

/// What a purging process does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table at the head of this module says what each stands for")]
pub enum Chunk {
    LocksOperation,
    LocksEnrollments,
    Looks,
    Cancels,
    Asks,
    Commits(End),
}

impl Purge {
    pub(crate) fn is_in_transaction(&self) -> bool {
        *self != Self::Between
    }

    pub(crate) fn has_locked(&self, contact: usize) -> bool {
        match self {
            Self::Between | Self::Operation => false,
            Self::Enrollments(chunk)
            | Self::Seen(chunk, _)
            | Self::Cancelled(chunk, _)
            | Self::Asked(chunk, ..) => chunk[contact],
        }
    }

    pub(crate) fn has_cancelled(&self, contact: usize, step: usize) -> bool {
        match self {
            Self::Cancelled(_, queued) | Self::Asked(_, queued, _) => queued[contact] == Some(step),
            _ => false,
        }
    }
}

/// What the pausing process can do next; to begin is its choice.
pub(crate) fn steps(scene: &Scene, world: &World, steps: &mut Vec<Pause>) {
    match &world.operator {
        Operator::Waiting | Operator::Gone => {}
        Operator::Fenced => steps.push(Pause::ListsInFlight),
        Operator::Listed(_) => commit(world, steps, Pause::CommitsFence),
        Operator::Purging(purge) => {
            let mut chunk = Vec::new();
            chunk_steps(scene, world, purge, &mut chunk);
            steps.extend(chunk.into_iter().map(Pause::Purges));
        }
    }
}

/// Whether the pausing process could begin now.
pub(crate) fn may_begin(scene: &Scene, world: &World) -> bool {
    scene.pause && world.operator == Operator::Waiting && locks::workflow_is_free(scene, world)
}

/// Does what the pausing process does.
pub(crate) fn take(scene: &Scene, world: &mut World, step: Pause) {
    match (step, world.operator) {
        (Pause::Dies, _) => world.operator = Operator::Gone,
        (Pause::RaisesEpoch, Operator::Waiting) => world.operator = Operator::Fenced,
        (Pause::ListsInFlight, Operator::Fenced) => {
            world.operator = Operator::Listed(world.in_flight(scene));
        }
        (Pause::CommitsFence(end), Operator::Listed(list)) => {
            if end != End::Lost {
                world.closed = true;
                world.operation = Some(Operation { purged_to: 0, finished: false });
            }
            if end == End::Acknowledged {
                world.promises.pause = Some(list);
                world.operator = Operator::Purging(Purge::Between);
            } else {
                world.losses -= 1;
                world.operator = Operator::Gone;
            }
        }
        (Pause::Purges(chunk), Operator::Purging(purge)) => {
            let purge = take_chunk(scene, world, purge, chunk);
            let done = purge == Purge::Between
                && world.operation.is_some_and(|operation| operation.finished);
            world.operator = if done { Operator::Gone } else { Operator::Purging(purge) };
        }
        (step, at) => unreachable!("{step:?} at {at:?}"),
    }
}

/// What a process that stands there in the purge can do next.
pub(crate) fn chunk_steps(scene: &Scene, world: &World, purge: &Purge, steps: &mut Vec<Chunk>) {
    let Some(operation) = world.operation else { return };
    match purge {
        Purge::Between if operation.finished || !locks::operation_is_free(world) => {}
        Purge::Between => steps.push(Chunk::LocksOperation),
        Purge::Operation => {
            let next = next_chunk(scene, world, operation);
            let free = (0..CONTACTS)
                .all(|contact| !next[contact] || locks::enrollment_is_free(world, contact));
            if free {
                steps.push(Chunk::LocksEnrollments);
            }
        }
        Purge::Enrollments(_) => steps.push(Chunk::Looks),
        Purge::Seen(_, queued) => {
            let free = queued.iter().enumerate().all(|(contact, step)| {
                step.is_none_or(|step| locks::delivery_is_free(world, contact, step))
            });
            if free {
                steps.push(Chunk::Cancels);
            }
        }
        // Only a chunk that found less than it could take may be the last one.
        Purge::Cancelled(chunk, _) if count(*chunk) < scene.chunk => steps.push(Chunk::Asks),
        Purge::Cancelled(..) | Purge::Asked(..) => commit(world, steps, Chunk::Commits),
    }
}

/// The next live enrollments behind the purge's place, or from the start when none is.
fn next_chunk(scene: &Scene, world: &World, operation: Operation) -> [bool; CONTACTS] {
    let behind = |place: usize| {
        let mut chunk = [false; CONTACTS];
        let live = (place..world.enrolled).filter(|c| world.contacts[*c].exit.is_none());
        for contact in live.take(scene.chunk) {
            chunk[contact] = true;
        }
        chunk
    };
    let chunk = behind(operation.purged_to);
    if count(chunk) == 0 { behind(0) } else { chunk }
}

fn count(chunk: [bool; CONTACTS]) -> usize {
    chunk.into_iter().filter(|locked| *locked).count()
}

/// Does what a purging process does. Gives where it stands then.
pub(crate) fn take_chunk(scene: &Scene, world: &mut World, purge: Purge, step: Chunk) -> Purge {
    match (step, purge) {
        (Chunk::LocksOperation, Purge::Between) => Purge::Operation,
        (Chunk::LocksEnrollments, Purge::Operation) => {
            let operation = world.operation.expect("it is locked");
            let chunk = next_chunk(scene, world, operation);
            if count(chunk) == 0 {
                Purge::Cancelled(chunk, [None; CONTACTS])
            } else {
                Purge::Enrollments(chunk)
            }
        }
        (Chunk::Looks, Purge::Enrollments(chunk)) => {
            Purge::Seen(chunk, queued(scene, world, chunk))
        }
        (Chunk::Cancels, Purge::Seen(chunk, seen)) => {
            let still = queued(scene, world, chunk);
            let both = std::array::from_fn(|c| seen[c].filter(|step| still[c] == Some(*step)));
            Purge::Cancelled(chunk, both)
        }
        (Chunk::Asks, Purge::Cancelled(chunk, cancelled)) => {
            let left = (0..world.enrolled)
                .any(|contact| !chunk[contact] && world.contacts[contact].exit.is_none());
            Purge::Asked(chunk, cancelled, !left)
        }
        (Chunk::Commits(end), Purge::Cancelled(chunk, cancelled)) => {
            chunk_commits(scene, world, chunk, cancelled, false, end)
        }
        (Chunk::Commits(end), Purge::Asked(chunk, cancelled, done)) => {
            chunk_commits(scene, world, chunk, cancelled, done, end)
        }
        (step, at) => unreachable!("{step:?} at {at:?}"),
    }
}

/// The queued deliveries of these enrollments, as committed now.
fn queued(scene: &Scene, world: &World, chunk: [bool; CONTACTS]) -> Queued {
    let purges = |state: DeliveryState| {
        state == DeliveryState::Queued
            || scene.has(Bug::PurgeReleasesInFlight) && state.is_on_the_wire()
    };
    std::array::from_fn(|contact| {
        let live = world.contacts[contact].live_delivery().filter(|_| chunk[contact]);
        live.filter(|(_, delivery)| purges(delivery.state)).map(|(step, _)| step)
    })
}

fn chunk_commits(
    scene: &Scene,
    world: &mut World,
    chunk: [bool; CONTACTS],
    cancelled: Queued,
    done: bool,
    end: End,
) -> Purge {
    if end != End::Acknowledged {
        world.losses -= 1;
    }
    if end == End::Lost {
        return Purge::Between;
    }
    for contact in (0..CONTACTS).filter(|contact| chunk[*contact]) {
        if let Some(step) = cancelled[contact] {
            world.set_state(contact, step, DeliveryState::Cancelled);
            world.release(contact, step, hold(step).micros);
        }
        world.end_enrollment(scene, contact, ExitCause::WorkflowPaused);
    }
    let operation = world.operation.as_mut().expect("it is locked");
    if let Some(last) = (0..CONTACTS).rev().find(|contact| chunk[*contact]) {
        operation.purged_to = last + 1;
    }
    operation.finished |= done;
    Purge::Between
}
