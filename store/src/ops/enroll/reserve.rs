//! What an enrolment of many chunks has reserved, as its chunks use it up.

use dripline_domain::ids::{LedgerEntryId, OperationId};
use dripline_domain::ledger::{Hold, InsufficientBalance};
use sqlx::PgConnection;

use super::{EnrollError, Workflow};
use crate::StoreError;
use crate::ops::books;

/// An enrolment whose row is locked.
pub(super) struct Reserve {
    /// The `hold` entry of its whole price.
    pub(super) entry_id: LedgerEntryId,
    /// Chunks done.
    pub(super) chunks: u32,
    workflow_id: i64,
    epoch: i64,
    ended: bool,
}

impl Reserve {
    /// Whether the workflow can still be enrolled in from it: what was reserved before a pause or for
    /// another workflow is not for this one.
    pub(super) fn serves(&self, workflow: &Workflow) -> bool {
        !self.ended && self.workflow_id == workflow.workflow_id.0 && self.epoch == workflow.epoch
    }
}

/// Locks an enrolment, after the workflow's own locks.
pub(super) async fn lock(
    conn: &mut PgConnection,
    operation_id: OperationId,
) -> Result<Reserve, EnrollError> {
    let row = sqlx::query!(
        r#"SELECT workflow_id, hold_entry_id AS "hold_entry_id!", epoch AS "epoch!", chunks,
                  finished_at IS NOT NULL AS "ended!"
           FROM operations WHERE operation_id = $1 AND kind = 'enrol'
           FOR UPDATE"#,
        operation_id.0,
    )
    .fetch_optional(conn)
    .await?
    .ok_or(EnrollError::EnrolmentEnded { operation_id })?;
    Ok(Reserve {
        entry_id: LedgerEntryId(row.hold_entry_id),
        chunks: u32::try_from(row.chunks).unwrap_or(u32::MAX),
        workflow_id: row.workflow_id,
        epoch: row.epoch,
        ended: row.ended,
    })
}

/// Moves what a chunk holds from the reserve to its enrollments. The sum of what is held stays.
pub(super) async fn take(
    conn: &mut PgConnection,
    operation_id: OperationId,
    number: u32,
    enrolled: usize,
    held: Hold,
) -> Result<(), EnrollError> {
    let segments = books::segments(held);
    let done = sqlx::query!(
        "UPDATE operations
         SET reserved_segments = reserved_segments - $2, reserved_micros = reserved_micros - $3,
             enrolled_enrollments = enrolled_enrollments + $4, chunks = $5
         WHERE operation_id = $1 AND reserved_segments >= $2 AND reserved_micros >= $3
           AND enrolled_enrollments + $4 <= preview_contacts",
        operation_id.0,
        segments,
        held.micros.0,
        i64::try_from(enrolled).unwrap_or(i64::MAX),
        i32::try_from(number).unwrap_or(i32::MAX),
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    // The chunks together ask for more than was said when the enrolment began.
    let reserved = sqlx::query_scalar!(
        "SELECT reserved_micros FROM operations WHERE operation_id = $1",
        operation_id.0,
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::from)?;
    Err(InsufficientBalance { needed: held.micros, available: reserved.into() }.into())
}
