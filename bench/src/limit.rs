//! What the database alone can do: the same row changes in full batches, without plugins, handlers
//! or a wire. Other figures are shown as a fraction of it.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use dripline_domain::clock::Clock;
use dripline_domain::delivery::AttemptOutcome;
use dripline_domain::ids::WorkerId;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{self, FinishRequest, Start, StartRequest};
use dripline_store::{Pool, delivery, queue, worker_registry};
use uuid::Uuid;

/// The knee of the curve in `performance.md`.
const BATCH: usize = 500;
/// Two connections saturate two cores.
const CONNECTIONS: usize = 2;
const NAME: &str = "bench-limit";

/// Claims, marks, settles and acknowledges everything that is due. Gives messages per second.
pub(crate) async fn drain(
    pool: &Pool,
    clock: Arc<dyn Clock>,
    messages: usize,
) -> anyhow::Result<f64> {
    let registration = worker_registry::register(pool, &*clock, NAME).await?;
    let worker_id = registration.worker_id;
    let begun = Instant::now();
    let loops = (0..CONNECTIONS)
        .map(|_| tokio::spawn(drain_batches(pool.clone(), clock.clone(), worker_id)))
        .collect::<Vec<_>>();
    let mut sent = 0;
    for drained in loops {
        sent += drained.await.context("drain")??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(sent == messages, "{sent} of {messages} messages were sent");
    registration.stop(pool, &*clock).await?;
    Ok(crate::report::per_second(messages, seconds))
}

async fn drain_batches(
    pool: Pool,
    clock: Arc<dyn Clock>,
    worker: WorkerId,
) -> anyhow::Result<usize> {
    let mut sent = 0;
    loop {
        let tickets = queue::claim(&pool, &*clock, NAME, BATCH).await?;
        if tickets.is_empty() {
            return Ok(sent);
        }
        let ids = tickets
            .iter()
            .map(|ticket| queue::read_payload(&ticket.payload))
            .collect::<Result<Vec<_>, _>>()?;
        let due = delivery::load_due(&pool, &ids).await?;
        let starts: Vec<_> = due
            .iter()
            .map(|due| StartRequest {
                delivery_id: due.delivery_id,
                attempt: due.attempt + 1,
                segments: due.held_segments,
                route_id: Some(due.route.route_id),
            })
            .collect();
        let started = ops::start_attempts(&pool, &*clock, worker, Uuid::now_v7(), &starts).await?;
        let finishes: Vec<_> = starts
            .iter()
            .zip(started)
            .filter(|(_, start)| matches!(start, Start::Started { .. }))
            .map(|(start, _)| FinishRequest {
                delivery_id: start.delivery_id,
                attempt: start.attempt,
                outcome: AttemptOutcome::Accepted {
                    carrier_reference: Some(format!("SM{:032x}", start.delivery_id.0)),
                },
            })
            .collect();
        sent += finishes.len();
        let policy = RetryPolicy::default();
        ops::finish_attempts(&pool, &*clock, &policy, worker, Uuid::now_v7(), &finishes).await?;
        let ids: Vec<_> = tickets.into_iter().map(|ticket| ticket.ticket_id).collect();
        queue::acknowledge(&pool, NAME, &ids).await?;
    }
}
