//! Routes that another version of their carrier would not fit.

use std::fmt;

use dripline_plugin_host::egress::RouteRights;
use dripline_plugin_host::{Manifest, PluginInfo};
use dripline_store::route::Route;
use dripline_store::{account, route};
use serde::Serialize;

use crate::commands::route::draft;
use crate::context::Context;

/// A route that could not send, or not everything, with the version.
#[derive(Debug, Serialize)]
pub(super) struct Misfit {
    account: String,
    route: String,
    reason: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, route, reason } = self;
        write!(f, "route `{route}` of account `{account}`: {reason}")
    }
}

/// The routes of all accounts that a version of their carrier does not fit, by account and name.
pub(super) async fn of(version: &PluginInfo, ctx: &Context) -> anyhow::Result<Vec<Misfit>> {
    let Some(manifest) = &version.manifest else { return Ok(Vec::new()) };
    let pool = ctx.pool().await?;
    let mut routes = Vec::new();
    for listed in account::list(pool).await? {
        let all = route::list(pool, listed.account.account_id).await?;
        let its = all.into_iter().filter(|route| route.carrier == version.name);
        routes.extend(its.map(|route| (listed.account.name.clone(), route)));
    }
    if routes.is_empty() {
        return Ok(Vec::new());
    }
    let now = ctx.plugins.host().await?.manifest(&version.name);
    let misfits = routes.into_iter().filter_map(|(account, route)| {
        let reason = reason(manifest, now.as_deref(), &route)?;
        Some(Misfit { account, route: route.name, reason })
    });
    Ok(misfits.collect())
}

/// Why the route does not fit the manifest, with `now` as that of the version in force.
fn reason(manifest: &Manifest, now: Option<&Manifest>, route: &Route) -> Option<String> {
    let completed = |manifest: &Manifest| {
        manifest.complete_settings(&route.settings, route.secrets.keys().map(String::as_str))
    };
    let settings = match completed(manifest) {
        Ok(settings) => settings,
        Err(error) => return Some(error.to_string()),
    };
    let rights = RouteRights {
        allowed_origins: &route.allowed_origins,
        allow_loopback: route.allow_loopback,
        ..RouteRights::default()
    };
    let grant = match draft::grant(manifest, &settings, &rights) {
        Ok(grant) => grant,
        Err(refused) => return Some(refused.to_string()),
    };
    let granted: Vec<String> = grant.origins().map(ToString::to_string).collect();
    // An origin of the version in force that the route does not allow was left out on purpose.
    let known = now.and_then(|now| Some(now.origins_with(&completed(now).ok()?)));
    let known = known.unwrap_or_default();
    let mut missing = manifest.origins_with(&settings);
    missing.retain(|origin| !granted.contains(origin) && !known.contains(origin));
    (!missing.is_empty()).then(|| format!("it does not allow {}", missing.join(", ")))
}
