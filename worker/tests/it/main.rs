//! The daemon as a process of its own, on real Postgres, with real components, against a carrier
//! that keeps its own log.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod carriers;
mod crash;
mod crowd;
mod deliver;
mod failover;
mod half_open;
mod hostile;
mod journal;
mod languages;
mod outage;
mod plugin_log;
mod plugins;
mod poison;
mod routes;
mod stop;
mod support;
mod texts;
mod throttles;
mod tickets;
mod tokens;
mod unknown;
mod webhooks;
