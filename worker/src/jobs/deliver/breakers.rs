//! Breakers: a route whose carrier is down is left alone, and what is due for it waits.
//!
//! Each worker has its own, in memory, and decides by what it has seen itself. What it decides is
//! written down for people; no worker reads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use dripline_domain::breaker::{Admission, Breaker, BreakerPolicy, Change, Pass, Sign, Symptom};
use dripline_domain::delivery::{AttemptOutcome, Reason};
use dripline_domain::ids::RouteId;
use dripline_store::delivery::{DueDelivery, DueRoute};
use dripline_store::ops::GiveUp;
use dripline_store::route_halt::{self, NewHalt};
use tokio::sync::mpsc;

use super::Outcome;
use super::failover::Choice;
use crate::environment::Environment;

/// The breakers of all routes that this worker has met.
#[derive(Debug)]
pub(super) struct Breakers {
    environment: Arc<Environment>,
    policy: BreakerPolicy,
    routes: Mutex<HashMap<RouteId, Breaker>>,
    notes: mpsc::UnboundedSender<Note>,
}

/// Something to be written down.
#[derive(Debug)]
enum Note {
    Halted(NewHalt),
    Resumed(RouteId),
}

impl Breakers {
    /// With every route running. Must be called inside the runtime.
    pub(super) fn start(environment: &Arc<Environment>) -> Arc<Self> {
        let (notes, arrivals) = mpsc::unbounded_channel();
        tokio::spawn(write_down(environment.clone(), arrivals));
        Arc::new(Self {
            environment: environment.clone(),
            policy: environment.breaker,
            routes: Mutex::default(),
            notes,
        })
    }

    /// Leave to hand over the delivery by one of its routes, or its postponement while they are halted.
    pub(super) fn admit(
        self: &Arc<Self>,
        delivery: &DueDelivery,
        choice: Choice,
    ) -> Result<Permit, Outcome> {
        let now = self.environment.clock.now();
        // Nobody stands in line at a route whose place another one takes, nor at the one that is halted for longer.
        let route = match choice.instead {
            Some(instead) if self.free_at(instead, now) < self.free_at(choice.wanted, now) => {
                instead
            }
            _ => choice.wanted,
        };
        match self.with(route.route_id, |breaker| breaker.admit(now)) {
            Admission::Go(pass) => Ok(Permit {
                breakers: self.clone(),
                route,
                other: choice.other(route),
                pass: Some(pass),
            }),
            Admission::Wait { until } => Err(Outcome::postponed(delivery, until)),
        }
    }

    /// From when on the route takes somebody, be it as its probe; now if it does at once.
    fn free_at(&self, route: DueRoute, now: DateTime<Utc>) -> DateTime<Utc> {
        self.with(route.route_id, |breaker| breaker.free_at(now))
    }

    fn with<T>(&self, route_id: RouteId, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        act(routes.entry(route_id).or_insert_with(|| Breaker::new(self.policy)))
    }

    fn record(&self, route_id: RouteId, pass: Pass, sign: Sign, outcome: &AttemptOutcome) {
        let now = self.environment.clock.now();
        let wish = match outcome {
            AttemptOutcome::NotSent { retry_after, .. } => *retry_after,
            _ => None,
        };
        self.with(route_id, |breaker| {
            let change = breaker.record(pass, sign, wish, now, &mut rand::rng());
            // Told under the lock, so that the changes of a route are told in their order.
            if let Some(change) = change {
                self.tell(route_id, change, outcome, now);
            }
        });
    }

    /// Logs each change once, and quietly each probe in between; has it written down.
    fn tell(&self, route_id: RouteId, change: Change, outcome: &AttemptOutcome, at: DateTime<Utc>) {
        let reason = outcome.reason().cloned().unwrap_or_else(|| Reason::new("down", ""));
        let note = match change {
            Change::Resumed => {
                tracing::warn!(route.id = %route_id, "route runs again");
                Note::Resumed(route_id)
            }
            Change::Halted { probe_at, failed_probes } => {
                if failed_probes == 0 {
                    tracing::warn!(route.id = %route_id, %reason, %probe_at, "route halted");
                } else {
                    tracing::debug!(
                        route.id = %route_id, %reason, %probe_at, failed_probes,
                        "route stays halted"
                    );
                }
                Note::Halted(NewHalt { route_id, at, probe_at, failed_probes, reason })
            }
        };
        // Nobody listens only when the daemon is being abandoned.
        let _ = self.notes.send(note);
    }
}

