//! Send: the wire, and what its answer means. No transaction is open here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dripline_domain::breaker::Symptom;
use dripline_domain::delivery::{AttemptOutcome, Reason};
use dripline_plugin_host::PluginError;
use dripline_plugin_host::Request;
use dripline_plugin_host::Response;
use dripline_plugin_host::egress::{Grant, WireOutcome};
use dripline_plugin_host::outcome;
use dripline_plugin_host::{Accepted, CallError};
use dripline_store::delivery::DueDelivery;
use tracing::Instrument;

use super::breakers::Permit;
use super::build::Prepared;
use super::by_route::by_route;
use super::routes::ReadyRoute;
use super::tokens::Refusal;
use crate::batch::Batcher;
use crate::crash::crash_point;
use crate::environment::Environment;

/// How long after its mark was begun a message may still begin to leave. What a frozen process sent later
/// would come behind a carrier's final word that it does not have the message, or behind the end of its key.
pub(super) const LEAVE_WITHIN: Duration = Duration::from_mins(1);
/// The reason code of what we ourselves have dropped.
const STOPPED: &str = "worker_stopped";

type Reading = Result<Accepted, CallError>;

/// The stage.
#[derive(Clone, Debug)]
pub(super) struct Send {
    environment: Arc<Environment>,
    read: Batcher<(Arc<ReadyRoute>, Response), Reading>,
}

impl Send {
    pub(super) fn start(environment: &Arc<Environment>) -> Self {
        let read = Batcher::spawn("read", environment.batches.plugins, read);
        Self { environment: environment.clone(), read }
    }

    /// Sends an attempt whose mark was begun at `marking`, at most once. Always ends in an outcome.
    pub(super) async fn call(
        &self,
        delivery: &DueDelivery,
        route: &Arc<ReadyRoute>,
        prepared: Prepared,
        marking: Instant,
        permit: Permit,
    ) -> AttemptOutcome {
        if let Some(reason) = self.too_late(delivery, marking) {
            return AttemptOutcome::NotSent { reason, retry_after: None };
        }
        let (wire, refusals) = self.hand_over(delivery, route, prepared, marking).await;
        let reading = match &wire {
            WireOutcome::Response(response) => {
                let read = self.read.call((route.clone(), response.clone())).await;
                // An answer that no plugin could read is judged by its status.
                Some(read.unwrap_or(Err(CallError::Plugin(PluginError::HostStopped))))
            }
            WireOutcome::NotSent { .. } | WireOutcome::Uncertain { .. } => None,
        };
        crash_point!("read-done");
        let mut outcome = outcome::decide(&route.carrier, &wire, reading.as_ref());
        let mut symptom = symptom(&wire, reading.as_ref());
        if let Some(refusals) = refusals {
            outcome = outcome::with_token(outcome, &wire);
            symptom = refusals.last.and_then(Refusal::symptom).unwrap_or(symptom);
            if refusals.again {
                permit.report(Symptom::AccessRevoked, &revoked());
                return outcome;
            }
        }
        permit.report(symptom, &outcome);
        outcome
    }

    /// The exchange, and what the carrier made of the request's token; `None` for a request without one. A request
    /// whose token it refuses was not looked at, and is made once more with another one.
    async fn hand_over(
        &self,
        delivery: &DueDelivery,
        route: &Arc<ReadyRoute>,
        prepared: Prepared,
        marking: Instant,
    ) -> (WireOutcome, Option<Refusals>) {
        let Prepared { request, token } = prepared;
        let Some(token) = token else {
            return (self.exchange(&route.grant, route, request).await, None);
        };
        let wire = self.exchange(&token.grant, route, request.clone()).await;
        let Some(refusal) = route.learn(&token, &wire) else {
            return (wire, Some(Refusals::default()));
        };
        let refusals = Refusals { last: Some(refusal), again: refusal == Refusal::EarlyAgain };
        let another = tokio::select! {
            biased;
            another = route.another_token(&self.environment, &token, refusal) => another,
            () = self.environment.stop.dropping() => None,
        };
        let Some(another) = another.filter(|_| self.too_late(delivery, marking).is_none()) else {
            return (wire, Some(refusals));
        };
        let wire = self.exchange(&another.grant, route, request).await;
        let last = route.learn(&another, &wire);
        let again = refusals.again || last == Some(Refusal::EarlyAgain);
        (wire, Some(Refusals { last, again }))
    }

