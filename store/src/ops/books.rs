//! The money side of a batch: one ledger entry per account and kind, one balance change per account.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use dripline_domain::ids::{AccountId, LedgerEntryId, WorkflowId};
use dripline_domain::ledger::{EntryKind, Hold};
use dripline_domain::money::Micros;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::ledger::NewEntry;

/// Gathers what the rows of one batch hold, capture and release. Write the entries before the rows,
/// which point at them, and the balances after everything else.
#[derive(Debug)]
pub(super) struct Books<'a> {
    batch_id: Uuid,
    actor: &'a str,
    at: DateTime<Utc>,
    lines: BTreeMap<(AccountId, EntryKind), Line>,
}

#[derive(Debug)]
struct Line {
    sum: Hold,
    items: i64,
    /// The workflow of all its rows, if they have the same one.
    workflow_id: Option<WorkflowId>,
    entry_id: Option<LedgerEntryId>,
}

impl<'a> Books<'a> {
    pub(super) fn new(batch_id: Uuid, actor: &'a str, at: DateTime<Utc>) -> Self {
        Self { batch_id, actor, at, lines: BTreeMap::new() }
    }

    /// One more row that will point at the entry of this kind: also when it adds no money, as with a
    /// route that costs nothing.
    pub(super) fn add(
        &mut self,
        kind: EntryKind,
        account_id: AccountId,
        workflow_id: WorkflowId,
        amount: Hold,
    ) {
        let line = self.lines.entry((account_id, kind)).or_insert(Line {
            sum: Hold::NONE,
            items: 0,
            workflow_id: Some(workflow_id),
            entry_id: None,
        });
        line.sum += amount;
        line.items += 1;
        if line.workflow_id != Some(workflow_id) {
            line.workflow_id = None;
        }
    }

    /// The id of a written entry.
    pub(super) fn entry(&self, kind: EntryKind, account_id: AccountId) -> Option<i64> {
        self.lines.get(&(account_id, kind)).and_then(|line| line.entry_id).map(|id| id.0)
    }

    /// Writes the entries.
    pub(super) async fn write_entries(
        &mut self,
        conn: &mut PgConnection,
    ) -> Result<(), StoreError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut columns = Columns::default();
        for ((account_id, kind), line) in &self.lines {
            columns.accounts.push(account_id.0);
            columns.kinds.push(kind.as_str().to_owned());
            columns.amounts.push(line.sum.micros.0);
            columns.segments.push(segments(line.sum));
            columns.items.push(line.items);
            columns.workflows.push(line.workflow_id.map(|id| id.0));
        }
        let written = sqlx::query!(
            r#"INSERT INTO ledger_entries (account_id, kind, amount_micros, segments, items,
                                           workflow_id, batch_id, actor, created_at)
               SELECT q.*, $7::UUID, $8::TEXT, $9::TIMESTAMPTZ
               FROM unnest($1::BIGINT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[],
                           $6::BIGINT[]) AS q
               RETURNING ledger_entry_id, account_id, kind"#,
            &columns.accounts,
            &columns.kinds,
            &columns.amounts,
            &columns.segments,
            &columns.items,
            &columns.workflows as &[Option<i64>],
            self.batch_id,
            self.actor,
            self.at,
        )
        .fetch_all(conn)
        .await?;
        for row in written {
            let line = self
                .lines
                .iter_mut()
                .find(|((id, kind), _)| id.0 == row.account_id && kind.as_str() == row.kind);
            if let Some((_, line)) = line {
                line.entry_id = Some(LedgerEntryId(row.ledger_entry_id));
            }
        }
        Ok(())
    }

    /// Changes the balances, in the order of their accounts: the last thing before the commit. A hold
    /// for which an account has too little is a race, since it was there when it was decided.
    pub(super) async fn change_balances(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let mut changes: BTreeMap<AccountId, (i64, i64, i64)> = BTreeMap::new();
        for ((account_id, kind), line) in &self.lines {
            let amount = line.sum.micros.0;
            let (available, held, spent) = changes.entry(*account_id).or_default();
            match kind {
                EntryKind::Hold => (*available, *held) = (*available - amount, *held + amount),
                EntryKind::Capture => (*held, *spent) = (*held - amount, *spent + amount),
                EntryKind::Release => (*held, *available) = (*held - amount, *available + amount),
                EntryKind::Topup | EntryKind::Adjust => *available += amount,
            }
        }
        changes.retain(|_, change| *change != (0, 0, 0));
        if changes.is_empty() {
            return Ok(());
        }
        let accounts: Vec<i64> = changes.keys().map(|id| id.0).collect();
        if accounts.len() > 1 {
            sqlx::query!(
                "SELECT account_id FROM balances WHERE account_id = ANY ($1)
                 ORDER BY account_id FOR UPDATE",
                &accounts,
            )
            .fetch_all(&mut *conn)
            .await?;
        }
        let changes: Vec<_> = changes.into_values().collect();
        let (available, held, spent) = columns(&changes);
        let changed = sqlx::query!(
            "UPDATE balances b
             SET available_micros = b.available_micros + q.available,
                 held_micros = b.held_micros + q.held,
                 spent_micros = b.spent_micros + q.spent
             FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
                  AS q (account_id, available, held, spent)
             WHERE b.account_id = q.account_id AND b.available_micros + q.available >= 0",
            &accounts,
            &available,
            &held,
            &spent,
        )
        .execute(conn)
        .await?;
        if changed.rows_affected() == accounts.len() as u64 {
            Ok(())
        } else {
            Err(StoreError::Raced)
        }
    }
}

#[derive(Default)]
struct Columns {
    accounts: Vec<i64>,
    kinds: Vec<String>,
    amounts: Vec<i64>,
    segments: Vec<i64>,
    items: Vec<i64>,
    workflows: Vec<Option<i64>>,
}

fn columns(changes: &[(i64, i64, i64)]) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for (available, held, spent) in changes {
        columns.0.push(*available);
        columns.1.push(*held);
        columns.2.push(*spent);
    }
    columns
}

/// A hold's segments as the database counts them.
pub(super) fn segments(hold: Hold) -> i64 {
    i64::try_from(hold.segments).expect("segments were read from a BIGINT")
}

/// The money and segments of a row.
pub(crate) fn hold(segments: i64, micros: i64) -> Hold {
    Hold {
        segments: u64::try_from(segments).expect("no table holds negative segments"),
        micros: Micros(micros),
    }
}

/// Takes the id of an entry whose sum is known only after the rows that point at it were written.
pub(super) async fn reserve_entry(conn: &mut PgConnection) -> Result<LedgerEntryId, StoreError> {
    let id = sqlx::query_scalar!(
        r#"SELECT nextval(pg_get_serial_sequence('ledger_entries', 'ledger_entry_id')) AS "id!""#
    )
    .fetch_one(conn)
    .await?;
    Ok(LedgerEntryId(id))
}

/// Writes an entry under its reserved id. An entry of the same batch that is there already means that
/// two processes run the same batch, which is a race.
pub(super) async fn write_reserved(
    conn: &mut PgConnection,
    id: LedgerEntryId,
    entry: &NewEntry<'_>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO ledger_entries (ledger_entry_id, account_id, kind, amount_micros, segments,
                                     items, batch_id, workflow_id, actor, reason, created_at)
         OVERRIDING SYSTEM VALUE
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT ON CONSTRAINT a_batch_writes_one_entry_per_account_and_kind DO NOTHING",
        id.0,
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
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Raced) }
}
