//! Movements of money, and the running sums of them.
//!
//! An entry is written first and the balance changed last, since the balance is the row that
//! everybody waits for. Both happen in the transaction of the rows that the entry covers.

use chrono::{DateTime, Utc};
use dripline_domain::ids::{AccountId, LedgerEntryId, WorkflowId};
use dripline_domain::ledger::EntryKind;
use dripline_domain::money::Micros;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Pool, StoreError, row};

/// An entry to be written.
#[derive(Debug)]
pub struct NewEntry<'a> {
    /// Whose money.
    pub account_id: AccountId,
    /// What kind of movement.
    pub kind: EntryKind,
    /// How much. Only an adjustment may be negative.
    pub amount: Micros,
    /// The segments of the rows that point at the entry.
    pub segments: i64,
    /// The number of rows (enrollments and deliveries) that point at the entry.
    pub items: i64,
    /// The batch that writes it. A batch writes at most one entry per account and kind.
    pub batch_id: Uuid,
    /// The workflow, when every row of the entry belongs to one.
    pub workflow_id: Option<WorkflowId>,
    /// Who moved it.
    pub actor: &'a str,
    /// Why. An adjustment must say.
    pub reason: Option<&'a str>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// An entry as it stands in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LedgerEntry {
    /// Its number; later entries have higher ones.
    pub ledger_entry_id: LedgerEntryId,
    /// Whose money.
    pub account_id: AccountId,
    /// What kind of movement.
    pub kind: EntryKind,
    /// How much, in micros. Only an adjustment may be negative.
    pub amount_micros: Micros,
    /// The segments of the rows that point at it.
    pub segments: i64,
    /// The number of rows that point at it.
    pub items: i64,
    /// The batch that wrote it.
    pub batch_id: Uuid,
    /// The workflow it is about, if it is about one.
    pub workflow_id: Option<WorkflowId>,
    /// That workflow's name, also when it was deleted since.
    pub workflow: Option<String>,
    /// Who moved it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Which entries to list.
#[derive(Clone, Debug)]
pub struct LedgerFilter {
    /// Only of this kind.
    pub kind: Option<EntryKind>,
    /// Only about this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Only from this instant on.
    pub since: Option<DateTime<Utc>>,
    /// Continue the list after this entry.
    pub after: Option<LedgerEntryId>,
    /// At most so many.
    pub limit: i64,
}

impl Default for LedgerFilter {
    fn default() -> Self {
        Self { kind: None, workflow_id: None, since: None, after: None, limit: 100 }
    }
}

/// The sums of an account's entries, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerTotals {
    /// Money in.
    pub topup_micros: Micros,
    /// Reserved, ever.
    pub hold_micros: Micros,
    /// Taken.
    pub capture_micros: Micros,
    /// Given back.
    pub release_micros: Micros,
    /// Corrected.
    pub adjust_micros: Micros,
}

/// What one batch does to a balance. The three never have to add up to anything: a top-up raises
/// only `available`, a hold moves from `available` to `held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BalanceChange {
    /// Change of what can be spent.
    pub available: Micros,
    /// Change of what is reserved.
    pub held: Micros,
    /// Change of what was taken.
    pub spent: Micros,
}

/// Writes an entry. `None`: this batch has already written its entry of this kind, so it was
/// committed before and nothing must be done again.
pub async fn insert(
    conn: &mut PgConnection,
    entry: &NewEntry<'_>,
) -> Result<Option<LedgerEntryId>, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO ledger_entries (account_id, kind, amount_micros, segments, items, batch_id,
                                     workflow_id, actor, reason, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT ON CONSTRAINT a_batch_writes_one_entry_per_account_and_kind DO NOTHING
         RETURNING ledger_entry_id",
        entry.account_id.0,
        entry.kind.as_str(),
        entry.amount.0,
        entry.segments,
        entry.items,
        entry.batch_id,
        entry.workflow_id.map(|id| id.0),
        entry.actor,
        entry.reason,
        entry.created_at,
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(LedgerEntryId))
}