    /// The last look before the wire. The mark may have taken its time, through an outage for one,
    /// and a message that leaves too late is worse than one that does not leave.
    fn too_late(&self, delivery: &DueDelivery, marking: Instant) -> Option<Reason> {
        if self.environment.stop.is_dropping() {
            return Some(Reason::new(STOPPED, "the worker stopped before it was sent"));
        }
        if marking.elapsed() > LEAVE_WITHIN {
            return Some(Reason::new("stalled", "it was marked too long ago to be sent now"));
        }
        let now = self.environment.clock.now();
        let expired = delivery.expires_at.is_some_and(|expires_at| expires_at <= now);
        expired.then(|| Reason::new("expired", "its time passed before it was sent"))
    }

    /// One exchange with the carrier. A second stop signal drops it; what was written by then may
    /// have arrived.
    async fn exchange(&self, grant: &Grant, route: &ReadyRoute, request: Request) -> WireOutcome {
        crash_point!("wire-begin");
        let span = tracing::debug_span!("plugin.carrier.send", carrier = route.carrier);
        let outcome = tokio::select! {
            biased;
            outcome = self.environment.wire.send(grant, request).instrument(span) => outcome,
            () = self.environment.stop.dropping() => WireOutcome::Uncertain {
                status: None,
                reason: Reason::new(STOPPED, "the worker was stopped while it was sent"),
            },
        };
        crash_point!("wire-answered");
        outcome
    }
}

/// What the carrier made of the tokens of one message.
#[derive(Clone, Copy, Debug, Default)]
struct Refusals {
    /// Of the one that it was last sent with; `None`: it was not refused.
    last: Option<Refusal>,
    /// Whether one was refused as [`Refusal::EarlyAgain`] says.
    again: bool,
}

/// Why a route is halted whose tokens are taken back again and again.
fn revoked() -> AttemptOutcome {
    let text = "the carrier took back two tokens within a minute; perhaps somebody else fetches tokens in the same \
                name, of which it keeps the last only";
    AttemptOutcome::NotSent { reason: Reason::new("token_revoked", text), retry_after: None }
}

/// What the exchange showed of the carrier and its plugin.
fn symptom(wire: &WireOutcome, reading: Option<&Reading>) -> Symptom {
    match (wire, reading) {
        (WireOutcome::Response(_), Some(Err(CallError::Plugin(_)))) => Symptom::PluginFailed,
        (WireOutcome::Response(_), Some(Err(CallError::Failure(failure))))
            if failure.is_about_route() =>
        {
            Symptom::RouteRefused
        }
        (WireOutcome::Response(response), _) => Symptom::Answered(response.status),
        (WireOutcome::NotSent { reason }, _) if reason.code == "egress_forbidden" => {
            Symptom::PluginFailed
        }
        (WireOutcome::NotSent { .. }, _) => Symptom::Unreachable,
        (WireOutcome::Uncertain { reason, .. }, _) if reason.code == STOPPED => Symptom::Nothing,
        (WireOutcome::Uncertain { .. }, _) => Symptom::NoAnswer,
    }
}

async fn read(batch: Vec<(Arc<ReadyRoute>, Response)>) -> Vec<Reading> {
    let (groups, mut answers) = by_route(batch);
    for mut group in groups {
        let responses = group.take();
        let route = &group.route;
        let read = route.plugins.read_responses(&route.carrier, &route.settings, responses).await;
        answers.fill(&group, read);
    }
    answers.finish()
}
