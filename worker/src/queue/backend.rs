//! What apalis sees: a source of tickets that is always ready and never fails.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::context::WorkerContext;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::acknowledge::{self, Acknowledgement};
use super::middleware::AcknowledgeLayer;
use super::{Disposition, Queue, QueueFailure, QueueOptions, fetch, heartbeat};

/// Tickets of deliveries as an apalis backend. Its arguments are raw bytes, so that a payload
/// nobody can read is one ticket's failure and not the queue's.
pub struct TicketBackend {
    queue: Arc<Queue>,
    tickets: Option<mpsc::UnboundedReceiver<Task<Vec<u8>>>>,
    running: Option<Running>,
    closing: Option<BoxFuture<'static, ()>>,
}

struct Running {
    acknowledger: mpsc::UnboundedSender<Acknowledgement>,
    fetch: JoinHandle<()>,
    heartbeat: JoinHandle<()>,
    goodbye: oneshot::Sender<()>,
}

impl TicketBackend {
    /// A backend that has not begun to claim; it does when apalis starts its worker.
    pub fn new(queue: Arc<Queue>) -> Self {
        Self { queue, tickets: None, running: None, closing: None }
    }
}

impl std::fmt::Debug for TicketBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketBackend")
            .field("queue", &self.queue)
            .field("closing", &self.closing.is_some())
            .finish_non_exhaustive()
    }
}

impl Backend for TicketBackend {
    type Task = Task<Vec<u8>>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Self::Error>> {
        // Heartbeats and acknowledgements have tasks of their own; nothing is owed before work.
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        match &mut self.tickets {
            Some(tickets) => tickets.poll_recv(cx).map(|ticket| ticket.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Self::Error>> {
        let (tickets, running, queue) = (&mut self.tickets, &mut self.running, &self.queue);
        let closing = self
            .closing
            .get_or_insert_with(|| close(queue.clone(), tickets.take(), running.take()).boxed());
        closing.poll_unpin(cx).map(Ok)
    }
}

impl BackendConfig for TicketBackend {
    type Args = Vec<u8>;
    type Id = String;
    // Bytes are handed on as they are: there is no codec that could fail.
    type Kind = Ephemeral;
    type Config = QueueOptions;
    type Layer = AcknowledgeLayer;

    fn config(&self) -> &QueueOptions {
        &self.queue.options
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> AcknowledgeLayer {
        let (tickets_in, tickets) = mpsc::unbounded_channel();
        let (acknowledger, arrivals) = mpsc::unbounded_channel();
        let (goodbye, asked_to_leave) = oneshot::channel();
        self.tickets = Some(tickets);
        self.running = Some(Running {
            acknowledger: acknowledger.clone(),
            fetch: tokio::spawn(fetch::run(self.queue.clone(), tickets_in)),
            heartbeat: tokio::spawn(heartbeat::run(self.queue.clone(), asked_to_leave)),
            goodbye,
        });
        tokio::spawn(acknowledge::run(self.queue.clone(), arrivals));
        AcknowledgeLayer { queue: self.queue.clone(), acknowledger }
    }
}

/// Called when every handler has ended: gives back what was claimed and not begun, waits until the
/// last acknowledgement is in the database, and only then lets the heartbeat end.
async fn close(
    queue: Arc<Queue>,
    tickets: Option<mpsc::UnboundedReceiver<Task<Vec<u8>>>>,
    running: Option<Running>,
) {
    // apalis may stop for reasons of its own; claiming must end either way.
    queue.stop.finish();
    let Some(Running { acknowledger, fetch, heartbeat, goodbye }) = running else { return };
    // Ends after the claim under way, whose tickets are then in the channel.
    if fetch.await.is_err() {
        queue.fail(QueueFailure::FetchPanicked);
    }
    if let Some(mut tickets) = tickets {
        while let Some(task) = tickets.recv().await {
            if let Some(id) = task.task_id().and_then(TaskId::as_string) {
                let unstarted = Acknowledgement::Ticket(id.to_owned(), Disposition::Released);
                let _ = acknowledger.send(unstarted);
            }
        }
    }
    let (flushed, all_flushed) = oneshot::channel();
    let _ = acknowledger.send(Acknowledgement::Flush(flushed));
    let _ = all_flushed.await;
    let _ = goodbye.send(());
    let _ = heartbeat.await;
}
