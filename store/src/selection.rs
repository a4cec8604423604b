//! Whom a command means: the contacts that somebody has chosen, and what stands in the way of enrolling
//! each. Adding, listing and removing choose in the same words.

use std::collections::HashSet;

use dripline_domain::contact::Fields;
use dripline_domain::ids::{AccountId, ContactId, EnrollmentId, OperationId, WorkflowId};
use dripline_domain::phone::Phone;
use serde::Serialize;
use sqlx::types::Json;

use crate::{Pool, StoreError, row};

mod conditions;

pub(crate) use conditions::Object;
pub use conditions::{Conditions, EnrollmentConditions};

/// A choice of contacts of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Everybody.
    All,
    /// The ones with these numbers. Numbers of nobody are told by [`unknown_phones`].
    Phones(Vec<Phone>),
    /// The ones whom a pause, a deletion or a removal took out.
    Operation(OperationId),
    /// The ones of these enrollments.
    Enrollments(Vec<EnrollmentId>),
}

/// Some of a selection: those who meet the conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Among whom.
    pub among: Selection,
    /// What must hold of them.
    pub conditions: Conditions,
}

impl From<Selection> for Audience {
    fn from(among: Selection) -> Self {
        Self { among, conditions: Conditions::default() }
    }
}

/// A selection in the shape of the queries' parameters.
#[derive(Default)]
pub(crate) struct Chosen {
    pub(crate) phones: Option<Vec<String>>,
    pub(crate) operation: Option<i64>,
    pub(crate) enrollments: Option<Vec<i64>>,
}

impl Selection {
    pub(crate) fn columns(&self) -> Chosen {
        match self {
            Self::All => Chosen::default(),
            Self::Phones(phones) => Chosen {
                phones: Some(phones.iter().map(Phone::to_string).collect()),
                ..Chosen::default()
            },
            Self::Operation(id) => Chosen { operation: Some(id.0), ..Chosen::default() },
            Self::Enrollments(ids) => Chosen {
                enrollments: Some(ids.iter().map(|id| id.0).collect()),
                ..Chosen::default()
            },
        }
    }
}

/// A chosen contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The contact.
    pub contact_id: ContactId,
    /// The contact's number.
    pub phone: Phone,
    /// What templates can use.
    pub fields: Fields,
    /// Why this contact cannot be enrolled now. `None`: it can.
    pub obstacle: Option<Obstacle>,
}

/// Why a contact cannot be enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// It asked to hear nothing more.
    OptedOut,
    /// It is in this workflow.
    AlreadyEnrolled,
    /// It is in another workflow, and the account allows one at a time.
    InOtherWorkflow {
        /// The other workflow's name.
        workflow: String,
    },
}

/// A page of the chosen contacts, oldest first, as they stand now; enrolling decides again. `after`
/// continues behind that contact.
pub async fn page(
    pool: &Pool,
    account_id: AccountId,
    workflow_id: WorkflowId,
    audience: &Audience,
    after: Option<ContactId>,
    limit: i64,
) -> Result<Vec<Candidate>, StoreError> {
    let Audience { among, conditions } = audience;
    let chosen = among.columns();
    let columns = conditions.columns();
    let rows = sqlx::query_file!(
        "queries/selection/page.sql",
        account_id.0,
        workflow_id.0,
        chosen.phones.as_deref(),
        chosen.operation,
        chosen.enrollments.as_deref(),
        &columns.equal as &[Object],
        &columns.unequal as &[Object],
        &conditions.missing,
        &conditions.present,
        &conditions.time_zones,
        &conditions.other_time_zones,
        &columns.phones,
        after.map(|id| id.0),
        limit,
    )
    .fetch_all(pool)
    .await?;
    let candidates = rows.into_iter().map(|r| {
        let obstacle = if r.opted_out {
            Some(Obstacle::OptedOut)
        } else if r.enrolled {
            Some(Obstacle::AlreadyEnrolled)
        } else {
            r.other_workflow.map(|workflow| Obstacle::InOtherWorkflow { workflow })
        };
        Ok(Candidate {
            contact_id: r.contact_id.into(),
            phone: row::phone(&r.phone, r.contact_id)?,
            fields: r.fields.0,
            obstacle,
        })
    });
    candidates.collect()
}

/// How many contacts are chosen, with and without obstacles and whether or not they meet the conditions.
pub async fn count(
    pool: &Pool,
    account_id: AccountId,
    audience: &Audience,
) -> Result<u64, StoreError> {
    let count = match &audience.among {
        Selection::All => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM contacts WHERE account_id = $1"#,
                account_id.0,
            )
            .fetch_one(pool)
            .await?
        }
        Selection::Phones(phones) => {
            let phones: Vec<&str> = phones.iter().map(Phone::as_str).collect();
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM contacts
                   WHERE account_id = $1 AND phone = ANY ($2)"#,
                account_id.0,
                &phones as &[&str],
            )
            .fetch_one(pool)
            .await?
        }
        Selection::Operation(operation) => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!"
                   FROM operations o
                   JOIN enrollments e ON e.workflow_id = o.workflow_id
                                     AND e.operation_id = o.operation_id
                   WHERE o.operation_id = $2 AND o.account_id = $1"#,
                account_id.0,
                operation.0,
            )
            .fetch_one(pool)
            .await?
        }
        Selection::Enrollments(ids) => return Ok(ids.len() as u64),
    };
    Ok(row::count(count))
}

/// Those of the numbers that no contact of the account has, in the given order.
pub async fn unknown_phones(
    pool: &Pool,
    account_id: AccountId,
    phones: &[Phone],
) -> Result<Vec<Phone>, StoreError> {
    let given: Vec<&str> = phones.iter().map(Phone::as_str).collect();
    let known = sqlx::query_scalar!(
        "SELECT phone FROM contacts WHERE account_id = $1 AND phone = ANY ($2)",
        account_id.0,
        &given as &[&str],
    )
    .fetch_all(pool)
    .await?;
    let known: HashSet<String> = known.into_iter().collect();
    Ok(phones.iter().filter(|phone| !known.contains(phone.as_str())).cloned().collect())
}
