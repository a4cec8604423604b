//! Build: the carrier plugin says what request would send the message, and the token that it asks for is there.

use std::sync::Arc;

use dripline_domain::breaker::Sign;
use dripline_domain::delivery::AttemptOutcome;
use dripline_plugin_host::Request;
use dripline_plugin_host::{CallError, DuplicateClass, NoToken, Outgoing, outcome};
use dripline_store::delivery::DueDelivery;
use dripline_store::ops::{GivenKey, GivenReference};

use super::Outcome;
use super::breakers::Permit;
use super::by_route::by_route;
use super::routes::ReadyRoute;
use super::tokens::HeldToken;
use crate::batch::Batcher;
use crate::crash::crash_point;
use crate::environment::Environment;

type Built = Result<Request, CallError>;

/// All that is needed to send a message.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) request: Request,
    /// Of a request that asks for one.
    pub(super) token: Option<Arc<HeldToken>>,
}

/// The stage.
#[derive(Clone, Debug)]
pub(super) struct Build {
    environment: Arc<Environment>,
    batcher: Batcher<(Arc<ReadyRoute>, Outgoing), Built>,
}

impl Build {
    pub(super) fn start(environment: &Arc<Environment>) -> Self {
        let batcher = Batcher::spawn("build", environment.batches.plugins, build);
        Self { environment: environment.clone(), batcher }
    }

    /// Builds the request of the attempt that will be marked next. Done before the mark, so that as
    /// little as possible can go wrong after it.
    pub(super) async fn call(
        &self,
        delivery: &DueDelivery,
        route: &Arc<ReadyRoute>,
        text: String,
        permit: Permit,
    ) -> Result<(Prepared, Permit), Outcome> {
        let reference = self.reference(delivery, route);
        let message = Outgoing {
            callback_url: route.callback_url(&reference),
            reference,
            sender: route.sender(delivery.contact_id).to_owned(),
            recipient: delivery.phone.as_str().to_owned(),
            text,
        };
        let built = self.batcher.call((route.clone(), message)).await;
        crash_point!("build-done");
        match built {
            Ok(Ok(request)) => self.authorize(delivery, route, request, permit).await,
            Ok(Err(error)) => {
                let sign = match &error {
                    // It may fail for this message only.
                    CallError::Plugin(_) => Sign::Down,
                    CallError::Failure(failure) if failure.is_about_route() => Sign::Out,
                    CallError::Failure(_) => Sign::Silent,
                };
                match outcome::before_wire(&route.carrier, &error) {
                    AttemptOutcome::NotSent { reason, .. } if sign != Sign::Silent => {
                        Err(permit.unprepared(delivery, sign, reason, None))
                    }
                    _ => Err(Outcome::before_wire(delivery, &route.carrier, &error)),
                }
            }
            Err(_) => Err(Outcome::Interrupted),
        }
    }

    /// Gets the token that the request asks for. Without one nothing is sent, and that is the route's fault.
    async fn authorize(
        &self,
        delivery: &DueDelivery,
        route: &Arc<ReadyRoute>,
        request: Request,
        permit: Permit,
    ) -> Result<(Prepared, Permit), Outcome> {
        let token = tokio::select! {
            biased;
            token = route.token_for(&self.environment, &request) => token,
            () = self.environment.stop.dropping() => return Err(Outcome::Released),
        };
        match token {
            Ok(token) => Ok((Prepared { request, token }, permit)),
            Err(NoToken { reason, retry_after }) => {
                Err(permit.unprepared(delivery, Sign::Out, reason, retry_after))
            }
        }
    }

    /// Our name for the attempt that will be marked next, unique among all installations. A carrier that
    /// keeps it as a key gets the same one for every attempt of the delivery, with a 0 for all of them.
    pub(super) fn reference(&self, delivery: &DueDelivery, route: &ReadyRoute) -> String {
        let installation = self.environment.installation_id.simple();
        let attempt = match route.duplicates {
            DuplicateClass::Key => 0,
            DuplicateClass::Query | DuplicateClass::Lost => delivery.attempt + 1,
        };
        format!("{installation}-{}-{attempt}", delivery.delivery_id)
    }

    /// What is recorded of the reference with the mark: something only where the carrier can be asked by
    /// it, or keeps it.
    pub(super) fn given(
        &self,
        delivery: &DueDelivery,
        route: &ReadyRoute,
        request: &Request,
    ) -> Option<GivenReference> {
        if route.duplicates == DuplicateClass::Lost {
            return None;
        }
        let key = route
            .key_lifetime
            .map(|lifetime| GivenKey { lifetime, request_digest: request.digest() });
        Some(GivenReference {
            route_id: route.route_id,
            route_revision: route.revision,
            carrier: route.carrier.clone(),
            reference: self.reference(delivery, route),
            key,
        })
    }
}

async fn build(batch: Vec<(Arc<ReadyRoute>, Outgoing)>) -> Vec<Built> {
    let (groups, mut answers) = by_route(batch);
    for mut group in groups {
        let messages = group.take();
        let route = &group.route;
        let built = route
            .plugins
            .build_requests(&route.carrier, &route.settings, route.grant.secrets(), messages)
            .await;
        answers.fill(&group, built);
    }
    answers.finish()
}
