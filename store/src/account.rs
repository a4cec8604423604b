//! Accounts: who pays, and what is on their balance.

use chrono::{DateTime, Utc};
use dripline_domain::ids::AccountId;
use dripline_domain::ledger::Balance;
use dripline_domain::money::Micros;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{Pool, StoreError};

/// Who pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its id.
    pub account_id: AccountId,
    /// Its name, unique in the installation.
    pub name: String,
    /// ISO 4217 code, for display only: an account never mixes currencies.
    pub currency: String,
    /// While true, a contact can be in one live workflow of the account at a time.
    pub one_live_workflow_per_contact: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// An account with its balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountListing {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Its balance.
    pub balance: Balance,
}

/// The account of that name.
pub async fn find(pool: &Pool, name: &str) -> Result<Option<Account>, StoreError> {
    let account = sqlx::query_as!(
        Account,
        "SELECT account_id, name, currency, one_live_workflow_per_contact, created_at
         FROM accounts WHERE name = $1",
        name,
    )
    .fetch_optional(pool)
    .await?;
    Ok(account)
}

/// The account with that id.
pub async fn load(pool: &Pool, account_id: AccountId) -> Result<Option<Account>, StoreError> {
    let account = sqlx::query_as!(
        Account,
        "SELECT account_id, name, currency, one_live_workflow_per_contact, created_at
         FROM accounts WHERE account_id = $1",
        account_id.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(account)
}

/// All accounts by name, each with its balance.
pub async fn list(pool: &Pool) -> Result<Vec<AccountListing>, StoreError> {
    let rows = sqlx::query!(
        "SELECT account_id, name, currency, one_live_workflow_per_contact, created_at,
                available_micros, held_micros, spent_micros
         FROM accounts JOIN balances USING (account_id)
         ORDER BY name",
    )
    .fetch_all(pool)
    .await?;
    let listing = rows.into_iter().map(|row| AccountListing {
        account: Account {
            account_id: row.account_id.into(),
            name: row.name,
            currency: row.currency,
            one_live_workflow_per_contact: row.one_live_workflow_per_contact,
            created_at: row.created_at,
        },
        balance: read_balance(row.available_micros, row.held_micros, row.spent_micros),
    });
    Ok(listing.collect())
}

/// What is on the account's balance. `None`: there is no such account.
pub async fn balance(pool: &Pool, account_id: AccountId) -> Result<Option<Balance>, StoreError> {
    let row = sqlx::query!(
        "SELECT available_micros, held_micros, spent_micros FROM balances WHERE account_id = $1",
        account_id.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| read_balance(row.available_micros, row.held_micros, row.spent_micros)))
}

/// The balance, with its row locked until the transaction ends. The last lock of a transaction.
pub async fn lock_balance(
    conn: &mut PgConnection,
    account_id: AccountId,
) -> Result<Option<Balance>, StoreError> {
    let row = sqlx::query!(
        "SELECT available_micros, held_micros, spent_micros FROM balances
         WHERE account_id = $1 FOR UPDATE",
        account_id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| read_balance(row.available_micros, row.held_micros, row.spent_micros)))
}

fn read_balance(available: i64, held: i64, spent: i64) -> Balance {
    Balance { available: Micros(available), held: Micros(held), spent: Micros(spent) }
}
