//! The nouns, states and arithmetic of Dripline. Nothing here does I/O, reads a clock or awaits.
//!
//! One module per noun. To add a noun: add a module, keep it pure, and give it a table of cases and,
//! where it computes, properties.

pub mod breaker;
pub mod clock;
pub mod contact;
pub mod delivery;
pub mod enrollment;
pub mod evidence;
pub mod ids;
pub mod ledger;
pub mod money;
pub mod named;
pub mod opt_out;
pub mod phone;
pub mod plugin_log;
pub mod receipt;
pub mod retry;
pub mod segment;
pub mod sender;
pub mod throttle;
pub mod timing;
pub mod workflow;
