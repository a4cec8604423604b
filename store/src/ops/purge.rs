//! What a pause, a deletion or a removal by filter does after it was begun: ends its enrollments chunk
//! by chunk, each in one transaction, so that it can stop after any of them and be taken up by anybody.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{AccountId, OperationId, WorkflowId};
use dripline_domain::ledger::EntryKind;
use dripline_domain::money::Micros;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books;
use super::end_enrolment;
use crate::crash::{Commit, commit};
use crate::ledger::{self, BalanceChange, NewEntry};
use crate::operation;
use crate::plan;
use crate::retries::Retries;
use crate::{Pool, StoreError, advisory, row};

/// Enrollments in one chunk: long enough to be worth a commit, short enough that nobody waits.
pub const PURGE_CHUNK: u32 = 5_000;

/// Enrollments in one chunk of a removal, which keeps the workflow's other messages waiting.
const REMOVAL_CHUNK: u32 = 1_000;

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
    end_enrolment::end_closed(pool, clock, operation_id).await?;
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
    scope: Scope,
    actor: String,
    reason: Option<String>,
    purged_to: i64,
    previewed: bool,
}

/// Whom the operation takes out.
#[derive(Clone, Copy)]
enum Scope {
    /// Everybody of this epoch and older ones.
    Epoch(i64),
    /// Its members.
    Members,
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
    limit: u32,
) -> Result<PurgeProgress, StoreError> {
    let mut tx = pool.begin().await?;
    fence_members(&mut tx, operation_id).await?;
    let Some(operation) = lock(&mut tx, operation_id).await? else {
        return Ok(PurgeProgress { done: true, ..PurgeProgress::default() });
    };
    if !operation.previewed {
        preview(&mut tx, &operation).await?;
    }
    let limit = match operation.scope {
        Scope::Epoch(_) => limit,
        Scope::Members => limit.min(REMOVAL_CHUNK),
    };
    let mut chunk = lock_enrollments(&mut tx, &operation, operation.purged_to, limit).await?;
    if chunk.is_empty() && operation.purged_to > 0 {
        // Whoever was passed over by a chunk that was undone stands further up.
        chunk = lock_enrollments(&mut tx, &operation, 0, limit).await?;
    }
    let now = clock.now();
    let mut progress = end(&mut tx, &operation, &chunk, now).await?;
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
    commit(tx, Commit::PurgeChunk).await?;
    Ok(progress)
}

/// Ends a chunk of locked enrollments, with its entry and without the balance, which comes last.
async fn end(
    conn: &mut PgConnection,
    operation: &Operation,
    chunk: &[(i64, i64)],
    now: DateTime<Utc>,
) -> Result<PurgeProgress, StoreError> {
    let Some((purged_to, _)) = chunk.last() else { return Ok(PurgeProgress::default()) };
    let ids: Vec<i64> = chunk.iter().map(|(_, id)| *id).collect();
    let entry_id = books::reserve_entry(conn).await?;
    let done = sqlx::query_file!(
        "queries/operation/purge.sql",
        &ids,
        entry_id.0,
        now,
        operation.cause.as_str(),
        operation.actor,
        operation.id.0,
    )
    .fetch_one(&mut *conn)
    .await?;
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
    .execute(&mut *conn)
    .await?;
    if let Scope::Members = operation.scope {
        // Nothing fenced them before this chunk, so what left until now could not be cancelled.
        let in_flight = plan::in_flight_of(conn, operation.workflow_id, &ids).await?;
        operation::record_in_flight(conn, operation.id, &in_flight).await?;
    }
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
        books::write_reserved(conn, entry_id, &entry).await?;
    }
    Ok(PurgeProgress {
        done: false,
        removed: row::count(done.removed),
        cancelled: row::count(done.messages),
        segments: row::count(done.segments),
        released: done.micros.into(),
    })
}

