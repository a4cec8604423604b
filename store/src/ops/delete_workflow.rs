//! Deletes a workflow: everything that a pause does, and its content is gone for good.

use dripline_domain::clock::Clock;

use super::pause_workflow::{self, CloseWorkflowError, Closing, Fenced, Paused};
use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::{Pool, advisory, position, step};

/// Deletes the workflow and waits for the purge of whoever was in it.
pub async fn delete_workflow(
    pool: &Pool,
    clock: &dyn Clock,
    closing: &Closing,
) -> Result<Paused, CloseWorkflowError> {
    let fenced = fence_deleted(pool, clock, closing).await?;
    Ok(pause_workflow::purge_fenced(pool, clock, fenced).await?)
}

/// Only the deletion's first transaction. The workflow disappears from every list, and its texts and
/// timing are gone, in the same transaction that fences it; the ledger and the record of what was sent
/// remain. The caller purges, or leaves it to the workers' sweep.
pub async fn fence_deleted(
    pool: &Pool,
    clock: &dyn Clock,
    closing: &Closing,
) -> Result<Fenced, CloseWorkflowError> {
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, closing).await {
            Err(CloseWorkflowError::Store(error)) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    closing: &Closing,
) -> Result<Fenced, CloseWorkflowError> {
    let now = clock.now();
    let workflow_id = closing.workflow_id;
    let mut tx = pool.begin().await?;
    let closed = pause_workflow::close(&mut tx, closing, now).await?;
    sqlx::query!(
        "UPDATE workflows SET deleted_at = $2 WHERE workflow_id = $1",
        workflow_id.0,
        now,
    )
    .execute(&mut *tx)
    .await?;
    step::remove_all(&mut tx, workflow_id).await?;
    advisory::lock_order(&mut tx, closed.account_id).await?;
    position::remove(&mut tx, closed.account_id, workflow_id).await?;
    let fenced = pause_workflow::record(&mut tx, closing, &closed, "delete", now).await?;
    commit(tx, Commit::DeleteWorkflow).await?;
    Ok(fenced)
}
