//! Moves a workflow to another place in its account's order.

use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, WorkflowId};
use dripline_domain::workflow::{Place, ReorderError, reorder};
use serde::Serialize;
use serde_json::json;

use crate::crash::{Commit, commit};
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, advisory, position};

/// Where a workflow went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Its position before, from 1.
    pub from: usize,
    /// Its position now, from 1.
    pub to: usize,
}

/// Why a workflow was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveWorkflowError {
    /// No such workflow, or it was deleted.
    #[error("workflow {0} does not exist")]
    NotFound(WorkflowId),
    /// There is no such place.
    #[error(transparent)]
    NoSuchPlace(#[from] ReorderError),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for MoveWorkflowError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Moves the workflow; all others keep their order among themselves. Movers of one account take
/// turns, and each sees the order that the one before left.
pub async fn move_workflow(
    pool: &Pool,
    clock: &dyn Clock,
    workflow_id: WorkflowId,
    place: Place,
    actor: &str,
) -> Result<Moved, MoveWorkflowError> {
    let not_found = || MoveWorkflowError::NotFound(workflow_id);
    let mut tx = pool.begin().await?;
    let workflow = sqlx::query!(
        "SELECT account_id, name FROM workflows WHERE workflow_id = $1 AND deleted_at IS NULL",
        workflow_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(not_found)?;
    let account_id = AccountId(workflow.account_id);
    advisory::lock_order(&mut tx, account_id).await?;
    let before = position::order(&mut tx, account_id).await?;
    let place_of = |order: &[WorkflowId]| order.iter().position(|id| *id == workflow_id);
    // Deleted while this waited for the lock.
    let from = place_of(&before).ok_or_else(not_found)?;
    let after = reorder(&before, workflow_id, place)?;
    let to = place_of(&after).ok_or_else(not_found)?;
    let moved = Moved { from: from + 1, to: to + 1 };
    if from == to {
        return Ok(moved);
    }
    position::rewrite(&mut tx, account_id, &after).await?;
    let deed = Deed {
        account_id: Some(account_id),
        actor,
        action: "workflow.move",
        subject: &workflow.name,
        detail: json!({ "workflow_id": workflow_id, "from": moved.from, "to": moved.to }),
        at: clock.now(),
    };
    trail::record(&mut tx, &deed).await?;
    commit(tx, Commit::MoveWorkflow).await?;
    Ok(moved)
}
