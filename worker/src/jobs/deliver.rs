//! Delivers one message: load, render, build, mark, send, settle.
//!
//! A ticket names a delivery and this is its story. Every stage takes what is waiting as one batch
//! ([`crate::batch`]), so a handler reads as if it were alone while its transactions are shared by
//! hundreds. The COMMIT of the mark is the point of no return: before it a delivery is given up or
//! left alone, after it the attempt is settled with what is known about it, in every case.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use dripline_domain::delivery::{AttemptOutcome, Reason};
use dripline_domain::ids::DeliveryId;
use dripline_plugin_host::{CallError, outcome};
use dripline_store::delivery::DueDelivery;
use dripline_store::ops::{GiveUp, PostponeRequest, WaitsFor};
use dripline_store::queue::read_payload;
use futures::FutureExt;
use tracing::Instrument;

use crate::environment::Environment;
use crate::queue::{Claims, Disposition};

mod breakers;
mod build;
mod by_route;
pub(crate) mod divide;
mod failover;
mod hear;
mod lane;
mod load;
mod mark;
mod render;
mod routes;
mod send;
mod settle;
mod tokens;
mod unknown;

use breakers::Breakers;
use build::Build;
use failover::choose;
use hear::Hear;
pub(crate) use hear::Unheard;
use load::Load;
use mark::Mark;
use render::Render;
use routes::Routes;
use send::Send;
use settle::Settle;
pub(crate) use unknown::Inquired;

/// The handler of delivery tickets, with the batchers of its stages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Deliver {
    environment: Arc<Environment>,
    load: Load,
    breakers: Arc<Breakers>,
    render: Render,
    routes: Arc<Routes>,
    build: Build,
    mark: Mark,
    send: Send,
    settle: Settle,
    hear: Hear,
}

/// How often a delivery looks whether its paused route runs again, in case that nobody wakes it.
const PAUSE_LOOK: Duration = Duration::from_mins(5);

/// How the handling of a ticket ended.
#[derive(Debug)]
enum Outcome {
    /// There was nothing to do: another ticket was quicker, or the delivery is not due, or over.
    Stale,
    /// Nothing was begun, since the daemon stops or its route has changed meanwhile. Its ticket comes back.
    Released,
    /// It ended before the wire. `attempt` is the number of hand-overs before this one.
    GivenUp { delivery_id: DeliveryId, attempt: u32, cause: GiveUp },
    /// Its route or its sender cannot take it now: it waits, and nothing is counted.
    Postponed(PostponeRequest),
    /// It was marked, and this is what is known about the attempt.
    Attempted { delivery_id: DeliveryId, attempt: u32, outcome: AttemptOutcome },
    /// The database refused, or the daemon was abandoned. Nothing can be recorded now; the sweeps
    /// put it right.
    Interrupted,
}

impl Outcome {
    /// The delivery ends or waits, for `cause`, without having been handed over.
    fn given_up(delivery: &DueDelivery, cause: GiveUp) -> Self {
        Self::GivenUp { delivery_id: delivery.delivery_id, attempt: delivery.attempt, cause }
    }

    /// The delivery waits until its carrier can be reached again.
    fn postponed(delivery: &DueDelivery, until: DateTime<Utc>) -> Self {
        Self::waits(delivery, until, WaitsFor::Carrier)
    }

    /// The delivery waits until an operator lets its route run. Nobody looks often: resuming the route brings back
    /// what waits for it.
    fn paused(delivery: &DueDelivery, now: DateTime<Utc>) -> Self {
        let until = now + PAUSE_LOOK.mul_f64(rand::random_range(1.0..1.2));
        Self::waits(delivery, until, WaitsFor::Operator)
    }

    /// The delivery waits, since a route may have sent it that is not one of its routes any more. Nobody looks often:
    /// whoever makes it one again brings back what waits for it.
    fn bound_elsewhere(delivery: &DueDelivery, now: DateTime<Utc>) -> Self {
        let until = now + PAUSE_LOOK.mul_f64(rand::random_range(1.0..1.2));
        Self::waits(delivery, until, WaitsFor::ItsRoute)
    }

    fn waits(delivery: &DueDelivery, until: DateTime<Utc>, waits_for: WaitsFor) -> Self {
        Self::Postponed(PostponeRequest::new(delivery, until, waits_for))
    }

    /// A plugin gave nothing to send. Nothing has left, so that it is given up or tried again,
    /// whatever the plugin says.
    fn before_wire(delivery: &DueDelivery, plugin: &str, error: &CallError) -> Self {
        let cause = match outcome::before_wire(plugin, error) {
            AttemptOutcome::Refused(reason) => GiveUp::Refused(reason),
            AttemptOutcome::NotSent { reason, .. } | AttemptOutcome::Unknown(reason) => {
                GiveUp::Retry(reason)
            }
            AttemptOutcome::Accepted { .. } => unreachable!("nothing is accepted before the wire"),
        };
        Self::given_up(delivery, cause)
    }
}

