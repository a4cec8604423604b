//! The embedded server, as other crates use it. Real servers, each in a directory of its own.

#![expect(clippy::unwrap_used, reason = "the support functions are tests too")]

mod crash;
mod lifecycle;
mod refusals;
mod support;
mod throwaway;
