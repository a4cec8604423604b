//! The tower layer that hears what became of each ticket.

use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use apalis_core::task::task_id::TaskId;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tower::{Layer, Service};

use super::acknowledge::Acknowledgement;
use super::{Disposition, Queue};

/// Hands every ticket's end to the acknowledger, whose COMMITs are shared by all that wait.
#[derive(Clone, Debug)]
pub struct AcknowledgeLayer {
    pub(super) queue: Arc<Queue>,
    pub(super) acknowledger: mpsc::UnboundedSender<Acknowledgement>,
}

impl<S> Layer<S> for AcknowledgeLayer {
    type Service = AcknowledgeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AcknowledgeService { inner, layer: self.clone() }
    }
}

/// The service of [`AcknowledgeLayer`].
#[derive(Clone, Debug)]
pub struct AcknowledgeService<S> {
    inner: S,
    layer: AcknowledgeLayer,
}

impl<S> Service<Task<Vec<u8>>> for AcknowledgeService<S>
where
    S: Service<Task<Vec<u8>>, Response = Disposition>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError> + Send,
{
    type Response = Disposition;
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<Disposition, BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Vec<u8>>) -> Self::Future {
        let ticket = TicketGuard {
            ticket_id: task.task_id().and_then(TaskId::as_string).map(str::to_owned),
            layer: self.layer.clone(),
        };
        let handled = self.inner.call(task);
        Box::pin(async move {
            let result = handled.await.map_err(Into::into);
            let disposition = match &result {
                Ok(disposition) => *disposition,
                Err(error) => {
                    tracing::error!("a ticket's handler failed: {error}");
                    // The ticket goes. If its delivery still waits, the sweep for missing tickets
                    // issues another one in its own time, which keeps a poisoned one from spinning.
                    Disposition::Done
                }
            };
            ticket.end(disposition);
            result
        })
    }
}

/// Gives the ticket's room back however its handling ends.
struct TicketGuard {
    ticket_id: Option<String>,
    layer: AcknowledgeLayer,
}

impl TicketGuard {
    fn end(mut self, disposition: Disposition) {
        if let Some(ticket_id) = self.ticket_id.take() {
            // The acknowledger outlives the backend unless the daemon is abandoned.
            self.layer.queue.suspect_ended(&ticket_id);
            let _ = self.layer.acknowledger.send(Acknowledgement::Ticket(ticket_id, disposition));
        }
    }
}

impl Drop for TicketGuard {
    fn drop(&mut self) {
        if let Some(ticket_id) = &self.ticket_id {
            self.layer.queue.suspect_ended(ticket_id);
        }
        self.layer.queue.room.add_permits(1);
    }
}