/// Takes the workflow's gate alone where members are to be taken out: a mark locks deliveries in its
/// own order and a settlement inserts the next one, so that a chunk among them would meet them in a ring.
/// Behind a pause's fence there is nobody to be met.
async fn fence_members(
    conn: &mut PgConnection,
    operation_id: OperationId,
) -> Result<(), StoreError> {
    let workflow_id = sqlx::query_scalar!(
        "SELECT workflow_id FROM operations
         WHERE operation_id = $1 AND finished_at IS NULL AND kind = 'remove'",
        operation_id.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match workflow_id {
        Some(id) => advisory::close_gate(conn, WorkflowId(id)).await,
        None => Ok(()),
    }
}

/// Locks an operation that has something to purge.
async fn lock(
    conn: &mut PgConnection,
    operation_id: OperationId,
) -> Result<Option<Operation>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT account_id, workflow_id, kind, closed_epoch, actor, reason, purged_to_contact_id,
                  preview_contacts IS NOT NULL AS "previewed!"
           FROM operations
           WHERE operation_id = $1 AND finished_at IS NULL AND kind <> 'enrol'
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
            "pause" => ExitCause::WorkflowPaused,
            _ => ExitCause::Removed,
        },
        // `closed_epoch_iff_the_whole_workflow`.
        scope: row.closed_epoch.map_or(Scope::Members, Scope::Epoch),
        actor: row.actor,
        reason: row.reason,
        purged_to: row.purged_to_contact_id,
        previewed: row.previewed,
    }))
}

/// Counts what a pause or a deletion has to do. Behind its fence nobody comes in, so that it finds just
/// what was closed, less what left by itself in between.
async fn preview(conn: &mut PgConnection, operation: &Operation) -> Result<(), StoreError> {
    let mut preview = plan::closed(conn, operation.workflow_id).await?;
    let in_flight = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM operation_in_flight WHERE operation_id = $1"#,
        operation.id.0,
    )
    .fetch_one(&mut *conn)
    .await?;
    preview.in_flight = row::count(in_flight);
    operation::record_preview(conn, operation.id, &preview).await
}

/// Locks the next enrollments, in the order of their contacts. Gives contact and enrollment ids.
async fn lock_enrollments(
    conn: &mut PgConnection,
    operation: &Operation,
    behind_contact: i64,
    limit: u32,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let limit = i64::from(limit);
    let rows = match operation.scope {
        Scope::Epoch(closed) => {
            sqlx::query_as!(
                Locked,
                "SELECT contact_id, enrollment_id FROM enrollments
                 WHERE workflow_id = $1 AND exit_cause IS NULL AND epoch <= $2 AND contact_id > $3
                 ORDER BY contact_id
                 LIMIT $4
                 FOR UPDATE",
                operation.workflow_id.0,
                closed,
                behind_contact,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        Scope::Members => {
            sqlx::query_as!(
                Locked,
                "SELECT e.contact_id, e.enrollment_id
                 FROM operation_members m JOIN enrollments e USING (enrollment_id)
                 WHERE m.operation_id = $1 AND m.contact_id > $2 AND e.exit_cause IS NULL
                 ORDER BY m.contact_id
                 LIMIT $3
                 FOR UPDATE OF e",
                operation.id.0,
                behind_contact,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(rows.into_iter().map(|row| (row.contact_id, row.enrollment_id)).collect())
}

struct Locked {
    contact_id: i64,
    enrollment_id: i64,
}

/// Ends the operation if nobody is left. Asked in a statement of its own, after every lock, so that it
/// also sees those that somebody else is just ending: these are waited for by the next chunk.
async fn finish(
    conn: &mut PgConnection,
    operation: &Operation,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = match operation.scope {
        Scope::Epoch(closed) => {
            sqlx::query!(
                "UPDATE operations SET finished_at = $3
                 WHERE operation_id = $1 AND NOT EXISTS (
                     SELECT FROM enrollments
                     WHERE workflow_id = $4 AND exit_cause IS NULL AND epoch <= $2)",
                operation.id.0,
                closed,
                now,
                operation.workflow_id.0,
            )
            .execute(conn)
            .await?
        }
        Scope::Members => {
            sqlx::query!(
                "UPDATE operations SET finished_at = $2
                 WHERE operation_id = $1 AND NOT EXISTS (
                     SELECT FROM operation_members m JOIN enrollments e USING (enrollment_id)
                     WHERE m.operation_id = $1 AND e.exit_cause IS NULL)",
                operation.id.0,
                now,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(done.rows_affected() == 1)
}
