//! The task that claims tickets: as many as there is room for, again at once while there are more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use dripline_store::queue::{self, ClaimedTicket};
use tokio::sync::mpsc;

use super::{Claims, Queue, quarantine};
use crate::outage::Unanswered;

/// How long a claim waits for a batch's worth of room before it takes what there is.
const GATHER_ROOM: Duration = Duration::from_millis(10);
/// After an answer that should not happen, such as a refused statement.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);
/// How long a look for the next due time may take. It is only a hint.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// The least wait for a ticket that is due in an instant.
const LEAST_WAIT: Duration = Duration::from_millis(5);

/// Between two looks for tickets that are claimed in our name and that we do not know of.
const LOOK_FOR_LOST: Duration = Duration::from_secs(10);

/// Claims until the daemon stops, then closes the channel. A claim that had no answer is looked for, at
/// once and again later: the server may have got to it only after the first look.
pub(super) async fn run(queue: Arc<Queue>, tickets: mpsc::UnboundedSender<Task<Vec<u8>>>) {
    let (suspects, suspected) = mpsc::unbounded_channel();
    let quarantine = tokio::spawn(quarantine::run(queue.clone(), suspected, tickets.clone()));
    claim_all(&queue, &tickets, suspects).await;
    // What waits there is in the channel when this ends, to be given back.
    if quarantine.await.is_err() {
        tracing::error!("the task that hands out suspected tickets has failed");
    }
}

async fn claim_all(
    queue: &Queue,
    tickets: &mpsc::UnboundedSender<Task<Vec<u8>>>,
    suspects: mpsc::UnboundedSender<ClaimedTicket>,
) {
    let mut looked_at = Instant::now();
    while let Some(room) = wait_for_room(queue).await {
        let is_time_to_look = looked_at.elapsed() >= LOOK_FOR_LOST;
        if is_time_to_look {
            looked_at = Instant::now();
        }
        let claimed = match claim(queue, room, is_time_to_look).await {
            Ok(claimed) => claimed,
            Err(Unanswered::Abandoned) => return,
            Err(Unanswered::Refused(error)) => {
                let error = anyhow::Error::from(error);
                tracing::error!("failed to claim tickets: {error:#}");
                rest(queue, AFTER_REFUSAL).await;
                continue;
            }
        };
        let found = claimed.len();
        take_on(queue, &claimed);
        let (others, suspected) = match quarantine::part(queue, claimed).await {
            Ok(parted) => parted,
            // They stay ours until we leave; then the sweep for dead workers returns them.
            Err(Unanswered::Abandoned) => return,
            Err(Unanswered::Refused(error)) => {
                let error = anyhow::Error::from(error);
                tracing::error!(tickets = found, "failed to part suspected tickets: {error:#}");
                continue;
            }
        };
        for ticket in suspected {
            // It goes away only after this.
            let _ = suspects.send(ticket);
        }
        for ticket in others {
            // The receiver goes away only when the backend is dropped, that is, abandoned.
            let _ = tickets.send(to_task(ticket));
        }
        if found < room {
            let wait = until_next_due(queue).await;
            rest(queue, wait).await;
        }
    }
}

/// How many tickets there is room for: a batch's worth, or after a short while whatever there is,
/// so that slow messages do not hold up quick ones. `None` when the daemon stops.
async fn wait_for_room(queue: &Queue) -> Option<usize> {
    let size = queue.options.claim_size;
    let batch = u32::try_from(size.min(queue.options.max_in_flight.div_ceil(2))).ok()?;
    let enough = async {
        if tokio::time::timeout(GATHER_ROOM, queue.room.acquire_many(batch)).await.is_err() {
            // Waits for at least one; the permit itself goes back at once.
            drop(queue.room.acquire().await);
        }
    };
    tokio::select! {
        biased;
        () = queue.stop.finishing() => None,
        () = enough => Some(queue.room.available_permits().clamp(1, size)),
    }
}

/// Claims tickets. `doubtful`: those of an earlier claim may be ours already.
async fn claim(
    queue: &Queue,
    room: usize,
    mut doubtful: bool,
) -> Result<Vec<ClaimedTicket>, Unanswered> {
    queue
        .outage
        .outlast("queue.claim", || {
            let again = std::mem::replace(&mut doubtful, true);
            async move {
                if again {
                    // The claim whose COMMIT got no answer may have taken tickets: take those.
                    let lost = find_lost(queue, room).await?;
                    if !lost.is_empty() {
                        return Ok(lost);
                    }
                }
                queue::claim(&queue.pool, &*queue.clock, &queue.worker_name, room).await
            }
        })
        .await
}

/// Tickets that the database says are ours and that we do not know. Only the task that claims asks, so
/// that no claim of ours is under way.
async fn find_lost(
    queue: &Queue,
    room: usize,
) -> Result<Vec<ClaimedTicket>, dripline_store::StoreError> {
    let mut lost = queue::claimed_by(&queue.pool, &queue.worker_name).await?;
    let held = queue.held();
    lost.retain(|ticket| !held.contains(&ticket.ticket_id));
    lost.truncate(room);
    Ok(lost)
}

/// Notes that the tickets are held, each in the place of one that could be taken on.
fn take_on(queue: &Queue, claimed: &[ClaimedTicket]) {
    let mut held = queue.held();
    for ticket in claimed {
        // Only this task takes permits for good, so there is one for each ticket of the claim.
        if let Ok(permit) = queue.room.try_acquire() {
            permit.forget();
        }
        held.insert(ticket.ticket_id.clone());
    }
}

/// The ticket as handlers are given it.
pub(super) fn to_task(ticket: ClaimedTicket) -> Task<Vec<u8>> {
    TaskBuilder::new(ticket.payload)
        .task_id(TaskId::from_string(ticket.ticket_id))
        .attempt(usize::try_from(ticket.attempts).unwrap_or(usize::MAX))
        .data(Claims(ticket.attempts))
        .build()
}

/// Until the next ticket is due, and never longer than the idle interval: others issue tickets too.
async fn until_next_due(queue: &Queue) -> Duration {
    let idle = queue.options.idle_poll;
    // A failure here is the next claim's to report and outlast; no answer at all is as good as none.
    let next = tokio::time::timeout(LONGEST_LOOK, queue::next_due(&queue.pool)).await;
    let Ok(Ok(Some(due))) = next else { return idle };
    let wait = (due - queue.clock.now()).to_std().unwrap_or_default();
    wait.clamp(LEAST_WAIT.min(idle), idle)
}

async fn rest(queue: &Queue, wait: Duration) {
    tokio::select! {
        () = queue.stop.finishing() => {}
        () = tokio::time::sleep(wait) => {}
    }
}
