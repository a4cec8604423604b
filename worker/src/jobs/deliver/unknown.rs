//! What can be done about a message of which nobody knows whether its carrier took it: make the same
//! request again, where the carrier keeps its key, or ask the carrier.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dripline_domain::delivery::Reason;
use dripline_domain::evidence::{Evidence, Finding};
use dripline_plugin_host::egress::WireOutcome;
use dripline_plugin_host::outcome::{Answered, answered};
use dripline_plugin_host::{CallError, DuplicateClass, NoToken, PluginError, Question};
use dripline_store::delivery::{self, DueRoute};
use dripline_store::inquiry::Inquiry;
use dripline_store::ops::{self, Repeat, RepeatRequest, Resolution};
use uuid::Uuid;

use super::failover::Choice;
use super::routes::{ReadyRoute, Unready};
use super::send::LEAVE_WITHIN;
use super::{Deliver, Outcome};
use crate::outage::Unanswered;

/// What an inquiry came to.
#[derive(Debug)]
pub(crate) enum Inquired {
    /// There is evidence now, for [`ops::resolve_unknown()`].
    Evidence(Resolution),
    /// The request was made again, and what came of it is settled.
    Repeated,
    /// Nothing came of it now.
    Nothing(Reason),
    /// The daemon is being abandoned.
    Abandoned,
}

impl Deliver {
    /// Inquires about one unknown delivery that this worker has taken on.
    pub(crate) async fn inquire(&self, inquiry: &Inquiry) -> Inquired {
        let route = match self.routes.find(inquiry.route_id, inquiry.route_revision).await {
            Ok(route) => route,
            Err(Unready::Interrupted) => return Inquired::Abandoned,
            Err(Unready::Unusable(reason)) => return Inquired::Nothing(reason),
        };
        if route.carrier != inquiry.carrier {
            return nothing("route_changed", "the route goes over another carrier now");
        }
        match route.duplicates {
            DuplicateClass::Key if inquiry.keyed => self.repeat(inquiry, &route).await,
            DuplicateClass::Query => self.ask(inquiry, &route).await,
            DuplicateClass::Key | DuplicateClass::Lost => {
                nothing("no_key", "the carrier can neither be asked nor told again")
            }
        }
    }

    /// Makes the same request again. It is built anew from what the message would be now; the mark
    /// refuses it unless that is the very request that was made.
    async fn repeat(&self, inquiry: &Inquiry, route: &Arc<ReadyRoute>) -> Inquired {
        let id = inquiry.delivery_id;
        let pool = &self.environment.pool;
        let loaded = self.environment.outage.outlast("delivery.load_unknown", || {
            delivery::load_unknown(pool, std::slice::from_ref(&id))
        });
        let mut delivery = match loaded.await {
            Ok(mut found) => match found.pop() {
                Some(delivery) if delivery.attempt == inquiry.attempt => delivery,
                _ => return nothing("not_unknown", "somebody else has decided about it"),
            },
            Err(error) => return undone(error),
        };
        let routes = [Some(delivery.route), delivery.failover];
        let same = |route: &DueRoute| route.route_id == inquiry.route_id;
        let Some(over) = routes.into_iter().flatten().find(same) else {
            return nothing("other_request", "its step goes over another route now");
        };
        if over.is_paused {
            return nothing("route_paused", "its route is paused");
        }
        let Ok(permit) = self.breakers.admit(&delivery, Choice::only(over)) else {
            return nothing("route_halted", "its route is halted");
        };
        let prepared = async {
            let text = self.render.call(&mut delivery).await?;
            let segments = route.count_segments(&delivery, &text)?;
            let (prepared, permit) = self.build.call(&delivery, route, text, permit).await?;
            Ok::<_, Outcome>((segments, prepared, permit.renew(&delivery)?))
        };
        let (segments, prepared, permit) = match prepared.await {
            Ok(prepared) => prepared,
            Err(Outcome::Interrupted) => return Inquired::Abandoned,
            Err(outcome) => {
                tracing::debug!(delivery.id = %id, ?outcome, "a request cannot be built again");
                return nothing("other_request", "its request cannot be built again");
            }
        };
        // A full line is no reason to ask less often: the carrier keeps the key for a while only.
        let place = route.lane.enter_anyway().await;
        let Some(reference) = self.build.given(&delivery, route, &prepared.request) else {
            return nothing("no_key", "the carrier keeps no key of it");
        };
        if self.environment.stop.is_finishing() {
            return Inquired::Abandoned;
        }
        let repeat =
            RepeatRequest { delivery_id: id, attempt: delivery.attempt, segments, reference };
        let marking = Instant::now();
        match self.mark_again(&repeat).await {
            Ok(Repeat::Started) => {}
            Ok(Repeat::Stale(reason)) => {
                tracing::debug!(delivery.id = %id, ?reason, "not repeated");
                return nothing("not_repeated", format!("it may not be repeated: {reason:?}"));
            }
            Err(error) => return undone(error),
        }
        let attempt = delivery.attempt + 1;
        self.environment.journal.start([(id, attempt)]).await;
        let outcome = self.send.call(&delivery, route, prepared, marking, permit).await;
        place.leave();
        self.settle.finish(id, attempt, outcome).await;
        Inquired::Repeated
    }

