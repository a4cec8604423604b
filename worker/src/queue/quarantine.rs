//! Tickets that may kill a worker, one at a time.
//!
//! A ticket that comes back after its worker has died was perhaps what killed it, or only in flight
//! with what did. From its third claim on it is handled alone among its like, so that of two suspects
//! only the one at work is there when the process dies. Those that wait for their turn do not have
//! their claim counted meanwhile: a crash adds to the count of the one at work and of no other.

use std::sync::Arc;

use apalis_core::task::Task;
use dripline_store::queue::{self, ClaimedTicket};
use tokio::sync::{mpsc, oneshot};

use super::fetch::to_task;
use super::{Queue, lock};
use crate::outage::Unanswered;

/// From this claim on, counted from 1, a ticket is suspected. The first crash is forgiven: after it,
/// everything that was in flight comes back at once.
const SUSPECTED_FROM: u32 = 3;

/// Takes the suspects out of a claim and takes back the count of their claim.
pub(super) async fn part(
    queue: &Queue,
    claimed: Vec<ClaimedTicket>,
) -> Result<(Vec<ClaimedTicket>, Vec<ClaimedTicket>), Unanswered> {
    let (suspects, others): (Vec<_>, Vec<_>) =
        claimed.into_iter().partition(|ticket| ticket.attempts >= SUSPECTED_FROM);
    if !suspects.is_empty() {
        let counts: Vec<(&str, u32)> = suspects
            .iter()
            .map(|ticket| (ticket.ticket_id.as_str(), ticket.attempts - 1))
            .collect();
        count(queue, &counts).await?;
    }
    Ok((others, suspects))
}

/// Hands out suspects one after the other until the daemon stops; then the rest goes into the channel,
/// whose tickets are given back.
pub(super) async fn run(
    queue: Arc<Queue>,
    mut suspects: mpsc::UnboundedReceiver<ClaimedTicket>,
    tickets: mpsc::UnboundedSender<Task<Vec<u8>>>,
) {
    while let Some(ticket) = suspects.recv().await {
        if !queue.stop.is_finishing() {
            let counted = count(&queue, &[(&ticket.ticket_id, ticket.attempts)]).await;
            match counted {
                Ok(()) => {}
                Err(Unanswered::Abandoned) => return,
                Err(Unanswered::Refused(error)) => {
                    let error = anyhow::Error::from(error);
                    tracing::error!("failed to count the claim of a suspected ticket: {error:#}");
                }
            }
            tracing::warn!(
                ticket = ticket.ticket_id,
                claims = ticket.attempts,
                "a ticket whose workers have died is handled alone"
            );
        }
        let (ended, has_ended) = oneshot::channel();
        *lock(&queue.suspect) = Some((ticket.ticket_id.clone(), ended));
        // The receiver goes away only when the backend is dropped, that is, abandoned.
        let _ = tickets.send(to_task(ticket));
        tokio::select! {
            biased;
            // Nobody starts anything any more, so that nothing needs to be kept apart.
            () = queue.stop.finishing() => {}
            _ = has_ended => {}
        }
    }
}

async fn count(queue: &Queue, counts: &[(&str, u32)]) -> Result<(), Unanswered> {
    queue
        .outage
        .outlast("queue.count_claims", || async {
            queue::count_claims(&queue.pool, &queue.worker_name, counts).await
        })
        .await
}
