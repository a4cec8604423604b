//! One route, as `add`, `show` and `edit` report it.

use std::num::NonZeroU32;

use dripline_store::route::Route;
use dripline_store::route_halt::RouteHalt;
use dripline_store::sender_pace::SenderPace;
use serde::Serialize;

use super::halts;
use crate::context::Context;
use crate::money;
use crate::output::Report;
use crate::output::page::{Column, Page};
use crate::output::words::time;

#[derive(Serialize)]
pub(super) struct OneRoute {
    pub(super) route: Route,
    /// Where its carrier reports to, with its secret part, when carriers can reach anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) callback: Option<String>,
    /// The account's, for the price.
    pub(super) currency: String,
    /// Since when and why workers hand nothing over to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) halts: Vec<RouteHalt>,
    /// How far its senders have come, where they are throttled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) paces: Vec<SenderPace>,
}

impl OneRoute {
    /// Of a route of which nothing more is known.
    pub(super) fn new(route: Route, currency: String, ctx: &Context) -> Self {
        let public_url = ctx.settings.worker.webhooks.public_url.as_ref();
        let callback = public_url.map(|url| url.callback(route.callback_token.expose()));
        Self { route, callback, currency, halts: vec![], paces: vec![] }
    }
}

impl Report for OneRoute {
    fn lay_out(&self, page: &mut Page) {
        let route = &self.route;
        let pairs = [
            ("route", route.name.clone()),
            ("carrier", route.carrier.clone()),
            ("senders", route.senders.join(", ")),
            ("price per segment", money::show(route.price_micros_per_segment, &self.currency)),
            ("may send to", origins(route)),
            ("revision", route.revision.to_string()),
        ];
        let failover = route.failover.clone().map(|name| ("failover", name));
        let callback = self.callback.clone().map(|address| ("callback", address));
        page.pairs(pairs.into_iter().chain(failover).chain(limits(route)).chain(callback));
        if let Some(since) = route.paused_at {
            let reason = route.paused_reason.as_deref().map(|reason| format!(": {reason}"));
            let since = since.format("%Y-%m-%d %H:%M:%S UTC");
            page.line(format_args!("paused since {since}{}", reason.unwrap_or_default()));
        }
        if !self.halts.is_empty() {
            page.gap();
            halts::lay_out(&self.halts, page);
        }
        if !self.paces.is_empty() {
            page.gap();
            paces(&self.paces, page);
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

/// The limits that are set.
fn limits(route: &Route) -> Vec<(&'static str, String)> {
    let throttle = &route.throttle;
    let segments = |limit: NonZeroU32, per| format!("{limit} a {per} for each sender");
    let limits = [
        ("segments", throttle.segments_per_second.map(|limit| segments(limit, "second"))),
        ("segments", throttle.segments_per_day.map(|limit| segments(limit, "day (UTC)"))),
        ("requests in flight", route.max_in_flight.map(|most| format!("{most} for each worker"))),
        ("timeout", route.send_timeout_ms.map(|ms| format!("{} s", f64::from(ms.get()) / 1_000.0))),
    ];
    limits.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect()
}

fn paces(paces: &[SenderPace], page: &mut Page) {
    let columns = [
        Column::Text("SENDER"),
        Column::Number("SEGMENTS TODAY"),
        Column::Text("MESSAGES WAIT UNTIL"),
    ];
    let rows = paces.iter().map(|pace| {
        let waiting = pace.waiting_until.map(time).unwrap_or_default();
        vec![pace.sender.clone(), pace.segments_today.to_string(), waiting]
    });
    page.table(&columns, rows, "");
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
