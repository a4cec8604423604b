//! Routes as a worker needs them, kept by id and revision.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use dripline_config::SecretReference;
use dripline_domain::delivery::Reason;
use dripline_domain::ids::{ContactId, RouteId};
use dripline_domain::segment::TextRules;
use dripline_domain::sender;
use dripline_plugin_host::DuplicateClass;
use dripline_plugin_host::PluginHost;
use dripline_plugin_host::Settings;
use dripline_plugin_host::egress::{Grant, RouteRights, Secrets};
use dripline_store::delivery::DueDelivery;
use dripline_store::ops::GiveUp;
use dripline_store::route::{self, Route};

use super::Outcome;
use super::lane::Lane;
use super::tokens::Tokens;
use crate::environment::Environment;
use crate::outage::Unanswered;

/// A route with everything resolved that a message needs.
pub(super) struct ReadyRoute {
    pub(super) route_id: RouteId,
    pub(super) carrier: String,
    /// Calls the carrier in the version that the route was made ready with, also after another has come into force: the
    /// answer to what is on the wire is read by the version that made the request.
    pub(super) plugins: PluginHost,
    senders: Vec<String>,
    pub(super) settings: Settings,
    pub(super) grant: Grant,
    pub(super) revision: i64,
    /// What protects against a second copy.
    pub(super) duplicates: DuplicateClass,
    /// How long the carrier keeps our reference as a key, if it does.
    pub(super) key_lifetime: Option<Duration>,
    /// How long after a hand-over the carrier's answer that it does not have a message is believed.
    pub(super) final_after: Duration,
    /// The requests that are on the wire, also those of other revisions.
    pub(super) lane: Lane,
    /// Of a carrier that fetches tokens.
    pub(super) tokens: Option<Arc<Tokens>>,
    /// Where its carrier may report to, with its secret part.
    callback: Option<String>,
    rules: TextRules,
    /// The state of the plugins in which its carrier was last found to be in force.
    plugin_changes: AtomicU64,
}

/// Why a route is not ready.
#[derive(Debug)]
pub(super) enum Unready {
    /// This worker cannot use it, for any message.
    Unusable(Reason),
    /// The database refused, or the daemon was abandoned.
    Interrupted,
}

/// Ready routes, one revision of each.
#[derive(Debug)]
pub(super) struct Routes {
    environment: Arc<Environment>,
    ready: RwLock<HashMap<RouteId, Arc<ReadyRoute>>>,
    lanes: Mutex<HashMap<RouteId, Lane>>,
    /// One loader at a time: a new revision is wanted by a whole batch at once.
    loading: tokio::sync::Mutex<()>,
}

