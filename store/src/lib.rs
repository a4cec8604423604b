//! Postgres: every query, every transaction, the schema and the queue's tickets.
//!
//! Layout: one module per noun with the row functions and reads of that noun; they take a
//! connection or the pool and never commit. `ops` holds the use cases, one file and one transaction
//! each: only they begin and commit. `queue` speaks to apalis' tables, `sweep` puts right what a
//! fault left behind, `testing` (feature `testing`) gives every test a database of its own.
//!
//! To add a use case: add `ops/<verb>_<noun>.rs` with its own error enum, begin the transaction
//! there, lock in the order workflow, contact, enrollment, delivery, ticket, balance (each kind
//! sorted by id), lock in one statement and read in the next.

mod advisory;
mod connection;
mod error;
mod retries;
mod row;
mod schema;

pub mod account;
pub mod audit;
pub mod callback;
pub mod contact;
pub mod crash;
pub mod delivery;
pub mod embedded;
pub mod inquiry;
pub mod installation;
pub mod ledger;
pub mod listing;
pub mod operation;
pub mod plan;
pub mod plugin;
pub mod plugin_log;
pub mod position;
pub mod queue;
pub mod route;
pub mod route_halt;
pub mod selection;
pub mod sender_pace;
pub mod step;
pub mod sweep;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trail;
pub mod worker_registry;
pub mod workflow;

pub mod ops;

pub use connection::{ConnectError, ConnectOptions, connect};
pub use error::StoreError;
pub use schema::{MigrateError, SchemaStatus, migrate, schema_status};

/// A pool of database connections. Other crates hand it on and never query it themselves.
pub type Pool = sqlx::PgPool;
