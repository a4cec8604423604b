//! The one order of an account's workflows: positions 1..n without gaps.
//!
//! Every change happens under `advisory::lock_order`, after the workflow's own locks. The rows stand
//! apart from `workflows`, so that a move never waits for messages being sent.

use dripline_domain::ids::{AccountId, WorkflowId};
use sqlx::PgConnection;

use crate::StoreError;

/// The account's workflows in their order.
pub async fn order(
    conn: &mut PgConnection,
    account_id: AccountId,
) -> Result<Vec<WorkflowId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT workflow_id FROM workflow_positions WHERE account_id = $1 ORDER BY position",
        account_id.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(WorkflowId).collect())
}

/// Puts a new workflow at the end. Gives its position. Needs `advisory::lock_order`.
pub async fn append(
    conn: &mut PgConnection,
    account_id: AccountId,
    workflow_id: WorkflowId,
) -> Result<i32, StoreError> {
    let position = sqlx::query_scalar!(
        "INSERT INTO workflow_positions (workflow_id, account_id, position)
         SELECT $1, $2, coalesce(max(position), 0) + 1
         FROM workflow_positions WHERE account_id = $2
         RETURNING position",
        workflow_id.0,
        account_id.0,
    )
    .fetch_one(conn)
    .await?;
    Ok(position)
}

/// Takes a workflow out and lets everything below it move up. `false`: it had no position. Needs
/// `advisory::lock_order`.
pub async fn remove(
    conn: &mut PgConnection,
    account_id: AccountId,
    workflow_id: WorkflowId,
) -> Result<bool, StoreError> {
    let gone = sqlx::query_scalar!(
        "DELETE FROM workflow_positions WHERE account_id = $1 AND workflow_id = $2
         RETURNING position",
        account_id.0,
        workflow_id.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(position) = gone else { return Ok(false) };
    sqlx::query!(
        "UPDATE workflow_positions SET position = position - 1
         WHERE account_id = $1 AND position > $2",
        account_id.0,
        position,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Gives the account's workflows the positions of this list, which names each of them once. Needs
/// `advisory::lock_order`.
pub(crate) async fn rewrite(
    conn: &mut PgConnection,
    account_id: AccountId,
    order: &[WorkflowId],
) -> Result<(), StoreError> {
    let ids: Vec<i64> = order.iter().map(|id| id.0).collect();
    sqlx::query!(
        "UPDATE workflow_positions p
         SET position = o.position
         FROM unnest($2::BIGINT[]) WITH ORDINALITY AS o (workflow_id, position)
         WHERE p.account_id = $1 AND p.workflow_id = o.workflow_id AND p.position <> o.position",
        account_id.0,
        &ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}