impl Routes {
    pub(super) fn new(environment: Arc<Environment>) -> Self {
        Self {
            environment,
            ready: RwLock::default(),
            lanes: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// The route in that revision, or a later one.
    /// Secrets are read once per revision: to change one, change the route or restart. Another version of its
    /// carrier changes the route, and another plugin does not: its token and its connections stay.
    pub(super) async fn find(
        &self,
        route_id: RouteId,
        revision: i64,
    ) -> Result<Arc<ReadyRoute>, Unready> {
        if let Some(route) = self.known(route_id, revision) {
            return Ok(route);
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(route) = self.known(route_id, revision) {
            return Ok(route);
        }
        let stored = self
            .environment
            .outage
            .outlast("route.load", || route::load(&self.environment.pool, route_id))
            .await;
        let ready = match stored {
            Ok(Some(route)) => self.prepare(route),
            Ok(None) => Err(Reason::new("route_missing", "the step's route does not exist")),
            Err(Unanswered::Abandoned) => return Err(Unready::Interrupted),
            Err(Unanswered::Refused(error)) => {
                let error = anyhow::Error::from(error);
                tracing::error!(route.id = %route_id, "failed to load a route: {error:#}");
                return Err(Unready::Interrupted);
            }
        };
        match ready {
            Ok(route) => {
                let route = Arc::new(route);
                let mut known = self.ready.write().unwrap_or_else(PoisonError::into_inner);
                known.insert(route_id, route.clone());
                Ok(route)
            }
            Err(reason) => {
                tracing::debug!(route.id = %route_id, %reason, "a route cannot be used");
                Err(Unready::Unusable(reason))
            }
        }
    }

    fn known(&self, route_id: RouteId, revision: i64) -> Option<Arc<ReadyRoute>> {
        let known = self.ready.read().unwrap_or_else(PoisonError::into_inner);
        let changes = self.environment.plugins.changes();
        let is_current = |route: &&Arc<ReadyRoute>| {
            route.revision >= revision && route.is_carrier_in_force(changes)
        };
        known.get(&route_id).filter(is_current).cloned()
    }

    /// The route's lane, with so many places from now on.
    fn lane(&self, route_id: RouteId, most: Option<NonZeroU32>) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(route_id).or_insert_with(Lane::new);
        lane.set_most(most);
        lane.clone()
    }

    /// Checks the route against its carrier's manifest and reads its secrets.
    fn prepare(&self, route: Route) -> Result<ReadyRoute, Reason> {
        let carrier = &route.carrier;
        // Read before the manifest: whatever changes in between makes the route be prepared again.
        let plugin_changes = self.environment.plugins.changes();
        let plugins = self.environment.plugins.on_route(route.route_id).holding(carrier);
        let held = plugins.and_then(|plugins| Some((plugins.manifest(carrier)?, plugins)));
        let (manifest, plugins) = held.ok_or_else(|| {
            let text = format!("this worker has no carrier plugin `{carrier}`");
            Reason::new("plugin_not_loaded", text)
        })?;
        let settings = manifest
            .complete_settings(&route.settings, route.secrets.keys().map(String::as_str))
            .map_err(|error| Reason::new("route_settings", error.to_string()))?;
        let rights = RouteRights {
            allowed_origins: &route.allowed_origins,
            allow_loopback: route.allow_loopback,
            secrets: read_secrets(&route)?,
            timeout: route.send_timeout_ms.map(|ms| Duration::from_millis(ms.get().into())),
        };
        let grant = Grant::new(&manifest, &settings, &rights)
            .map_err(|error| Reason::new("route_origins", error.to_string()))?;
        let token = route.callback_token.expose();
        let public_url = self.environment.public_url.as_ref();
        Ok(ReadyRoute {
            route_id: route.route_id,
            callback: public_url.map(|url| url.callback(token)),
            settings,
            grant,
            revision: route.revision,
            duplicates: manifest.duplicates,
            key_lifetime: manifest.key_lifetime(),
            final_after: manifest.lookup_final_after(),
            tokens: plugins.fetches_tokens(carrier).then(Arc::default),
            plugins,
            rules: manifest.texts,
            plugin_changes: plugin_changes.into(),
            carrier: route.carrier,
            senders: route.senders,
            lane: self.lane(route.route_id, route.max_in_flight),
        })
    }
}

/// Reads what the route's references point to. An error names the reference, never the secret.
fn read_secrets(route: &Route) -> Result<Secrets, Reason> {
    let failed = |name: &str, error: &dyn std::fmt::Display| {
        Reason::new("route_secret", format!("secret `{name}`: {error}"))
    };
    let mut secrets = Secrets::default();
    for (name, reference) in &route.secrets {
        let reference: SecretReference = reference.parse().map_err(|error| failed(name, &error))?;
        let secret = reference.resolve().map_err(|error| failed(name, &error))?;
        secrets.insert(name, secret.expose()).map_err(|error| failed(name, &error))?;
    }
    Ok(secrets)
}

/// Shows neither its settings nor its callback, which is a secret.
impl fmt::Debug for ReadyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyRoute")
            .field("route_id", &self.route_id)
            .field("carrier", &self.carrier)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl ReadyRoute {
    /// Whether its carrier is the one that is in force, after so many changes of plugins.
    fn is_carrier_in_force(&self, changes: u64) -> bool {
        if self.plugin_changes.load(Ordering::Relaxed) == changes {
            return true;
        }
        let is_in_force = self.plugins.holds_what_is_in_force();
        if is_in_force {
            self.plugin_changes.store(changes, Ordering::Relaxed);
        }
        is_in_force
    }

    /// Where the carrier may report on the message with this reference of ours. The address names it: not every carrier
    /// gives a reference back, and its own id of a message is not known yet, or never, where its answer is late or lost.
    pub(super) fn callback_url(&self, reference: &str) -> Option<String> {
        self.callback.as_ref().map(|callback| format!("{callback}/{reference}"))
    }

    /// From whom the contact hears.
    pub(super) fn sender(&self, contact_id: ContactId) -> &str {
        sender::of_contact(&self.senders, contact_id).unwrap_or_default()
    }

    /// What the text comes to on this route, by the same rules by which it was priced. A text that
    /// the carrier would never take is refused before anything is sent.
    pub(super) fn count_segments(
        &self,
        delivery: &DueDelivery,
        text: &str,
    ) -> Result<u32, Outcome> {
        let reason = if text.trim().is_empty() {
            Reason::new("empty_text", "the text is empty")
        } else {
            match self.rules.measure(text) {
                Ok(count) => return Ok(count.segments),
                Err(refused) => Reason::new(refused.code(), refused.to_string()),
            }
        };
        Err(Outcome::given_up(delivery, GiveUp::Refused(reason)))
    }
}
