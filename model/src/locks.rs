//! Who holds which row. Locks are not kept beside the processes: what a process holds follows from
//! where its transaction stands, and is gone when it commits, is undone or its process dies.
//!
//! A statement that would wait cannot be taken. When it can, it reads the row as it was committed last,
//! as READ COMMITTED does once a lock is granted; what it reads of other rows is what was committed
//! when it is taken.

use crate::closing::{Operator, Purge};
use crate::removal::Remover;
use crate::worker::At;
use crate::world::World;

/// `workflows ... FOR SHARE` would not wait: nobody has raised the epoch and not committed yet.
pub(crate) fn workflow_can_be_shared(world: &World) -> bool {
    !matches!(world.operator, Operator::Fenced | Operator::Listed(_))
}

/// `UPDATE workflows` would not wait: nobody shares the row.
pub(crate) fn workflow_is_free(scene: &crate::Scene, world: &World) -> bool {
    let mark_locks = !scene.has(crate::Bug::StatusReadWithoutLock);
    let shared = world.workers.iter().any(|worker| match worker.at {
        At::MarkLocked(_) | At::MarkRead { .. } | At::MarkWritten(_) => mark_locks,
        At::SettleLocked(..)
        | At::SettleDecided(..)
        | At::SettleEnrollment(..)
        | At::SettleDelivery(..)
        | At::Hearing(..) => true,
        At::Idle | At::Loaded(_) | At::Marked(_) | At::Settling(..) => false,
    });
    !shared && !world.remover.is_in_transaction() && !world.requeuer.is_in_transaction()
}

/// How an enrollment's row is locked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Shared,
    Alone,
}

fn enrollment_holders(world: &World, contact: usize) -> impl Iterator<Item = Held> + '_ {
    let workers = world.workers.iter().filter_map(move |worker| match worker.at {
        At::SettleEnrollment(job, _, change) | At::SettleDelivery(job, _, change)
            if job.contact == contact =>
        {
            change.locks_enrollment()
        }
        _ => None,
    });
    let workers = workers.map(|alone| if alone { Held::Alone } else { Held::Shared });
    let purges = purges(world).filter(move |purge| purge.has_locked(contact)).map(|_| Held::Alone);
    let remover = (contact == 0 && world.remover.has_locked_enrollment()).then_some(Held::Alone);
    workers.chain(purges).chain(remover)
}

/// An exclusive lock of the enrollment would not wait.
pub(crate) fn enrollment_is_free(world: &World, contact: usize) -> bool {
    enrollment_holders(world, contact).next().is_none()
}

/// A shared lock of the enrollment would not wait.
pub(crate) fn enrollment_can_be_shared(world: &World, contact: usize) -> bool {
    enrollment_holders(world, contact).all(|held| held == Held::Shared)
}

/// A lock of the delivery would not wait. Whoever only shares one asks the same: nobody else does.
pub(crate) fn delivery_is_free(world: &World, contact: usize, step: usize) -> bool {
    let by_worker = world.workers.iter().any(|worker| match worker.at {
        At::MarkWritten(job) | At::SettleDelivery(job, ..) => {
            (job.contact, job.step) == (contact, step)
        }
        At::Hearing(job, _, hearing) => {
            job.step == step && hearing.has_written(contact == job.contact, contact)
        }
        _ => false,
    });
    let by_purge = purges(world).any(|purge| purge.has_cancelled(contact, step));
    let by_remover = matches!(world.remover,
        Remover::Looked { queued: Some(own) } | Remover::Listed { queued: Some(own), .. }
            if (0, own) == (contact, step));
    let by_requeuer = world.requeuer.has_locked(contact, step);
    !(by_worker || by_purge || by_remover || by_requeuer)
}

/// The operation's row would be locked without waiting: nobody is in a chunk of its purge.
pub(crate) fn operation_is_free(world: &World) -> bool {
    !purges(world).any(Purge::is_in_transaction)
}

fn purges(world: &World) -> impl Iterator<Item = &Purge> {
    let own = if let Operator::Purging(purge) = &world.operator { Some(purge) } else { None };
    own.into_iter().chain([&world.sweep])
}
