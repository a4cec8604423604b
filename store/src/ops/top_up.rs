//! Puts money in.

use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, LedgerEntryId};
use dripline_domain::ledger::{Balance, BalanceError, EntryKind};
use dripline_domain::money::Micros;
use serde::Serialize;
use uuid::Uuid;

use crate::crash::{Commit, commit};
use crate::ledger::{self, BalanceChange, NewEntry};
use crate::{Pool, StoreError, account};

/// A payment.
#[derive(Clone, Debug)]
pub struct TopUp {
    /// Into which account.
    pub account_id: AccountId,
    /// How much; more than nothing.
    pub amount: Micros,
    /// Names this payment, so that running it twice pays once.
    pub batch_id: Uuid,
    /// Who puts it in.
    pub actor: String,
    /// What for, if anybody wants to say.
    pub reason: Option<String>,
}

/// What a top-up or an adjustment left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Booked {
    /// The entry.
    pub ledger_entry_id: LedgerEntryId,
    /// The balance now.
    pub balance: Balance,
}

/// Why no money was put in.
#[derive(Debug, thiserror::Error)]
pub enum TopUpError {
    /// No such account.
    #[error("account {0} does not exist")]
    AccountNotFound(AccountId),
    /// Nothing, or less than nothing.
    #[error("a top-up of {0} puts nothing in; taking out is an adjustment")]
    NotPositive(Micros),
    /// Beyond 64 bits of micros.
    #[error("a top-up of {0} makes the balance too large an amount")]
    TooLarge(Micros),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for TopUpError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Books the payment. Running it again with the same `batch_id` changes nothing and gives the same
/// entry.
pub async fn top_up(pool: &Pool, clock: &dyn Clock, payment: &TopUp) -> Result<Booked, TopUpError> {
    if payment.amount <= Micros::ZERO {
        return Err(TopUpError::NotPositive(payment.amount));
    }
    let account_id = payment.account_id;
    let mut tx = pool.begin().await?;
    let before = account::lock_balance(&mut tx, account_id)
        .await?
        .ok_or(TopUpError::AccountNotFound(account_id))?;
    let kind = EntryKind::Topup;
    if let Some(booked) = ledger::find_batch(&mut tx, payment.batch_id, account_id, kind).await? {
        return Ok(Booked { ledger_entry_id: booked, balance: before });
    }
    let balance = before
        .apply(kind, payment.amount)
        .map_err(|_: BalanceError| TopUpError::TooLarge(payment.amount))?;
    let entry = NewEntry {
        account_id,
        kind,
        amount: payment.amount,
        segments: 0,
        items: 0,
        batch_id: payment.batch_id,
        workflow_id: None,
        actor: &payment.actor,
        reason: payment.reason.as_deref(),
        created_at: clock.now(),
    };
    let ledger_entry_id = book(&mut tx, &entry).await?;
    commit(tx, Commit::TopUp).await?;
    Ok(Booked { ledger_entry_id, balance })
}

/// Writes an entry that only changes what is available, whose balance row is locked and whose batch
/// is known to be new.
pub(super) async fn book(
    conn: &mut sqlx::PgConnection,
    entry: &NewEntry<'_>,
) -> Result<LedgerEntryId, StoreError> {
    let id = ledger::insert(conn, entry).await?;
    let change = BalanceChange { available: entry.amount, ..BalanceChange::default() };
    let changed = ledger::change_balance(conn, entry.account_id, change).await?;
    match id {
        Some(id) if changed => Ok(id),
        // Both were decided under the lock of the balance row, which this transaction holds.
        _ => Err(StoreError::Database(sqlx::Error::RowNotFound)),
    }
}