    /// The mark of a repetition. Those are few, and need no batch.
    async fn mark_again(&self, repeat: &RepeatRequest) -> Result<Repeat, Unanswered> {
        let environment = &self.environment;
        let batch_id = Uuid::now_v7();
        let repeats = environment
            .outage
            .outlast("op.repeat_attempts", || {
                ops::repeat_attempts(
                    &environment.pool,
                    &*environment.clock,
                    environment.worker_id,
                    batch_id,
                    std::slice::from_ref(repeat),
                )
            })
            .await?;
        Ok(repeats.into_iter().next().unwrap_or(Repeat::Stale(ops::StaleRepeat::NotUnknown)))
    }

    /// Asks the carrier, by the reference that it was given.
    async fn ask(&self, inquiry: &Inquiry, route: &Arc<ReadyRoute>) -> Inquired {
        let question = Question {
            reference: inquiry.reference.clone(),
            sender: route.sender(inquiry.contact_id).to_owned(),
            recipient: inquiry.phone.as_str().to_owned(),
            attempted_at_ms: u64::try_from(inquiry.marked_at.timestamp_millis()).unwrap_or(0),
        };
        let (plugins, carrier) = (&route.plugins, &route.carrier);
        let one = vec![question.clone()];
        let secrets = route.grant.secrets();
        let built = plugins.build_questions(carrier, &route.settings, secrets, one).await.pop();
        let request = match built.unwrap_or(Err(PluginError::HostStopped.into())) {
            Ok(request) => request,
            Err(error) => return cannot_ask(&error),
        };
        let token = match route.token_for(&self.environment, &request).await {
            Ok(token) => token,
            Err(NoToken { reason, .. }) => return Inquired::Nothing(reason),
        };
        let grant = route.grant_with(token.as_deref());
        let wire = self.environment.wire.send(grant, request).await;
        if let Some(token) = &token {
            // It is asked again in any case.
            let _ = route.learn(token, &wire);
        }
        let reading = match &wire {
            WireOutcome::Response(response) => {
                let one = vec![(question, response.clone())];
                let read = plugins.read_findings(carrier, &route.settings, one).await.pop();
                Some(read.unwrap_or(Err(PluginError::HostStopped.into())))
            }
            WireOutcome::NotSent { .. } | WireOutcome::Uncertain { .. } => None,
        };
        match answered(carrier, &wire, reading.as_ref()) {
            Answered::Has { carrier_reference } => {
                let reason = "the carrier was asked and has it";
                Inquired::Evidence(evidence(inquiry, Finding::Sent, carrier_reference, reason))
            }
            // Another account of the carrier would not have it either.
            Answered::HasNot if route.revision != inquiry.route_revision => {
                nothing("route_changed", "the route was changed since, so that its no says nothing")
            }
            Answered::HasNot if inquiry.age < Self::final_after(inquiry, route) => {
                nothing("not_final", "the carrier does not have it yet")
            }
            Answered::HasNot => {
                let reason = "the carrier was asked and does not have it";
                Inquired::Evidence(evidence(inquiry, Finding::NotSent, None, reason))
            }
            Answered::Nothing(reason) => Inquired::Nothing(reason),
        }
    }

    /// How long after the mark the carrier's no is its last word. A worker that is taken for dead may only
    /// have been stopped, and what it had marked may still leave for a while.
    fn final_after(inquiry: &Inquiry, route: &ReadyRoute) -> Duration {
        if inquiry.orphaned { route.final_after + LEAVE_WITHIN } else { route.final_after }
    }
}

fn evidence(
    inquiry: &Inquiry,
    finding: Finding,
    carrier_reference: Option<String>,
    reason: &str,
) -> Resolution {
    Resolution {
        delivery_id: inquiry.delivery_id,
        attempt: Some(inquiry.attempt),
        evidence: Evidence::Carrier(finding),
        carrier_reference,
        reason: Some(reason.to_owned()),
    }
}

fn cannot_ask(error: &CallError) -> Inquired {
    nothing(
        "cannot_ask",
        match error {
            CallError::Failure(failure) => format!("the plugin cannot ask: {}", failure.code),
            CallError::Plugin(error) => error.to_string(),
        },
    )
}

fn nothing(code: &str, text: impl Into<String>) -> Inquired {
    Inquired::Nothing(Reason::new(code, text))
}

fn undone(error: Unanswered) -> Inquired {
    match error {
        Unanswered::Abandoned => Inquired::Abandoned,
        Unanswered::Refused(error) => {
            let error = anyhow::Error::from(error);
            tracing::error!("the database refused an inquiry: {error:#}");
            nothing("database", "the database refused")
        }
    }
}