/// How far a delivery has come, for the case that its handler panics.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    loaded: Option<(DeliveryId, u32)>,
    marked: bool,
}

impl Deliver {
    /// Starts the batchers of the stages. Must be called inside the runtime.
    pub fn start(environment: Arc<Environment>) -> Self {
        Self {
            load: Load::start(&environment),
            breakers: Breakers::start(&environment),
            render: Render::start(&environment),
            routes: Arc::new(Routes::new(environment.clone())),
            build: Build::start(&environment),
            mark: Mark::start(&environment),
            send: Send::start(&environment),
            settle: Settle::start(&environment),
            hear: Hear::start(),
            environment,
        }
    }

    /// Handles one ticket. Handling one twice, late, or for nothing is harmless.
    pub async fn handle(&self, payload: &[u8], claims: Claims) -> Disposition {
        let delivery_id = match read_payload(payload) {
            Ok(delivery_id) => delivery_id,
            Err(error) => {
                tracing::error!(%error, "a ticket that cannot be read is dropped");
                return Disposition::Done;
            }
        };
        let span = tracing::debug_span!("job.deliver", delivery.id = %delivery_id);
        async {
            let mut progress = Progress::default();
            let delivered = AssertUnwindSafe(self.deliver(delivery_id, claims, &mut progress));
            let outcome = match delivered.catch_unwind().await {
                Ok(Ok(outcome) | Err(outcome)) => outcome,
                Err(_) => progress.after_panic(delivery_id),
            };
            self.conclude(outcome).await
        }
        .instrument(span)
        .await
    }

    /// The pipeline. Whatever ends it early is an outcome too, hence the `Err`.
    async fn deliver(
        &self,
        id: DeliveryId,
        claims: Claims,
        progress: &mut Progress,
    ) -> Result<Outcome, Outcome> {
        let mut delivery = self.load.call(id).await?;
        progress.loaded = Some((id, delivery.attempt));
        load::check_time(&delivery, &*self.environment.clock)?;
        load::check_claims(&delivery, claims, self.environment.max_claims)?;
        dripline_store::crash::point_of("handle", id);
        let choice = choose(&delivery, self.environment.clock.now())?;
        let permit = self.breakers.admit(&delivery, choice)?;
        let text = self.render.call(&mut delivery).await?;
        let (route, permit) = self.ready(&delivery, &text, permit).await?;
        let segments = route.count_segments(&delivery, &text)?;
        let (prepared, permit) = self.build.call(&delivery, &route, text, permit).await?;
        let place = route.lane.enter(self.environment.clock.now()).await;
        let place = place.map_err(|until| Outcome::waits(&delivery, until, WaitsFor::Place))?;
        if self.environment.stop.is_finishing() {
            return Err(Outcome::Released);
        }
        let given = self.build.given(&delivery, &route, &prepared.request);
        let permit = permit.renew(&delivery)?;
        let marking = Instant::now();
        let attempt = self.mark.call(&delivery, &route, segments, given).await?;
        progress.marked = true;
        let outcome = self.send.call(&delivery, &route, prepared, marking, permit).await;
        place.leave();
        Ok(Outcome::Attempted { delivery_id: id, attempt, outcome })
    }

    /// All branching on how it ended.
    async fn conclude(&self, outcome: Outcome) -> Disposition {
        match outcome {
            Outcome::Stale | Outcome::Interrupted => {}
            Outcome::Released => return Disposition::Released,
            Outcome::GivenUp { delivery_id, attempt, cause } => {
                self.settle.give_up(delivery_id, attempt, cause).await;
            }
            Outcome::Postponed(request) => self.settle.postpone(request).await,
            Outcome::Attempted { delivery_id, attempt, outcome } => {
                self.settle.finish(delivery_id, attempt, outcome).await;
            }
        }
        Disposition::Done
    }
}

impl Progress {
    /// A panic is our mistake, and costs an attempt: before the mark it was not sent, after it
    /// nobody knows.
    fn after_panic(self, delivery_id: DeliveryId) -> Outcome {
        tracing::error!(delivery.id = %delivery_id, "the handler of a delivery panicked");
        let reason = Reason::new("worker_panic", "the worker failed while it handled the message");
        match self {
            Self { loaded: None, .. } => Outcome::Interrupted,
            Self { loaded: Some((delivery_id, attempt)), marked: false } => {
                Outcome::GivenUp { delivery_id, attempt, cause: GiveUp::Retry(reason) }
            }
            Self { loaded: Some((delivery_id, attempt)), marked: true } => Outcome::Attempted {
                delivery_id,
                attempt: attempt + 1,
                outcome: AttemptOutcome::Unknown(reason),
            },
        }
    }
}
