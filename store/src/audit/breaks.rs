//! Breaks: what audits have found to be wrong, kept until a person settles each of them.
//!
//! A break is known by its invariant and the row it is about. [`crate::ops::record_breaks`] writes down
//! what an audit found, [`crate::ops::settle_break`] settles one. One that is settled excuses itself in
//! later audits, and nothing else: when the same row is wrong by another amount, that is a new break.

use chrono::{DateTime, Utc};
use dripline_domain::ids::{AuditBreakId, LedgerEntryId};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{Pool, StoreError};

/// Something that an audit found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditBreak {
    /// Its id.
    pub audit_break_id: AuditBreakId,
    /// The number of the invariant that is broken.
    pub invariant: i16,
    /// Which row breaks it: `delivery 7`.
    pub subject: String,
    /// What is wrong with it, as the last audit that found it said.
    pub problem: String,
    /// When it was first found.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last found.
    pub last_seen_at: DateTime<Utc>,
    /// When an audit first looked for it in vain. `None`: it was still there when last looked for.
    pub gone_at: Option<DateTime<Utc>>,
    /// When a person settled it.
    pub settled_at: Option<DateTime<Utc>>,
    /// Who settled it.
    pub settled_by: Option<String>,
    /// Why that settles it.
    pub settled_reason: Option<String>,
    /// The adjust entry that settled it. `None` where no money was owed to anybody.
    pub ledger_entry_id: Option<LedgerEntryId>,
}

/// The breaks, latest first; those that are settled only if `settled`. `after` continues a list behind
/// that break.
pub async fn list(
    pool: &Pool,
    settled: bool,
    after: Option<AuditBreakId>,
    limit: i64,
) -> Result<Vec<AuditBreak>, StoreError> {
    let rows = sqlx::query!(
        "SELECT audit_break_id, invariant, subject, problem, first_seen_at, last_seen_at, gone_at,
                settled_at, settled_by, settled_reason, ledger_entry_id
         FROM audit_breaks
         WHERE ($1 OR settled_at IS NULL) AND ($2::BIGINT IS NULL OR audit_break_id < $2)
         ORDER BY audit_break_id DESC
         LIMIT $3",
        settled,
        after.map(|id| id.0),
        limit,
    )
    .fetch_all(pool)
    .await?;
    let breaks = rows.into_iter().map(|row| AuditBreak {
        audit_break_id: row.audit_break_id.into(),
        invariant: row.invariant,
        subject: row.subject,
        problem: row.problem,
        first_seen_at: row.first_seen_at,
        last_seen_at: row.last_seen_at,
        gone_at: row.gone_at,
        settled_at: row.settled_at,
        settled_by: row.settled_by,
        settled_reason: row.settled_reason,
        ledger_entry_id: row.ledger_entry_id.map(LedgerEntryId),
    });
    Ok(breaks.collect())
}

/// The break with that id.
pub async fn find(pool: &Pool, id: AuditBreakId) -> Result<Option<AuditBreak>, StoreError> {
    // Lists go backwards and begin behind a number, so the one wanted comes first.
    let found = list(pool, true, Some(AuditBreakId(id.0.saturating_add(1))), 1).await?.pop();
    Ok(found.filter(|found| found.audit_break_id == id))
}

/// How many are not settled.
pub(crate) async fn count_unsettled(conn: &mut PgConnection) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM audit_breaks WHERE settled_at IS NULL"#
    )
    .fetch_one(conn)
    .await?;
    Ok(crate::row::count(count))
}
