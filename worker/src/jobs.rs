//! Queue handlers.

pub mod deliver;
