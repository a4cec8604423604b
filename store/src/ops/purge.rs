//! The second half of a pause or delete: ends the closed enrollments chunk by chunk, each in one
//! transaction, so that it can stop after any of them and be taken up by anybody.

use dripline_domain::clock::Clock;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{AccountId, OperationId, WorkflowId};
use dripline_domain::ledger::EntryKind;
use dripline_domain::money::Micros;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books;
use crate::ledger::{self, BalanceChange, NewEntry};
use crate::retries::Retries;
use crate::{Pool, StoreError, row};

/// Enrollments in one chunk: long enough to be worth a commit, short enough that nobody waits.
pub const PURGE_CHUNK: u32 = 5_000;

/// What one chunk, or a whole purge, has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PurgeProgress {
    /// Whether nothing is left to do.
    pub done: bool,
    /// Enrollments ended.
    pub removed: u64,
    /// Messages cancelled: queued deliveries, and later steps that had none yet.
    pub cancelled: u64,
    /// Segments given back.
    pub segments: u64,
    /// Money given back.
    pub released: Micros,
}

/// Purges until the operation is done. Gives what the whole operation has done, also what others did
/// of it. An operation that does not exist, or is done, has nothing left.
pub async fn purge(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
) -> Result<PurgeProgress, StoreError> {
    while !purge_chunk(pool, clock, operation_id, PURGE_CHUNK).await?.done {}
    let sums = sqlx::query!(
        "SELECT removed_enrollments, cancelled_deliveries, released_segments, released_micros
         FROM operations WHERE operation_id = $1",
        operation_id.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(sums.map_or_else(
        || PurgeProgress { done: true, ..PurgeProgress::default() },
        |sums| PurgeProgress {
            done: true,
            removed: row::count(sums.removed_enrollments),
            cancelled: row::count(sums.cancelled_deliveries),
            segments: row::count(sums.released_segments),
            released: sums.released_micros.into(),
        },
    ))
}

/// Ends at most `limit` enrollments of the operation in one transaction. Gives what this chunk did.
/// Two that purge the same operation take turns; two operations on one workflow share the work.
pub async fn purge_chunk(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
    limit: u32,
) -> Result<PurgeProgress, StoreError> {
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, operation_id, limit.max(1)).await {
            Ok(progress) => return Ok(progress),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

struct Operation {
    id: OperationId,
    account_id: AccountId,
    workflow_id: WorkflowId,
    cause: ExitCause,
    closed_epoch: i64,
    actor: String,
    reason: Option<String>,
    purged_to: i64,
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
    limit: u32,
) -> Result<PurgeProgress, StoreError> {
    let mut tx = pool.begin().await?;
    let Some(operation) = lock(&mut tx, operation_id).await? else {
        return Ok(PurgeProgress { done: true, ..PurgeProgress::default() });
    };
    let mut chunk = lock_enrollments(&mut tx, &operation, operation.purged_to, limit).await?;
    if chunk.is_empty() && operation.purged_to > 0 {
        // Whoever was passed over by a chunk that was undone stands further up.
        chunk = lock_enrollments(&mut tx, &operation, 0, limit).await?;
    }
    let mut progress = PurgeProgress::default();
    let now = clock.now();
    if let Some((last_contact, _)) = chunk.last() {
        let purged_to = *last_contact;
        let ids: Vec<i64> = chunk.iter().map(|(_, id)| *id).collect();
        let entry_id = books::reserve_entry(&mut tx).await?;
        let done = sqlx::query_file!(
            "queries/operation/purge.sql",
            &ids,
            entry_id.0,
            now,
            operation.cause.as_str(),
            operation.actor,
            operation.id.0,
        )
        .fetch_one(&mut *tx)
        .await?;
        progress = PurgeProgress {
            done: false,
            removed: row::count(done.removed),
            cancelled: row::count(done.messages),
            segments: row::count(done.segments),
            released: done.micros.into(),
        };
        sqlx::query!(
            "UPDATE operations
             SET purged_to_contact_id = $2, removed_enrollments = removed_enrollments + $3,
                 cancelled_deliveries = cancelled_deliveries + $4,
                 released_segments = released_segments + $5, released_micros = released_micros + $6
             WHERE operation_id = $1",
            operation.id.0,
            purged_to,
            done.removed,
            done.messages,
            done.segments,
            done.micros,
        )
        .execute(&mut *tx)
        .await?;
        if done.items > 0 {
            let entry = NewEntry {
                account_id: operation.account_id,
                kind: EntryKind::Release,
                amount: done.micros.into(),
                segments: done.segments,
                items: done.items,
                batch_id: Uuid::now_v7(),
                workflow_id: Some(operation.workflow_id),
                actor: &operation.actor,
                reason: operation.reason.as_deref(),
                created_at: now,
            };
            books::write_reserved(&mut tx, entry_id, &entry).await?;
        }
    }
    // Only a chunk that found less than it could take may be the last one.
    if chunk.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
        progress.done = finish(&mut tx, &operation, now).await?;
    }
    let change = BalanceChange {
        available: progress.released,
        held: -progress.released,
        spent: Micros::ZERO,
    };
    if change != BalanceChange::default()
        && !ledger::change_balance(&mut tx, operation.account_id, change).await?
    {
        return Err(StoreError::Raced);
    }
    tx.commit().await?;
    Ok(progress)
}

/// Locks an operation that has something to purge.
async fn lock(
    conn: &mut PgConnection,
    operation_id: OperationId,
) -> Result<Option<Operation>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT account_id, workflow_id, kind, closed_epoch AS "closed_epoch!", actor, reason,
                  purged_to_contact_id
           FROM operations
           WHERE operation_id = $1 AND finished_at IS NULL AND closed_epoch IS NOT NULL
           FOR UPDATE"#,
        operation_id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Operation {
        id: operation_id,
        account_id: row.account_id.into(),
        workflow_id: row.workflow_id.into(),
        cause: match row.kind.as_str() {
            "delete" => ExitCause::WorkflowDeleted,
            _ => ExitCause::WorkflowPaused,
        },
        closed_epoch: row.closed_epoch,
        actor: row.actor,
        reason: row.reason,
        purged_to: row.purged_to_contact_id,
    }))
}

/// Locks the next enrollments, in the order of their contacts. Gives contact and enrollment ids.
async fn lock_enrollments(
    conn: &mut PgConnection,
    operation: &Operation,
    behind_contact: i64,
    limit: u32,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT contact_id, enrollment_id FROM enrollments
         WHERE workflow_id = $1 AND exit_cause IS NULL AND epoch <= $2 AND contact_id > $3
         ORDER BY contact_id
         LIMIT $4
         FOR UPDATE",
        operation.workflow_id.0,
        operation.closed_epoch,
        behind_contact,
        i64::from(limit),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.contact_id, row.enrollment_id)).collect())
}

/// Ends the operation if nobody is left. Asked in a statement of its own, after every lock, so that it
/// also sees those that somebody else is just ending: these are waited for by the next chunk.
async fn finish(
    conn: &mut PgConnection,
    operation: &Operation,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE operations SET finished_at = $3
         WHERE operation_id = $1 AND NOT EXISTS (
             SELECT FROM enrollments
             WHERE workflow_id = $4 AND exit_cause IS NULL AND epoch <= $2)",
        operation.id.0,
        operation.closed_epoch,
        now,
        operation.workflow_id.0,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
