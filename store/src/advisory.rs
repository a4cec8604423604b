//! Advisory locks: what they stand for, and their keys.
//!
//! The gate of a workflow is a fair queue in front of its row. Marks, enrolments and settlements enter
//! it shared, whoever closes or edits the workflow takes it alone. The row's own lock is what makes
//! them exclude each other; without the gate, though, newcomers could share the row's lock for as
//! long as one of them holds it, and a pause under full load would wait for ever.
//!
//! The gate of a route stands before what lets messages go that wait for it: whoever puts messages off
//! enters it shared, whoever changes the route so that they need not wait takes it alone.

use dripline_domain::ids::{AccountId, OperationId, RouteId, WorkerId, WorkflowId};
use sqlx::PgConnection;

use crate::StoreError;

/// Serialises everything that changes the schema.
pub(crate) const MIGRATION: i64 = key(Class::Migration, 0);

#[derive(Clone, Copy)]
enum Class {
    Migration = 1,
    Worker = 2,
    Workflow = 3,
    Account = 4,
    Operation = 5,
    Route = 6,
}

/// `DRI` in the highest bytes, then the class, then the id. Ids beyond 32 bits share keys, which costs
/// a wait and never correctness.
const fn key(class: Class, id: i64) -> i64 {
    0x4452_4900_0000_0000 | ((class as i64) << 32) | (id & 0xFFFF_FFFF)
}

/// The key that a worker's own session holds while its process lives.
pub(crate) const fn worker(id: WorkerId) -> i64 {
    key(Class::Worker, id.0)
}

/// The key that the session of an enrolment holds while the process that makes it lives.
pub(crate) const fn operation(id: OperationId) -> i64 {
    key(Class::Operation, id.0)
}

/// Takes a key for as long as the session lives, if nobody has it.
pub(crate) async fn try_hold(conn: &mut PgConnection, key: i64) -> Result<bool, StoreError> {
    let free = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "free!""#, key)
        .fetch_one(conn)
        .await?;
    Ok(free)
}

/// Takes a key until the transaction ends, if nobody has it.
pub(crate) async fn try_take(conn: &mut PgConnection, key: i64) -> Result<bool, StoreError> {
    let free = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "free!""#, key)
        .fetch_one(conn)
        .await?;
    Ok(free)
}

/// Enters the gates of these workflows, shared, until the transaction ends. Before their rows are
/// locked `FOR SHARE`.
pub(crate) async fn enter_gates(
    conn: &mut PgConnection,
    workflows: &[WorkflowId],
) -> Result<(), StoreError> {
    enter(conn, workflows.iter().map(|id| key(Class::Workflow, id.0)).collect()).await
}

/// Takes the workflow's gate alone, until the transaction ends. Before its row is locked `FOR UPDATE`.
pub(crate) async fn close_gate(
    conn: &mut PgConnection,
    workflow: WorkflowId,
) -> Result<(), StoreError> {
    take(conn, key(Class::Workflow, workflow.0)).await
}

/// Enters the gates of these routes, shared, until the transaction ends: they stay as they are so long. Not by their
/// rows: newcomers could share those for ever, and whoever changes a route would wait as long.
pub(crate) async fn enter_route_gates(
    conn: &mut PgConnection,
    routes: &[RouteId],
) -> Result<(), StoreError> {
    enter(conn, routes.iter().map(|id| key(Class::Route, id.0)).collect()).await
}

/// Takes the route's gate alone, until the transaction ends. Behind the gates of workflows and the route's row.
pub(crate) async fn close_route_gate(
    conn: &mut PgConnection,
    route: RouteId,
) -> Result<(), StoreError> {
    take(conn, key(Class::Route, route.0)).await
}

/// Serialises what changes the order of an account's workflows, until the transaction ends. After the
/// workflow's own locks.
pub(crate) async fn lock_order(
    conn: &mut PgConnection,
    account: AccountId,
) -> Result<(), StoreError> {
    take(conn, key(Class::Account, account.0)).await
}

async fn enter(conn: &mut PgConnection, mut keys: Vec<i64>) -> Result<(), StoreError> {
    keys.sort_unstable();
    keys.dedup();
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared(key) FROM unnest($1::BIGINT[]) AS key",
        &keys
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn take(conn: &mut PgConnection, key: i64) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)::TEXT", key).fetch_one(conn).await?;
    Ok(())
}
