//! The task that tells the database what became of tickets, as many at once as are waiting.

use std::sync::Arc;

use dripline_store::queue;
use tokio::sync::{mpsc, oneshot};

use super::{Disposition, Queue};
use crate::outage::Unanswered;

/// Tickets in one statement.
const BATCH: usize = 1_000;

/// A message to the acknowledger.
#[derive(Debug)]
pub(super) enum Acknowledgement {
    /// This is what became of the ticket.
    Ticket(String, Disposition),
    /// Answer when everything before this has reached the database.
    Flush(oneshot::Sender<()>),
}

/// Acknowledges until the channel closes. Repeats through outages: a lost acknowledgement would be
/// harmless, but the ticket would be handled again for nothing.
pub(super) async fn run(queue: Arc<Queue>, mut arrivals: mpsc::UnboundedReceiver<Acknowledgement>) {
    let mut batch = Vec::new();
    while arrivals.recv_many(&mut batch, BATCH).await > 0 {
        let mut done = Vec::new();
        let mut released = Vec::new();
        let mut flushes = Vec::new();
        for message in batch.drain(..) {
            match message {
                Acknowledgement::Ticket(id, Disposition::Done) => done.push(id),
                Acknowledgement::Ticket(id, Disposition::Released) => released.push(id),
                Acknowledgement::Flush(answer) => flushes.push(answer),
            }
        }
        settle(&queue, done, Disposition::Done).await;
        settle(&queue, released, Disposition::Released).await;
        for answer in flushes {
            // Whoever asked has gone; there is nothing to tell.
            let _ = answer.send(());
        }
    }
}

async fn settle(queue: &Queue, tickets: Vec<String>, disposition: Disposition) {
    if tickets.is_empty() {
        return;
    }
    let result = queue
        .outage
        .outlast("queue.acknowledge", || async {
            match disposition {
                Disposition::Done => {
                    queue::acknowledge(&queue.pool, &queue.worker_name, &tickets).await
                }
                Disposition::Released => {
                    queue::release(&queue.pool, &queue.worker_name, &tickets).await
                }
            }
        })
        .await;
    match result {
        Ok(_) => {}
        Err(Unanswered::Abandoned) => return,
        Err(Unanswered::Refused(error)) => {
            // They stay ours until we leave; then the sweep for dead workers returns them.
            let error = anyhow::Error::from(error);
            tracing::error!(tickets = tickets.len(), "failed to acknowledge tickets: {error:#}");
        }
    }
    let mut held = queue.held();
    for ticket in &tickets {
        held.remove(ticket);
    }
}
