//! Operations: pauses, deletions and removals with the receipts of what they took back, and enrolments of
//! many chunks.

use chrono::{DateTime, Utc};
use dripline_domain::ids::{AccountId, OperationId, WorkflowId};
use dripline_domain::money::Micros;
use serde::Serialize;

use crate::operation::Preview;
use crate::{Pool, StoreError, row};

/// A recorded deed. Who was removed, from which step, and what came back for each is the list of
/// enrollments with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Its id.
    pub operation_id: OperationId,
    /// `pause`, `delete`, `remove` or `enrol`.
    pub kind: String,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name, also when it was deleted since.
    pub workflow: String,
    /// Who did it.
    pub actor: String,
    /// Why, if they said.
    pub reason: Option<String>,
    /// Whom a removal by filter chose, as it was asked for.
    pub selection: Option<String>,
    /// What there was to do when it began. `None` before that was counted.
    pub preview: Option<Preview>,
    /// Contacts enrolled so far.
    pub enrolled_enrollments: u64,
    /// What an enrolment has reserved and not used yet, in micros.
    pub reserved_micros: Micros,
    /// Contacts taken out so far.
    pub removed_enrollments: u64,
    /// Queued messages cancelled so far.
    pub cancelled_deliveries: u64,
    /// Segments given back so far.
    pub released_segments: u64,
    /// Money given back so far, in micros.
    pub released_micros: Micros,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was done. `None`: it goes on.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The account's operations, latest first; only those of one workflow if it is named. `after`
/// continues a list behind that operation.
pub async fn list(
    pool: &Pool,
    account_id: AccountId,
    workflow_id: Option<WorkflowId>,
    after: Option<OperationId>,
    limit: i64,
) -> Result<Vec<Operation>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT o.operation_id, o.kind, o.workflow_id, w.name AS workflow, o.actor, o.reason,
                o.selection, o.preview_contacts, o.preview_messages, o.preview_segments,
                o.preview_micros, o.preview_in_flight, o.enrolled_enrollments, o.reserved_micros,
                o.removed_enrollments, o.cancelled_deliveries, o.released_segments,
                o.released_micros, o.started_at, o.finished_at
         FROM operations o JOIN workflows w USING (workflow_id)
         WHERE o.account_id = $1
           AND ($2::BIGINT IS NULL OR o.workflow_id = $2)
           AND ($3::BIGINT IS NULL OR o.operation_id < $3)
         ORDER BY o.operation_id DESC
         LIMIT $4",
        account_id.0,
        workflow_id.map(|id| id.0),
        after.map(|id| id.0),
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Operation::from).collect())
}

/// The operation with that id.
pub async fn show(pool: &Pool, id: OperationId) -> Result<Option<Operation>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT o.operation_id, o.kind, o.workflow_id, w.name AS workflow, o.actor, o.reason,
                o.selection, o.preview_contacts, o.preview_messages, o.preview_segments,
                o.preview_micros, o.preview_in_flight, o.enrolled_enrollments, o.reserved_micros,
                o.removed_enrollments, o.cancelled_deliveries, o.released_segments,
                o.released_micros, o.started_at, o.finished_at
         FROM operations o JOIN workflows w USING (workflow_id)
         WHERE o.operation_id = $1",
        id.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Operation::from))
}

struct Row {
    operation_id: OperationId,
    kind: String,
    workflow_id: WorkflowId,
    workflow: String,
    actor: String,
    reason: Option<String>,
    selection: Option<String>,
    preview_contacts: Option<i64>,
    preview_messages: Option<i64>,
    preview_segments: Option<i64>,
    preview_micros: Option<i64>,
    preview_in_flight: Option<i64>,
    enrolled_enrollments: i64,
    reserved_micros: Micros,
    removed_enrollments: i64,
    cancelled_deliveries: i64,
    released_segments: i64,
    released_micros: Micros,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Row> for Operation {
    fn from(r: Row) -> Self {
        Self {
            operation_id: r.operation_id,
            kind: r.kind,
            workflow_id: r.workflow_id,
            workflow: r.workflow,
            actor: r.actor,
            reason: r.reason,
            selection: r.selection,
            preview: Preview::read(
                r.preview_contacts,
                r.preview_messages,
                r.preview_segments,
                r.preview_micros,
                r.preview_in_flight,
            ),
            enrolled_enrollments: row::count(r.enrolled_enrollments),
            reserved_micros: r.reserved_micros,
            removed_enrollments: row::count(r.removed_enrollments),
            cancelled_deliveries: row::count(r.cancelled_deliveries),
            released_segments: row::count(r.released_segments),
            released_micros: r.released_micros,
            started_at: r.started_at,
            finished_at: r.finished_at,
        }
    }
}
