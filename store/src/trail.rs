//! The audit trail: who did what to which thing, for people. Money and exits have records of their
//! own.

use chrono::{DateTime, Utc};
use dripline_domain::ids::AccountId;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{Pool, StoreError};

/// One deed, as it is written down.
#[derive(Debug)]
pub struct Deed<'a> {
    /// Whose things were touched; `None` for the installation's own.
    pub account_id: Option<AccountId>,
    /// Who did it.
    pub actor: &'a str,
    /// What was done, as `noun.verb`: `workflow.edit`.
    pub action: &'a str,
    /// The thing it was done to, as a person would name it.
    pub subject: &'a str,
    /// Whatever else is worth knowing. Never a secret, a phone number or message text.
    pub detail: serde_json::Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// One deed, as it is read back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrailEntry {
    /// Its number; later deeds have higher ones.
    pub audit_trail_id: i64,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// The thing it was done to.
    pub subject: String,
    /// Whatever else was worth knowing.
    pub detail: serde_json::Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Writes one deed down, in the transaction that does it.
pub async fn record(conn: &mut PgConnection, deed: &Deed<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_trail (account_id, actor, action, subject, detail, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        deed.account_id.map(|id| id.0),
        deed.actor,
        deed.action,
        deed.subject,
        deed.detail,
        deed.at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The account's deeds, latest first. `after` continues a list after the deed of that number.
pub async fn list(
    pool: &Pool,
    account_id: AccountId,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<TrailEntry>, StoreError> {
    let entries = sqlx::query_as!(
        TrailEntry,
        "SELECT audit_trail_id, actor, action, subject, detail, created_at
         FROM audit_trail
         WHERE account_id = $1 AND ($2::BIGINT IS NULL OR audit_trail_id < $2)
         ORDER BY audit_trail_id DESC
         LIMIT $3",
        account_id.0,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(entries)
}
