//! The store against a real Postgres, one database per test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attempts;
mod audit;
mod audit_breaks;
mod callbacks;
mod closing;
mod conflicts;
mod contacts;
mod edges;
mod edits;
mod enrolment;
mod evidence;
mod evidence_races;
mod failover;
mod gates;
mod inbound;
mod journey;
mod listings;
mod lost_answers;
mod money;
mod operations;
mod order;
mod plugin_log;
mod plugins;
mod postpone;
mod property;
mod races;
mod repeats;
mod requeue;
mod sent_after_all;
mod support;
mod throttles;
mod tickets;
