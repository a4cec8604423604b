//! The plugin host against real components and real sockets.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod carriers;
mod contract_page;
mod corpus;
mod egress;
mod fixtures;
mod hostile;
mod loading;
mod lookup;
mod quotes;
mod server;
mod token;
mod webhook;