/// Writes down one after the other, so that the last word on a route is the last thing that happened.
async fn write_down(environment: Arc<Environment>, mut arrivals: mpsc::UnboundedReceiver<Note>) {
    while let Some(note) = arrivals.recv().await {
        let Environment { pool, clock, outage, worker_id, .. } = &*environment;
        let written = outage
            .outlast("route_halt.record", || async {
                match &note {
                    Note::Halted(halt) => route_halt::record(pool, *worker_id, halt).await,
                    Note::Resumed(route_id) => {
                        route_halt::resume(pool, *worker_id, *route_id, clock.now()).await
                    }
                }
            })
            .await;
        if let Err(error) = written {
            tracing::warn!("what became of a route was not written down: {error}");
        }
    }
}

/// Leave to hand over one delivery by a route. Dropped without a word, it has shown nothing.
#[derive(Debug)]
pub(super) struct Permit {
    breakers: Arc<Breakers>,
    pub(super) route: DueRoute,
    /// The route that the delivery could go over instead.
    pub(super) other: Option<DueRoute>,
    pass: Option<Pass>,
}

impl Permit {
    /// The last look before the mark: when the route has changed since the permit was given, the
    /// delivery needs another one, or stands in line with the others.
    pub(super) fn renew(self, delivery: &DueDelivery) -> Result<Self, Outcome> {
        if self.is_valid() { Ok(self) } else { self.again(delivery) }
    }

    /// Another permit for the same route. While that is halted, and the other one is not, the delivery is looked
    /// at again at once, to be made ready for the other.
    fn again(&self, delivery: &DueDelivery) -> Result<Self, Outcome> {
        let now = self.breakers.environment.clock.now();
        let is_free = |route| self.breakers.free_at(route, now) <= now;
        if !is_free(self.route) && self.other.is_some_and(is_free) {
            return Err(Outcome::postponed(delivery, now));
        }
        self.breakers.admit(delivery, Choice::only(self.route))
    }

    /// The delivery could not be prepared. `sign`: what that says of its route. It waits while that is halted, as it
    /// is when no message could have been prepared for it ([`Sign::Out`]); what may be its own fault counts as an
    /// attempt. `retry_after`: how long the carrier asks to be left alone.
    pub(super) fn unprepared(
        mut self,
        delivery: &DueDelivery,
        sign: Sign,
        reason: Reason,
        retry_after: Option<Duration>,
    ) -> Outcome {
        let was_halted = !self.is_valid();
        let outcome = AttemptOutcome::NotSent { reason: reason.clone(), retry_after };
        if let Some(pass) = self.pass.take() {
            self.breakers.record(self.route.route_id, pass, sign, &outcome);
        }
        if (was_halted || sign == Sign::Out)
            && let Err(postponed) = self.again(delivery)
        {
            return postponed;
        }
        Outcome::given_up(delivery, GiveUp::Retry(reason))
    }

    fn is_valid(&self) -> bool {
        self.pass.as_ref().is_some_and(|pass| {
            self.breakers.with(self.route.route_id, |breaker| breaker.is_valid(pass))
        })
    }

    /// What the hand-over showed, and what it meant for the delivery.
    pub(super) fn report(mut self, symptom: Symptom, outcome: &AttemptOutcome) {
        if let Some(pass) = self.pass.take() {
            self.breakers.record(self.route.route_id, pass, symptom.sign(), outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            let nothing =
                AttemptOutcome::NotSent { reason: Reason::new("", ""), retry_after: None };
            self.breakers.record(self.route.route_id, pass, Sign::Silent, &nothing);
        }
    }
}
