//! One route, as `add`, `show` and `edit` report it.

use dripline_store::route::Route;
use dripline_store::route_halt::RouteHalt;
use serde::Serialize;

use super::halts;
use crate::money;
use crate::output::Report;
use crate::output::page::Page;

#[derive(Serialize)]
pub(super) struct OneRoute {
    pub(super) route: Route,
    /// The account's, for the price.
    pub(super) currency: String,
    /// Since when and why workers hand nothing over to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) halts: Vec<RouteHalt>,
}

impl Report for OneRoute {
    fn lay_out(&self, page: &mut Page) {
        let route = &self.route;
        page.pairs([
            ("route", route.name.clone()),
            ("carrier", route.carrier.clone()),
            ("sender", route.sender.clone()),
            ("price per segment", money::show(route.price_micros_per_segment, &self.currency)),
            ("may send to", origins(route)),
            ("revision", route.revision.to_string()),
        ]);
        if let Some(since) = route.paused_at {
            let reason = route.paused_reason.as_deref().map(|reason| format!(": {reason}"));
            let since = since.format("%Y-%m-%d %H:%M:%S UTC");
            page.line(format_args!("paused since {since}{}", reason.unwrap_or_default()));
        }
        if !self.halts.is_empty() {
            page.gap();
            halts::lay_out(&self.halts, page);
        }
        for (title, map) in [("settings", &route.settings), ("secrets", &route.secrets)] {
            if !map.is_empty() {
                page.gap();
                page.line(format_args!("{title}:"));
                page.pairs(map.iter().map(|(name, value)| (name.as_str(), value.clone())));
            }
        }
    }
}

/// Where a route may send to, on one line.
pub(super) fn origins(route: &Route) -> String {
    let mut origins = route.allowed_origins.join(", ");
    if origins.is_empty() {
        origins.push_str("nowhere");
    }
    if route.allow_loopback {
        origins.push_str(" (this machine itself allowed)");
    }
    origins
}
