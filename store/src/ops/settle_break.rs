//! Settles something that an audit found to be wrong: with an adjust entry, or with the word that no money
//! is owed for it.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, AuditBreakId, LedgerEntryId};
use dripline_domain::ledger::EntryKind;
use dripline_domain::money::Micros;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::adjust::{AdjustError, Adjustment, adjust_in};
use crate::crash::{Commit, commit};
use crate::trail::{self, Deed};
use crate::{Pool, StoreError};

/// How a break is settled.
#[derive(Clone, Debug)]
pub struct BreakSettlement {
    /// Which break.
    pub audit_break_id: AuditBreakId,
    /// By what.
    pub by: SettledBy,
    /// Who settles it.
    pub actor: String,
    /// Why that settles it. Never blank.
    pub reason: String,
}

/// What settles a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettledBy {
    /// A new adjust entry.
    Adjustment {
        /// Whose money.
        account_id: AccountId,
        /// How much. Negative takes out.
        amount: Micros,
        /// Names this settlement, so that running it twice books once.
        batch_id: Uuid,
    },
    /// An adjust entry that was booked before.
    Entry(LedgerEntryId),
    /// Nothing: no money is owed to anybody.
    NoMoney,
}

/// Why a break was not settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleBreakError {
    /// No such break.
    #[error("break {0} does not exist")]
    NotFound(AuditBreakId),
    /// Somebody has settled it before.
    #[error("break {audit_break_id} was settled already, by {by} at {}", at.format("%Y-%m-%d %H:%M:%S UTC"))]
    Settled {
        /// The break.
        audit_break_id: AuditBreakId,
        /// Who settled it.
        by: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// A settlement says why.
    #[error("a settlement needs a reason")]
    NoReason,
    /// The entry is not there, or is not an adjustment.
    #[error("ledger entry {0} is not an adjustment")]
    NotAnAdjustment(LedgerEntryId),
    /// The adjustment was refused.
    #[error(transparent)]
    Adjust(#[from] AdjustError),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SettleBreakError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Settles the break, and gives the entry that settled it. Later audits excuse it as long as it is the
/// same break. Running it again with the same `batch_id` changes nothing and gives the same entry.
pub async fn settle_break(
    pool: &Pool,
    clock: &dyn Clock,
    settlement: &BreakSettlement,
) -> Result<Option<LedgerEntryId>, SettleBreakError> {
    if settlement.reason.trim().is_empty() {
        return Err(SettleBreakError::NoReason);
    }
    let id = settlement.audit_break_id;
    let mut tx = pool.begin().await?;
    let found = sqlx::query!(
        r#"SELECT b.subject, b.settled_at, b.settled_by, b.ledger_entry_id,
                  l.batch_id AS "batch_id?"
           FROM audit_breaks b LEFT JOIN ledger_entries l USING (ledger_entry_id)
           WHERE b.audit_break_id = $1 FOR UPDATE OF b"#,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(SettleBreakError::NotFound(id))?;
    if let (Some(at), Some(by)) = (found.settled_at, found.settled_by) {
        let again = matches!(settlement.by, SettledBy::Adjustment { batch_id, .. }
            if found.batch_id == Some(batch_id));
        if again {
            return Ok(found.ledger_entry_id.map(LedgerEntryId));
        }
        return Err(SettleBreakError::Settled { audit_break_id: id, by, at });
    }
    let (account_id, entry_id) = entry(&mut tx, clock, settlement).await?;
    let now = clock.now();
    sqlx::query!(
        "UPDATE audit_breaks
         SET settled_at = $2, settled_by = $3, settled_reason = $4, ledger_entry_id = $5
         WHERE audit_break_id = $1",
        id.0,
        now,
        settlement.actor,
        settlement.reason,
        entry_id.map(|id| id.0),
    )
    .execute(&mut *tx)
    .await?;
    let deed = Deed {
        account_id,
        actor: &settlement.actor,
        action: "audit.settle",
        subject: &found.subject,
        detail: json!({
            "audit_break_id": id,
            "ledger_entry_id": entry_id,
            "reason": settlement.reason,
        }),
        at: now,
    };
    trail::record(&mut tx, &deed).await?;
    commit(tx, Commit::SettleBreak).await?;
    Ok(entry_id)
}

/// The entry that settles it, booked now or before, and whose it is.
async fn entry(
    conn: &mut PgConnection,
    clock: &dyn Clock,
    settlement: &BreakSettlement,
) -> Result<(Option<AccountId>, Option<LedgerEntryId>), SettleBreakError> {
    match settlement.by {
        SettledBy::NoMoney => Ok((None, None)),
        SettledBy::Entry(entry_id) => {
            let account_id = sqlx::query_scalar!(
                "SELECT account_id FROM ledger_entries WHERE ledger_entry_id = $1 AND kind = $2",
                entry_id.0,
                EntryKind::Adjust.as_str(),
            )
            .fetch_optional(conn)
            .await?
            .ok_or(SettleBreakError::NotAnAdjustment(entry_id))?;
            Ok((Some(account_id.into()), Some(entry_id)))
        }
        SettledBy::Adjustment { account_id, amount, batch_id } => {
            let adjustment = Adjustment {
                account_id,
                amount,
                batch_id,
                actor: settlement.actor.clone(),
                reason: settlement.reason.clone(),
            };
            let booked = adjust_in(conn, clock, &adjustment).await?;
            Ok((Some(account_id), Some(booked.ledger_entry_id)))
        }
    }
}
