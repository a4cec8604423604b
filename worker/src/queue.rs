//! Our apalis backend on `apalis.jobs`.
//!
//! Three tokio tasks work beside apalis' own loop and outlive every database outage: `fetch` claims
//! tickets, `acknowledge` deletes what was handled, `heartbeat` shows that this process lives, also
//! while it drains. apalis gets its tickets from a channel, and the layer in `middleware` hears what
//! became of each.
//!
//! A ticket is a wake-up call. Nothing here knows about deliveries, messages or money.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dripline_domain::clock::Clock;
use dripline_store::Pool;
use dripline_store::worker_registry::Registration;
use tokio::sync::{Semaphore, oneshot};

use crate::environment::Environment;
use crate::lifecycle::Stop;
use crate::outage::Outage;

mod acknowledge;
mod backend;
mod fetch;
mod heartbeat;
mod middleware;
mod quarantine;

pub use backend::TicketBackend;

/// What became of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It has been dealt with: the ticket is deleted.
    Done,
    /// Nothing was begun: the ticket goes back, for another worker.
    Released,
}

/// How often a ticket has been claimed, this time included. Handlers are given it beside the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims(pub u32);

/// How tickets are claimed.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// Tickets being handled at once, at least 1.
    pub max_in_flight: usize,
    /// Tickets in one claim, at least 1.
    pub claim_size: usize,
    /// The longest wait before an idle worker looks again.
    pub idle_poll: Duration,
    /// Between two signs of life.
    pub heartbeat: Duration,
}

/// What the queue's tasks share.
#[derive(Debug)]
pub struct Queue {
    pool: Pool,
    clock: Arc<dyn Clock>,
    outage: Arc<Outage>,
    stop: Stop,
    worker_name: String,
    options: QueueOptions,
    /// Until the heartbeat's task takes it.
    registration: Mutex<Option<Registration>>,
    /// One permit for each ticket that could be taken on now.
    room: Semaphore,
    /// The tickets this process holds, from their claim to their acknowledgement's COMMIT.
    held: Mutex<HashSet<String>>,
    /// The suspected ticket at work, and who waits for its end.
    suspect: Mutex<Option<(String, oneshot::Sender<()>)>>,
    /// Why the queue ended by itself, if it did.
    failure: Mutex<Option<QueueFailure>>,
}

/// Why the queue ended though nobody asked it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueFailure {
    /// Other workers took this one for dead and dealt with what it had. It must go on under a new
    /// name.
    #[error("other workers took this one for dead")]
    Buried,
    /// A mistake of ours.
    #[error("the task that claims tickets has failed")]
    FetchPanicked,
}

impl Queue {
    /// The queue as the worker of `registration` sees it.
    pub fn new(
        registration: Registration,
        environment: &Environment,
        options: QueueOptions,
    ) -> Self {
        let max_in_flight = options.max_in_flight.clamp(1, Semaphore::MAX_PERMITS);
        let claim_size = options.claim_size.clamp(1, max_in_flight);
        Self {
            pool: environment.pool.clone(),
            clock: environment.clock.clone(),
            outage: environment.outage.clone(),
            stop: environment.stop.clone(),
            worker_name: registration.name.clone(),
            options: QueueOptions { max_in_flight, claim_size, ..options },
            registration: Mutex::new(Some(registration)),
            room: Semaphore::new(max_in_flight),
            held: Mutex::default(),
            suspect: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Why the queue ended by itself, if it did.
    pub fn failure(&self) -> Option<QueueFailure> {
        *lock(&self.failure)
    }

    /// Ends the queue for a reason of its own: what was begun is finished first.
    fn fail(&self, failure: QueueFailure) {
        tracing::error!("stopping: {failure}");
        lock(&self.failure).get_or_insert(failure);
        self.stop.finish();
    }

    /// If that was the suspected ticket at work, the next one has its turn.
    fn suspect_ended(&self, ticket_id: &str) {
        let mut suspect = lock(&self.suspect);
        if suspect.as_ref().is_some_and(|(at_work, _)| at_work == ticket_id)
            && let Some((_, ended)) = suspect.take()
        {
            // Nobody waits any more when the daemon stops.
            let _ = ended.send(());
        }
    }

    fn held(&self) -> MutexGuard<'_, HashSet<String>> {
        lock(&self.held)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
