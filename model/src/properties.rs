//! What must always hold, and what must be seen at least once so that we know it was looked at.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ledger::Hold;
use stateright::Property;

use crate::closing::{Operator, Purge};
use crate::hearing::Hearing;
use crate::removal::Remover;
use crate::requeue::Requeuer;
use crate::scene::Scene;
use crate::worker::At;
use crate::world::{Answer, InFlight, Message, World, hold, remaining, topped_up};

/// Breaks that every scene looks for.
pub const ALWAYS: [&str; 9] = [
    NOTHING_LEAVES_LATE,
    REACHED_ONCE,
    MONEY_IS_CONSERVED,
    PURGED_MEANS_EMPTY,
    CARRIER_AGREES,
    TRANSITIONS_ARE_ALLOWED,
    QUIET_MEANS_SETTLED,
    SAID_SENT_IS_NOT_SENT_AGAIN,
    SAID_SENT_IS_PAID,
];

/// What pause and removal promise.
pub const NOTHING_LEAVES_LATE: &str =
    "no message is marked or leaves behind a pause or removal that returned, but those in its list";
/// Invariant 8.
pub const REACHED_ONCE: &str = "at most one attempt of a delivery may have reached the carrier";
/// Invariants 1, 2 and 4.
pub const MONEY_IS_CONSERVED: &str =
    "available + held + spent stays, and every hold is captured or released once";
/// Invariant 6.
pub const PURGED_MEANS_EMPTY: &str = "a finished purge leaves nobody live and nothing queued";
/// Invariant 10.
pub const CARRIER_AGREES: &str = "what is sent was taken once; what is failed or cancelled, never";
/// The domain's state machine.
pub const TRANSITIONS_ARE_ALLOWED: &str = "deliveries move only as the domain lets them";
/// Nothing is lost, stuck or forgotten.
pub const QUIET_MEANS_SETTLED: &str =
    "when nothing is left to do, everything is settled or unknown";

/// What is promised to whoever says that a message was sent, from the COMMIT on.
pub const SAID_SENT_IS_NOT_SENT_AGAIN: &str =
    "nothing is marked of which somebody has said that it was sent";
/// And to whoever is to be paid for it.
pub const SAID_SENT_IS_PAID: &str =
    "no settlement gives back what had been said to be sent before it";

/// The properties of the model. Which of the `sometimes` ones a scene can reach depends on the scene.
pub(crate) fn all() -> Vec<Property<Scene>> {
    always().into_iter().chain(seen()).chain(seen_of_words()).collect()
}

fn always() -> [Property<Scene>; ALWAYS.len()] {
    [
        Property::always(NOTHING_LEAVES_LATE, |_, world: &World| !world.wrongs.late),
        Property::always(REACHED_ONCE, reached_once),
        Property::always(MONEY_IS_CONSERVED, money_is_conserved),
        Property::always(PURGED_MEANS_EMPTY, purged_means_empty),
        Property::always(CARRIER_AGREES, carrier_agrees),
        Property::always(TRANSITIONS_ARE_ALLOWED, |_, world: &World| !world.wrongs.forbidden),
        Property::always(QUIET_MEANS_SETTLED, quiet_means_settled),
        Property::always(SAID_SENT_IS_NOT_SENT_AGAIN, |_, world: &World| !world.wrongs.again),
        Property::always(SAID_SENT_IS_PAID, |_, world: &World| !world.wrongs.given_back),
    ]
}

