//! Corrects a balance with an entry of its own, since entries are never changed.

use dripline_domain::clock::Clock;
use dripline_domain::ids::AccountId;
use dripline_domain::ledger::{BalanceError, EntryKind, InsufficientBalance};
use dripline_domain::money::Micros;
use sqlx::PgConnection;
use uuid::Uuid;

use super::top_up::{Booked, book};
use crate::crash::{Commit, commit};
use crate::ledger::{self, NewEntry};
use crate::{Pool, StoreError, account};

/// A correction.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// Of which account.
    pub account_id: AccountId,
    /// By how much. Negative takes out.
    pub amount: Micros,
    /// Names this correction, so that running it twice corrects once.
    pub batch_id: Uuid,
    /// Who corrects.
    pub actor: String,
    /// Why. Never blank.
    pub reason: String,
}

/// Why nothing was corrected.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// No such account.
    #[error("account {0} does not exist")]
    AccountNotFound(AccountId),
    /// An adjustment says why.
    #[error("an adjustment needs a reason")]
    NoReason,
    /// It would change nothing.
    #[error("an adjustment of 0.00 corrects nothing")]
    Zero,
    /// It would take more than is available.
    #[error("the balance cannot go below zero: {0}")]
    Insufficient(InsufficientBalance),
    /// Beyond 64 bits of micros.
    #[error("an adjustment of {0} makes the balance too large an amount")]
    TooLarge(Micros),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for AdjustError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Books the correction. Running it again with the same `batch_id` changes nothing and gives the
/// same entry.
pub async fn adjust(
    pool: &Pool,
    clock: &dyn Clock,
    adjustment: &Adjustment,
) -> Result<Booked, AdjustError> {
    let mut tx = pool.begin().await?;
    let booked = adjust_in(&mut tx, clock, adjustment).await?;
    commit(tx, Commit::Adjust).await?;
    Ok(booked)
}

/// The same in the caller's transaction, in which the balance is the last row to be locked.
pub(super) async fn adjust_in(
    conn: &mut PgConnection,
    clock: &dyn Clock,
    adjustment: &Adjustment,
) -> Result<Booked, AdjustError> {
    if adjustment.reason.trim().is_empty() {
        return Err(AdjustError::NoReason);
    }
    if adjustment.amount == Micros::ZERO {
        return Err(AdjustError::Zero);
    }
    let account_id = adjustment.account_id;
    let before = account::lock_balance(conn, account_id)
        .await?
        .ok_or(AdjustError::AccountNotFound(account_id))?;
    let kind = EntryKind::Adjust;
    if let Some(booked) = ledger::find_batch(conn, adjustment.batch_id, account_id, kind).await? {
        return Ok(Booked { ledger_entry_id: booked, balance: before });
    }
    let balance = before.apply(kind, adjustment.amount).map_err(|error| match error {
        BalanceError::Insufficient(numbers) => AdjustError::Insufficient(numbers),
        _ => AdjustError::TooLarge(adjustment.amount),
    })?;
    let entry = NewEntry {
        account_id,
        kind,
        amount: adjustment.amount,
        segments: 0,
        items: 0,
        batch_id: adjustment.batch_id,
        workflow_id: None,
        actor: &adjustment.actor,
        reason: Some(&adjustment.reason),
        created_at: clock.now(),
    };
    let ledger_entry_id = book(conn, &entry).await?;
    Ok(Booked { ledger_entry_id, balance })
}
