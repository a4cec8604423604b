//! Writes contacts, new ones and changed ones, all or none.

use std::collections::HashMap;

use dripline_domain::clock::Clock;
use dripline_domain::contact::{ContactDraft, Fields};
use dripline_domain::ids::AccountId;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, row};

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Contacts that were not there before.
    pub inserted: u64,
    /// Contacts whose fields or time zone are others now.
    pub updated: u64,
    /// Contacts that were already as given.
    pub unchanged: u64,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportContactsError {
    /// No such account.
    #[error("account {0} does not exist")]
    AccountNotFound(AccountId),
    /// One number is given twice, and nobody can say which one is meant.
    #[error("contacts {first} and {second} of the import have the same phone number")]
    Duplicate {
        /// Its first place among the given contacts, from 0.
        first: usize,
        /// Its second place.
        second: usize,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ImportContactsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Rows of one statement; more would only make its parameters larger, not the import faster.
const CHUNK: usize = 5_000;

/// Imports the contacts by their numbers in one transaction. One that exists gets the given fields
/// and time zone in place of its own. Messages already held for it are rendered with the new fields
/// when they are sent; what a longer text then costs is the workflow's surplus policy.
pub async fn import_contacts(
    pool: &Pool,
    clock: &dyn Clock,
    account_id: AccountId,
    contacts: &[ContactDraft],
    actor: &str,
) -> Result<Imported, ImportContactsError> {
    refuse_duplicates(contacts)?;
    // In one order, so that two imports never wait for each other in a circle.
    let mut ordered: Vec<&ContactDraft> = contacts.iter().collect();
    ordered.sort_unstable_by(|a, b| a.phone.cmp(&b.phone));
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, account_id, &ordered, actor).await {
            // Marks lock contacts in the order of their ids, which is another one.
            Err(ImportContactsError::Store(error)) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    account_id: AccountId,
    ordered: &[&ContactDraft],
    actor: &str,
) -> Result<Imported, ImportContactsError> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let known = sqlx::query_scalar!(
        "SELECT account_id FROM accounts WHERE account_id = $1 FOR KEY SHARE",
        account_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if known.is_none() {
        return Err(ImportContactsError::AccountNotFound(account_id));
    }
    let mut imported = Imported::default();
    for chunk in ordered.chunks(CHUNK) {
        let (inserted, updated) = upsert(&mut tx, account_id, chunk, now).await?;
        imported.inserted += inserted;
        imported.updated += updated;
        imported.unchanged += chunk.len() as u64 - inserted - updated;
    }
    let deed = Deed {
        account_id: Some(account_id),
        actor,
        action: "contact.import",
        subject: "contacts",
        detail: json!(imported),
        at: now,
    };
    trail::record(&mut tx, &deed).await?;
    commit(tx, Commit::ImportContacts).await?;
    Ok(imported)
}

fn refuse_duplicates(contacts: &[ContactDraft]) -> Result<(), ImportContactsError> {
    let mut places = HashMap::with_capacity(contacts.len());
    for (second, contact) in contacts.iter().enumerate() {
        if let Some(first) = places.insert(&contact.phone, second) {
            return Err(ImportContactsError::Duplicate { first, second });
        }
    }
    Ok(())
}

/// How many were inserted and how many updated.
async fn upsert(
    conn: &mut PgConnection,
    account_id: AccountId,
    chunk: &[&ContactDraft],
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(u64, u64), StoreError> {
    let phones: Vec<&str> = chunk.iter().map(|contact| contact.phone.as_str()).collect();
    let fields: Vec<Json<&Fields>> = chunk.iter().map(|contact| Json(&contact.fields)).collect();
    let zones: Vec<&str> = chunk.iter().map(|contact| contact.time_zone.name()).collect();
    let written = sqlx::query!(
        r#"WITH written AS (
               INSERT INTO contacts AS c
                   (account_id, phone, fields, time_zone, created_at, updated_at)
               SELECT $1, given.phone, given.fields, given.time_zone, $5, $5
               FROM unnest($2::TEXT[], $3::JSONB[], $4::TEXT[]) AS given (phone, fields, time_zone)
               ON CONFLICT ON CONSTRAINT a_phone_is_one_contact_of_an_account DO UPDATE
               SET fields = excluded.fields, time_zone = excluded.time_zone,
                   updated_at = excluded.updated_at
               WHERE c.fields <> excluded.fields OR c.time_zone <> excluded.time_zone
               -- A row version that no transaction has ended before is a new one.
               RETURNING c.xmax = 0 AS inserted
           )
           SELECT count(*) FILTER (WHERE inserted) AS "inserted!",
                  count(*) FILTER (WHERE NOT inserted) AS "updated!"
           FROM written"#,
        account_id.0,
        &phones as &[&str],
        &fields as &[Json<&Fields>],
        &zones as &[&str],
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok((row::count(written.inserted), row::count(written.updated)))
}
