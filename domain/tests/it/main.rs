//! Tables of cases and properties, one module per noun.

#![expect(clippy::unwrap_used, reason = "a test that finds a surprise stops there")]

mod breaker;
mod delivery;
mod enrollment;
mod evidence;
mod ledger;
mod money;
mod phone;
mod retry;
mod segment;
mod smart_encoding;
mod timing;
mod workflow;
mod workflow_order;