/// What must be seen of marks, pauses, removals and settlements.
fn seen() -> [Property<Scene>; 15] {
    [
        Property::sometimes(
            "a message is sent by its second attempt",
            |scene: &Scene, world: &World| {
                any(scene, world, |message| is(message, DeliveryState::Sent, 2))
            },
        ),
        Property::sometimes("a message is unknown and stays so", |scene: &Scene, world: &World| {
            any(scene, world, |message| is(message, DeliveryState::Unknown, 1))
                && scene.is_quiet(world)
        }),
        Property::sometimes("a pause lists what is in flight", |_, world: &World| {
            world.promises.pause.is_some_and(|list| list != InFlight::default())
        }),
        Property::sometimes("a removal lists what is in flight", |_, world: &World| {
            world.promises.removal.is_some_and(|list| list != InFlight::default())
        }),
        Property::sometimes(
            "a retry behind the fence is cancelled",
            |scene: &Scene, world: &World| {
                world.closed
                    && any(scene, world, |message| is(message, DeliveryState::Cancelled, 1))
            },
        ),
        Property::sometimes(
            "a purge that its caller left is finished by the sweep",
            |_, world: &World| {
                world.operator == Operator::Gone
                    && world.promises.pause.is_none()
                    && world.operation.is_some_and(|operation| operation.finished)
            },
        ),
        Property::sometimes(
            "a batch finds the mark whose COMMIT got no answer",
            |_, world: &World| {
                world.workers.iter().any(|w| matches!(w.at, At::MarkRead { before: true, .. }))
            },
        ),
        Property::sometimes(
            "two workers are in the mark of the same attempt",
            |_, world: &World| {
                let [one, other] = world.workers.map(|worker| match worker.at {
                    At::MarkRead { job, before: false } => Some(job),
                    _ => None,
                });
                one.is_some() && one == other
            },
        ),
        Property::sometimes(
            "a settlement finds that it was done already",
            |scene: &Scene, world: &World| {
                world.workers.iter().any(|worker| match worker.at {
                    At::SettleLocked(job, deed) => {
                        crate::worker::decide(scene, world, job, deed).is_none()
                    }
                    _ => false,
                })
            },
        ),
        Property::sometimes(
            "a settlement cancels what it was to send again",
            |_, world: &World| {
                world.workers.iter().any(|worker| match worker.at {
                    At::SettleDelivery(job, _, change) => job.attempt > 0 && change.cancels(),
                    _ => false,
                })
            },
        ),
        Property::sometimes("a removal waits for a mark", |_, world: &World| {
            world.remover == Remover::Locked
                && world.workers.iter().any(|worker| matches!(worker.at, At::MarkWritten(_)))
        }),
        Property::sometimes(
            "a contact is removed behind the fence, before the purge",
            |_, world: &World| world.closed && world.contacts[0].exit == Some(ExitCause::Removed),
        ),
        Property::sometimes("a contact goes on to the second step", |_, world: &World| {
            world.contacts[0].position == 1
        }),
        Property::sometimes("a contact is paused at the second step", |_, world: &World| {
            world.contacts[0].position == 1
                && world.contacts[0].exit == Some(ExitCause::WorkflowPaused)
        }),
        Property::sometimes(
            "one contact has finished and the other was paused",
            |_, world: &World| {
                let exits = world.contacts.map(|contact| contact.exit);
                exits[..2] == [Some(ExitCause::Finished), Some(ExitCause::WorkflowPaused)]
            },
        ),
    ]
}

/// What must be seen of words that come after a decision.
fn seen_of_words() -> [Property<Scene>; 12] {
    [
        Property::sometimes(
            "a word settles what waits to be sent again",
            |scene, world: &World| {
                any(scene, world, |message| {
                    is(message, DeliveryState::Sent, 1) && message.is_said()
                })
            },
        ),
        Property::sometimes(
            "a message is settled as sent by the attempt before the last",
            |scene, world: &World| {
                any(scene, world, |message| {
                    let last = message.attempts[1].is_some_and(|last| !last.taken && !last.said);
                    is(message, DeliveryState::Sent, 2) && last && message.is_said()
                })
            },
        ),
        Property::sometimes("a message is sent twice, before anybody says so", |scene, world| {
            any(scene, world, |message| is(message, DeliveryState::Sent, 2) && was_denied(message))
        }),
        Property::sometimes("a word comes when it waits to be sent again", |scene, world| {
            any(scene, world, |message| told(message, DeliveryState::Queued) && message.is_said())
        }),
        Property::sometimes(
            "a mark finds at its write that somebody says so",
            |_, world: &World| {
                world.workers.iter().any(|worker| match worker.at {
                    At::MarkRead { job, before: false } => {
                        told(&world.contacts[job.contact].messages[job.step], DeliveryState::Queued)
                    }
                    _ => false,
                })
            },
        ),
        Property::sometimes("a settlement finds that somebody says so", |_, world: &World| {
            world.workers.iter().any(|worker| match worker.at {
                At::SettleDecided(job, _, change) if !change.read.said_sent => {
                    told(&world.contacts[job.contact].messages[job.step], change.read.state)
                }
                _ => false,
            })
        }),
        Property::sometimes(
            "a pause or a removal gives back what was said to be sent while it waited",
            |scene, world| {
                any(scene, world, |message| {
                    told(message, DeliveryState::Cancelled) && message.is_said()
                })
            },
        ),
        Property::sometimes("a requeue is refused, since it was sent", |_, world: &World| {
            matches!(world.requeuer, Requeuer::Shared(failed)
                if told(&world.contacts[failed.contact].messages[failed.step], DeliveryState::Failed))
        }),
        Property::sometimes("a word waits for a requeue", |_, world: &World| {
            world.workers.iter().any(|worker| match worker.at {
                At::Hearing(job, _, Hearing::Contradicts) => {
                    world.requeuer.has_locked(job.contact, job.step)
                }
                _ => false,
            })
        }),
        Property::sometimes(
            "what takes it up is requeued while a word waits",
            |_, world: &World| {
                world.workers.iter().any(|worker| match worker.at {
                    At::Hearing(job, _, Hearing::Seen(..)) => {
                        (0..world.enrolled).any(|row| world.requeuer.has_locked(row, job.step))
                    }
                    _ => false,
                })
            },
        ),
        Property::sometimes("what takes it up is on the wire when a word comes", |_, world| {
            taken_up(world, |message| told(message, DeliveryState::Sending))
        }),
        Property::sometimes("what takes it up is given back, and goes on", |_, world: &World| {
            taken_up(world, |message| told(message, DeliveryState::Cancelled))
                && world.contacts[..world.enrolled].iter().any(|row| row.position == 1)
        }),
    ]
}

