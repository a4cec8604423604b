//! Hear: the carrier plugin says what a request that the carrier made to us tells.

use std::sync::Arc;

use dripline_domain::delivery::Reason;
use dripline_plugin_host::egress::Redactor;
use dripline_plugin_host::{Heard, Hook, HookError, PluginError};
use dripline_store::callback::Callback;

use super::Deliver;
use super::by_route::by_route;
use super::routes::{ReadyRoute, Unready};
use crate::batch::{BatchLimits, Batcher};

/// Requests that share an instance, and one batch of them at a time: what carriers say may wait, and takes no more than one of
/// the threads on which messages are made.
const LIMITS: BatchLimits = BatchLimits { size: 64, concurrent: 1 };

/// Why nothing is known of what a carrier says.
#[derive(Debug)]
pub(crate) enum Unheard {
    /// This worker cannot use the route.
    Unusable(Reason),
    /// The plugin gave nothing that may be believed.
    Hook(HookError),
    /// The database refused, or the daemon was abandoned.
    Interrupted,
}

/// The stage.
#[derive(Clone, Debug)]
pub(super) struct Hear {
    batcher: Batcher<(Arc<ReadyRoute>, Hook), Result<Heard, HookError>>,
}

impl Hear {
    pub(super) fn start() -> Self {
        Self { batcher: Batcher::spawn("hear", LIMITS, read) }
    }
}

impl Deliver {
    /// Reads a request that was made to a route's callback, with the settings, the secrets and the plugin by which
    /// messages are sent over it.
    pub(crate) async fn hear(&self, callback: &Callback, hook: Hook) -> Result<Heard, Unheard> {
        let route = match self.routes.find(callback.route_id, callback.revision).await {
            Ok(route) => route,
            Err(Unready::Unusable(reason)) => return Err(Unheard::Unusable(reason)),
            Err(Unready::Interrupted) => return Err(Unheard::Interrupted),
        };
        match self.hear.batcher.call((route, hook)).await {
            Ok(read) => read.map_err(Unheard::Hook),
            Err(_) => Err(Unheard::Hook(PluginError::HostStopped.into())),
        }
    }
}

async fn read(batch: Vec<(Arc<ReadyRoute>, Hook)>) -> Vec<Result<Heard, HookError>> {
    let (groups, mut answers) = by_route(batch);
    for mut group in groups {
        let hooks = group.take();
        let route = &group.route;
        let secrets = route.grant.secrets();
        let read = route.plugins.read_hooks(&route.carrier, &route.settings, secrets, hooks).await;
        // What is heard is kept, and what is not is told to people.
        let redactor = Redactor::new(secrets);
        let shown = read.into_iter().map(|one| match one {
            Ok(heard) => Ok(heard.redacted(&redactor)),
            Err(error) => Err(error.redacted(&redactor)),
        });
        answers.fill(&group, shown.collect());
    }
    answers.finish()
}
