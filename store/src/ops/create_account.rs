//! Creates an account with an empty balance.

use dripline_domain::clock::Clock;
use dripline_domain::ids::AccountId;
use serde_json::json;

use crate::account::Account;
use crate::crash::{Commit, commit};
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, row};

/// What an account is made of.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name, unique in the installation.
    pub name: String,
    /// ISO 4217 code: three capital letters.
    pub currency: String,
    /// Whether a contact can be in only one live workflow of the account at a time.
    pub one_live_workflow_per_contact: bool,
    /// Who creates it.
    pub actor: String,
}

/// Why no account was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateAccountError {
    /// There is one of that name.
    #[error("an account named `{0}` exists already")]
    NameTaken(String),
    /// The name says nothing.
    #[error("the account's name is blank")]
    BlankName,
    /// Not three capital letters.
    #[error("`{0}` is not a currency code; write it like `EUR`")]
    UnknownCurrency(String),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for CreateAccountError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Creates the account.
pub async fn create_account(
    pool: &Pool,
    clock: &dyn Clock,
    new: &NewAccount,
) -> Result<Account, CreateAccountError> {
    if new.name.trim().is_empty() {
        return Err(CreateAccountError::BlankName);
    }
    if new.currency.len() != 3 || !new.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(CreateAccountError::UnknownCurrency(new.currency.clone()));
    }
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let account_id = sqlx::query_scalar!(
        "INSERT INTO accounts (name, currency, one_live_workflow_per_contact, created_at)
         VALUES ($1, $2, $3, $4) RETURNING account_id",
        new.name,
        new.currency,
        new.one_live_workflow_per_contact,
        now,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| {
        if row::breaks(&error, "account_names_are_unique") {
            CreateAccountError::NameTaken(new.name.clone())
        } else {
            error.into()
        }
    })?;
    let account_id = AccountId(account_id);
    sqlx::query!("INSERT INTO balances (account_id) VALUES ($1)", account_id.0)
        .execute(&mut *tx)
        .await?;
    let deed = Deed {
        account_id: Some(account_id),
        actor: &new.actor,
        action: "account.create",
        subject: &new.name,
        detail: json!({ "currency": new.currency }),
        at: now,
    };
    trail::record(&mut tx, &deed).await?;
    commit(tx, Commit::CreateAccount).await?;
    Ok(Account {
        account_id,
        name: new.name.clone(),
        currency: new.currency.clone(),
        one_live_workflow_per_contact: new.one_live_workflow_per_contact,
        created_at: now,
    })
}
