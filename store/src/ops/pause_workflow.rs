//! Takes everybody out of a workflow at once: a fence that stops every message, then the purge.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, OperationId, WorkflowId};
use dripline_domain::money::Micros;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::purge;
use crate::crash::{Commit, commit};
use crate::operation::{self, NewOperation};
use crate::plan::{self, InFlight};
use crate::retries::Retries;
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, advisory};

/// Which workflow to close, for whom and why.
#[derive(Clone, Debug)]
pub struct Closing {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// Who closes it.
    pub actor: String,
    /// Why, if anybody wants to say.
    pub reason: Option<String>,
}

/// A workflow that is fenced: from the moment this was returned, no message of it can start to leave,
/// except those in flight. Its purge goes on in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fenced {
    /// The operation to be purged.
    pub operation_id: OperationId,
    /// What could not be cancelled any more.
    pub in_flight: Vec<InFlight>,
}

/// A workflow that was paused or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// The recorded operation.
    pub operation_id: OperationId,
    /// How many contacts were taken out.
    pub removed: u64,
    /// How many of their messages were cancelled.
    pub cancelled: u64,
    /// The segments of those.
    pub segments: u64,
    /// What came back.
    pub released: Micros,
    /// What could not be cancelled any more, when the fence fell.
    pub in_flight: Vec<InFlight>,
}

/// Why a workflow was not paused or deleted.
#[derive(Debug, thiserror::Error)]
pub enum CloseWorkflowError {
    /// There is none, or it was deleted.
    #[error("workflow {0} does not exist")]
    NotFound(WorkflowId),
    /// The database did not do it. What is fenced stays fenced, and workers finish its purge.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for CloseWorkflowError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Pauses the workflow and waits for its purge. An inactive one is fenced as well, and nothing else
/// happens to it.
pub async fn pause_workflow(
    pool: &Pool,
    clock: &dyn Clock,
    closing: &Closing,
) -> Result<Paused, CloseWorkflowError> {
    let fenced = fence_workflow(pool, clock, closing).await?;
    Ok(purge_fenced(pool, clock, fenced).await?)
}

/// Only the fence, a short transaction. The caller purges, or leaves it to the workers' sweep.
pub async fn fence_workflow(
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
    let mut tx = pool.begin().await?;
    let closed = close(&mut tx, closing, now).await?;
    let fenced = record(&mut tx, closing, &closed, "pause", now).await?;
    commit(tx, Commit::PauseWorkflow).await?;
    Ok(fenced)
}

/// A workflow whose epoch was just closed.
pub(super) struct Closed {
    pub(super) account_id: AccountId,
    name: String,
    epoch: i64,
}

/// Raises the workflow's epoch, alone behind its gate: every mark that was under way has committed,
/// and every later one will find itself closed.
pub(super) async fn close(
    conn: &mut PgConnection,
    closing: &Closing,
    now: DateTime<Utc>,
) -> Result<Closed, CloseWorkflowError> {
    advisory::close_gate(conn, closing.workflow_id).await?;
    let closed = sqlx::query!(
        r#"UPDATE workflows SET epoch = epoch + 1, updated_at = $2
           WHERE workflow_id = $1 AND deleted_at IS NULL
           RETURNING account_id, name, epoch - 1 AS "closed_epoch!""#,
        closing.workflow_id.0,
        now,
    )
    .fetch_optional(conn)
    .await?
    .ok_or(CloseWorkflowError::NotFound(closing.workflow_id))?;
    Ok(Closed {
        account_id: closed.account_id.into(),
        name: closed.name,
        epoch: closed.closed_epoch,
    })
}

/// Writes the operation down, by which its purge goes on, and what it could not stop.
pub(super) async fn record(
    conn: &mut PgConnection,
    closing: &Closing,
    closed: &Closed,
    kind: &'static str,
    now: DateTime<Utc>,
) -> Result<Fenced, StoreError> {
    let new = NewOperation {
        account_id: closed.account_id,
        workflow_id: closing.workflow_id,
        kind,
        closed_epoch: Some(closed.epoch),
        selection: None,
        batch_id: None,
        actor: &closing.actor,
        reason: closing.reason.as_deref(),
        started_at: now,
    };
    let operation_id = operation::insert(conn, &new).await?;
    let in_flight = plan::in_flight(conn, closing.workflow_id, None).await?;
    operation::record_in_flight(conn, operation_id, &in_flight).await?;
    let action = format!("workflow.{kind}");
    let deed = Deed {
        account_id: Some(closed.account_id),
        actor: &closing.actor,
        action: &action,
        subject: &closed.name,
        detail: json!({
            "workflow_id": closing.workflow_id,
            "operation_id": operation_id,
            "reason": closing.reason,
            "in_flight": in_flight.len(),
        }),
        at: now,
    };
    trail::record(conn, &deed).await?;
    Ok(Fenced { operation_id, in_flight })
}

pub(super) async fn purge_fenced(
    pool: &Pool,
    clock: &dyn Clock,
    fenced: Fenced,
) -> Result<Paused, StoreError> {
    let purged = purge::purge(pool, clock, fenced.operation_id).await?;
    Ok(Paused {
        operation_id: fenced.operation_id,
        removed: purged.removed,
        cancelled: purged.cancelled,
        segments: purged.segments,
        released: purged.released,
        in_flight: fenced.in_flight,
    })
}