/// Whether it is there, and somebody has said that it was sent.
fn told(message: &Message, state: DeliveryState) -> bool {
    message.delivery.is_some_and(|delivery| delivery.state == state && delivery.said_sent)
}

fn was_denied(message: &Message) -> bool {
    message.attempts.iter().flatten().any(|attempt| attempt.denied && attempt.taken)
}

/// Whether the message of an enrollment that takes up a failed one is so, at the step that failed.
fn taken_up(world: &World, is: impl Fn(&Message) -> bool) -> bool {
    let rows = &world.contacts[..world.enrolled];
    rows.iter().any(|row| row.takes_up.is_some() && row.messages.iter().any(&is))
}

fn any(scene: &Scene, world: &World, is: impl Fn(&Message) -> bool) -> bool {
    world.jobs(scene).any(|(_, _, message)| is(message))
}

fn is(message: &Message, state: DeliveryState, attempt: usize) -> bool {
    message.delivery.is_some_and(|d| d.state == state && d.attempt == attempt)
}

/// Invariant 8, and what it stands for at the carrier.
fn reached_once(scene: &Scene, world: &World) -> bool {
    world.jobs(scene).all(|(_, _, message)| {
        let attempts = message.attempts.iter().flatten();
        let reached = attempts.filter(|attempt| Answer::may_have_reached(attempt.outcome));
        reached.count() <= 1 && message.taken <= 1
    })
}

/// Invariants 1, 2 and 4.
fn money_is_conserved(scene: &Scene, world: &World) -> bool {
    let contacts = &world.contacts[..world.enrolled];
    let mut held = Hold::NONE;
    for contact in contacts {
        if contact.exit.is_none() {
            held += remaining(scene, contact.position);
        }
        if let Some((step, _)) = contact.live_delivery() {
            held += hold(step);
        }
    }
    let once = world.jobs(scene).all(|(_, _, message)| {
        let settled = message.delivery.map(|delivery| delivery.state);
        let (captures, releases) = match settled {
            Some(DeliveryState::Sent) => (1, 0),
            Some(state) if state.is_terminal() => (0, 1),
            Some(_) => (0, 0),
            None => (0, message.releases.min(1)),
        };
        (message.captures, message.releases) == (captures, releases)
    });
    !world.wrongs.overdrawn
        && once
        && world.balance.total() == topped_up(scene)
        && world.balance.held == held.micros
}

/// Invariant 6.
fn purged_means_empty(scene: &Scene, world: &World) -> bool {
    let finished = world.operation.is_some_and(|operation| operation.finished);
    let live = || world.contacts[..world.enrolled].iter().any(|contact| contact.exit.is_none());
    let queued = |message: &Message| {
        message.delivery.is_some_and(|delivery| delivery.state == DeliveryState::Queued)
    };
    !finished || !(live() || any(scene, world, queued))
}

/// Invariant 10.
fn carrier_agrees(scene: &Scene, world: &World) -> bool {
    world.jobs(scene).all(|(_, _, message)| match message.delivery.map(|delivery| delivery.state) {
        Some(DeliveryState::Sent) => message.taken == 1,
        Some(state) if state.is_terminal() => message.taken == 0,
        None => message.taken == 0,
        Some(_) => message.taken <= 1,
    })
}

/// Nobody is stuck in a transaction, nothing is forgotten, and what is still held is held for what
/// nobody knows.
fn quiet_means_settled(scene: &Scene, world: &World) -> bool {
    if !scene.is_quiet(world) {
        return true;
    }
    let idle = world.workers.iter().all(|worker| worker.at == At::Idle)
        // Between two chunks of a purge that somebody else has finished, its next look tells it so.
        && matches!(world.operator,
            Operator::Waiting | Operator::Gone | Operator::Purging(Purge::Between))
        && matches!(world.remover, Remover::Waiting | Remover::Gone)
        && !world.sweep.is_in_transaction()
        && !world.requeuer.is_in_transaction();
    idle && world.contacts[..world.enrolled].iter().all(|contact| match contact.live_delivery() {
        Some((_, delivery)) => delivery.state == DeliveryState::Unknown,
        None => contact.exit.is_some(),
    })
}
