//! Contacts: people with a phone number.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use dripline_domain::contact::Fields;
use dripline_domain::ids::{AccountId, ContactId, WorkflowId};
use dripline_domain::phone::Phone;
use serde::Serialize;
use sqlx::types::Json;

use crate::listing::enrollments::{self, EnrollmentFilter, EnrollmentListing};
use crate::{Pool, StoreError, row};

/// A person with a phone number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Its id.
    pub contact_id: ContactId,
    /// Whose it is.
    pub account_id: AccountId,
    /// The number, unique in the account.
    pub phone: Phone,
    /// What templates can use.
    pub fields: Fields,
    /// An IANA name.
    pub time_zone: String,
    /// When the contact asked to hear nothing more.
    pub opted_out_at: Option<DateTime<Utc>>,
    /// When it was first imported.
    pub created_at: DateTime<Utc>,
    /// When an import last changed it.
    pub updated_at: DateTime<Utc>,
}

/// A contact with where it is and where it has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContactDetail {
    /// The contact.
    #[serde(flatten)]
    pub contact: Contact,
    /// The active workflows it is in: at which step, and when the next message is due.
    pub live: Vec<EnrollmentListing>,
    /// The workflows it has left, latest first: why, by whom, when and what came back.
    pub exits: Vec<EnrollmentListing>,
}

/// Which contacts to list.
#[derive(Clone, Debug)]
pub struct ContactFilter {
    /// Only those whose number contains these digits.
    pub phone: Option<String>,
    /// Only those with this field of this value.
    pub field: Option<(String, String)>,
    /// Only those of this IANA time zone.
    pub time_zone: Option<String>,
    /// Only those who are in this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Only those who are (`true`) or are not (`false`) in any active workflow.
    pub enrolled: Option<bool>,
    /// Only those who have (`true`) or have not (`false`) opted out.
    pub opted_out: Option<bool>,
    /// Continue the list after this contact.
    pub after: Option<ContactId>,
    /// At most so many.
    pub limit: i64,
}

impl Default for ContactFilter {
    fn default() -> Self {
        Self {
            phone: None,
            field: None,
            time_zone: None,
            workflow_id: None,
            enrolled: None,
            opted_out: None,
            after: None,
            limit: 100,
        }
    }
}

/// The account's contacts, oldest first.
pub async fn list(
    pool: &Pool,
    account_id: AccountId,
    filter: &ContactFilter,
) -> Result<Vec<Contact>, StoreError> {
    let field = filter.field.as_ref().map(|(name, value)| BTreeMap::from([(name, value)]));
    let rows = sqlx::query_file_as!(
        Row,
        "queries/contact/list.sql",
        account_id.0,
        filter.phone,
        field.map(Json) as Option<Json<BTreeMap<&String, &String>>>,
        filter.time_zone,
        filter.workflow_id.map(|id| id.0),
        filter.enrolled,
        filter.opted_out,
        filter.after.map(|id| id.0),
        filter.limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

/// The account's contact with that number.
pub async fn find(
    pool: &Pool,
    account_id: AccountId,
    phone: &Phone,
) -> Result<Option<Contact>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT contact_id, account_id, phone, fields AS "fields: Json<Fields>", time_zone,
                  opted_out_at, created_at, updated_at
           FROM contacts WHERE account_id = $1 AND phone = $2"#,
        account_id.0,
        phone.as_str(),
    )
    .fetch_optional(pool)
    .await?;
    row.map(Row::read).transpose()
}

/// The contact with that id.
pub async fn load(pool: &Pool, contact_id: ContactId) -> Result<Option<Contact>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT contact_id, account_id, phone, fields AS "fields: Json<Fields>", time_zone,
                  opted_out_at, created_at, updated_at
           FROM contacts WHERE contact_id = $1"#,
        contact_id.0,
    )
    .fetch_optional(pool)
    .await?;
    row.map(Row::read).transpose()
}

/// The contact with where it is and where it has been: its latest `exits` exits.
pub async fn show(
    pool: &Pool,
    contact_id: ContactId,
    exits: i64,
) -> Result<Option<ContactDetail>, StoreError> {
    let Some(contact) = load(pool, contact_id).await? else { return Ok(None) };
    let of_contact = EnrollmentFilter { contact_id: Some(contact_id), ..Default::default() };
    let live = EnrollmentFilter { live: Some(true), ..of_contact.clone() };
    let past = EnrollmentFilter { live: Some(false), limit: exits, ..of_contact };
    let account_id = contact.account_id;
    Ok(Some(ContactDetail {
        contact,
        live: enrollments::list(pool, account_id, &live).await?,
        exits: enrollments::list(pool, account_id, &past).await?,
    }))
}

struct Row {
    contact_id: i64,
    account_id: AccountId,
    phone: String,
    fields: Json<Fields>,
    time_zone: String,
    opted_out_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<Contact, StoreError> {
        Ok(Contact {
            contact_id: self.contact_id.into(),
            account_id: self.account_id,
            phone: row::phone(&self.phone, self.contact_id)?,
            fields: self.fields.0,
            time_zone: self.time_zone,
            opted_out_at: self.opted_out_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
