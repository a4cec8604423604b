//! Ends an enrolment of many chunks and gives back what it had reserved and did not need.

use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, OperationId, WorkflowId};
use dripline_domain::ledger::EntryKind;
use dripline_domain::money::Micros;
use uuid::Uuid;

use super::books;
use crate::crash::{Commit, commit};
use crate::ledger::{self, BalanceChange, NewEntry};
use crate::retries::Retries;
use crate::{Pool, StoreError, advisory, row};

/// Ends the enrolment, unless it has ended. Gives what came back. Whoever calls it, and however often,
/// the rest comes back once; a chunk that comes later is refused.
pub async fn end_enrolment(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
) -> Result<Micros, StoreError> {
    end(pool, clock, operation_id, Whose::Ours).await
}

/// Ends the enrolment if the process that made it is gone.
pub(crate) async fn end_abandoned(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
) -> Result<Micros, StoreError> {
    end(pool, clock, operation_id, Whose::NobodysIfFree).await
}

/// Ends the enrolments in the epoch that a pause or a deletion has closed. Their chunks are refused
/// already.
pub(super) async fn end_closed(
    pool: &Pool,
    clock: &dyn Clock,
    closing: OperationId,
) -> Result<(), StoreError> {
    let closed = sqlx::query_scalar!(
        "SELECT e.operation_id
         FROM operations e
         JOIN operations c ON c.workflow_id = e.workflow_id AND c.closed_epoch >= e.epoch
         WHERE c.operation_id = $1 AND e.finished_at IS NULL
         ORDER BY e.operation_id",
        closing.0,
    )
    .fetch_all(pool)
    .await?;
    for id in closed {
        end_enrolment(pool, clock, OperationId(id)).await?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The caller knows that it is over.
    Ours,
    /// Only if nobody holds its lock.
    NobodysIfFree,
}

async fn end(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
    whose: Whose,
) -> Result<Micros, StoreError> {
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, operation_id, whose).await {
            Err(error) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
    whose: Whose,
) -> Result<Micros, StoreError> {
    let mut tx = pool.begin().await?;
    if whose == Whose::NobodysIfFree
        && !advisory::try_take(&mut tx, advisory::operation(operation_id)).await?
    {
        return Ok(Micros::ZERO);
    }
    let Some(enrolment) = sqlx::query!(
        "SELECT account_id, workflow_id, actor, reserved_segments, reserved_micros
         FROM operations
         WHERE operation_id = $1 AND kind = 'enrol' AND finished_at IS NULL
         FOR UPDATE",
        operation_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(Micros::ZERO);
    };
    let rest = Micros(enrolment.reserved_micros);
    let gives_back = rest > Micros::ZERO || row::count(enrolment.reserved_segments) > 0;
    let entry_id = if gives_back { Some(books::reserve_entry(&mut tx).await?) } else { None };
    let now = clock.now();
    sqlx::query!(
        "UPDATE operations
         SET finished_at = $2, release_entry_id = $3,
             released_segments = reserved_segments, released_micros = reserved_micros,
             reserved_segments = 0, reserved_micros = 0
         WHERE operation_id = $1",
        operation_id.0,
        now,
        entry_id.map(|id| id.0),
    )
    .execute(&mut *tx)
    .await?;
    if let Some(entry_id) = entry_id {
        let account_id = AccountId(enrolment.account_id);
        let entry = NewEntry {
            account_id,
            kind: EntryKind::Release,
            amount: rest,
            segments: enrolment.reserved_segments,
            items: 1,
            batch_id: Uuid::now_v7(),
            workflow_id: Some(WorkflowId(enrolment.workflow_id)),
            actor: &enrolment.actor,
            reason: None,
            created_at: now,
        };
        books::write_reserved(&mut tx, entry_id, &entry).await?;
        let change = BalanceChange { available: rest, held: -rest, spent: Micros::ZERO };
        if !ledger::change_balance(&mut tx, account_id, change).await? {
            return Err(StoreError::Raced);
        }
    }
    commit(tx, Commit::EndEnrolment).await?;
    Ok(rest)
}