/// Changes an account's balance; the last thing a transaction does, since it locks the hottest row.
/// `false`: the account has no balance, or one of the three would fall below zero; nothing changed.
#[must_use = "a balance that could not be changed must undo the transaction"]
pub async fn change_balance(
    conn: &mut PgConnection,
    account_id: AccountId,
    change: BalanceChange,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE balances
         SET available_micros = available_micros + $2,
             held_micros = held_micros + $3,
             spent_micros = spent_micros + $4
         WHERE account_id = $1
           AND available_micros + $2 >= 0 AND held_micros + $3 >= 0 AND spent_micros + $4 >= 0",
        account_id.0,
        change.available.0,
        change.held.0,
        change.spent.0,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The entry of `kind` that a batch wrote for the account, by which a batch whose COMMIT got no
/// answer is recognised.
pub async fn find_batch(
    conn: &mut PgConnection,
    batch_id: Uuid,
    account_id: AccountId,
    kind: EntryKind,
) -> Result<Option<LedgerEntryId>, StoreError> {
    let id = sqlx::query_scalar!(
        "SELECT ledger_entry_id FROM ledger_entries
         WHERE batch_id = $1 AND account_id = $2 AND kind = $3",
        batch_id,
        account_id.0,
        kind.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(LedgerEntryId))
}

/// The account's entries, latest first.
pub async fn list(
    pool: &Pool,
    account_id: AccountId,
    filter: &LedgerFilter,
) -> Result<Vec<LedgerEntry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT l.ledger_entry_id, l.account_id, l.kind, l.amount_micros, l.segments, l.items,
                l.batch_id, l.workflow_id, w.name AS \"workflow?\", l.actor, l.reason, l.created_at
         FROM ledger_entries l
         LEFT JOIN workflows w USING (workflow_id)
         WHERE l.account_id = $1
           AND ($2::TEXT IS NULL OR l.kind = $2)
           AND ($3::BIGINT IS NULL OR l.workflow_id = $3)
           AND ($4::TIMESTAMPTZ IS NULL OR l.created_at >= $4)
           AND ($5::BIGINT IS NULL OR l.ledger_entry_id < $5)
         ORDER BY l.ledger_entry_id DESC
         LIMIT $6",
        account_id.0,
        filter.kind.map(EntryKind::as_str),
        filter.workflow_id.map(|id| id.0),
        filter.since,
        filter.after.map(|id| id.0),
        filter.limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

/// The sums of all of the account's entries.
pub async fn totals(pool: &Pool, account_id: AccountId) -> Result<LedgerTotals, StoreError> {
    let totals = sqlx::query_as!(
        LedgerTotals,
        "SELECT coalesce(sum(amount_micros) FILTER (WHERE kind = 'topup'), 0)::BIGINT
                    AS \"topup_micros!\",
                coalesce(sum(amount_micros) FILTER (WHERE kind = 'hold'), 0)::BIGINT
                    AS \"hold_micros!\",
                coalesce(sum(amount_micros) FILTER (WHERE kind = 'capture'), 0)::BIGINT
                    AS \"capture_micros!\",
                coalesce(sum(amount_micros) FILTER (WHERE kind = 'release'), 0)::BIGINT
                    AS \"release_micros!\",
                coalesce(sum(amount_micros) FILTER (WHERE kind = 'adjust'), 0)::BIGINT
                    AS \"adjust_micros!\"
         FROM ledger_entries WHERE account_id = $1",
        account_id.0,
    )
    .fetch_one(pool)
    .await?;
    Ok(totals)
}

/// What `list` reads, before its kind is understood.
struct Row {
    ledger_entry_id: LedgerEntryId,
    account_id: AccountId,
    kind: String,
    amount_micros: Micros,
    segments: i64,
    items: i64,
    batch_id: Uuid,
    workflow_id: Option<i64>,
    workflow: Option<String>,
    actor: String,
    reason: Option<String>,
    created_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<LedgerEntry, StoreError> {
        let kind = row::read(&self.kind, "ledger_entries", "kind", self.ledger_entry_id)?;
        Ok(LedgerEntry {
            ledger_entry_id: self.ledger_entry_id,
            account_id: self.account_id,
            kind,
            amount_micros: self.amount_micros,
            segments: self.segments,
            items: self.items,
            batch_id: self.batch_id,
            workflow_id: self.workflow_id.map(WorkflowId),
            workflow: self.workflow,
            actor: self.actor,
            reason: self.reason,
            created_at: self.created_at,
        })
    }
}
