//! Enrols contacts in a workflow, chunk by chunk, and holds the price of all their messages.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, ContactId, LedgerEntryId, OperationId, WorkflowId};
use dripline_domain::ledger::{EntryKind, Hold, InsufficientBalance};
use dripline_domain::money::Micros;
use dripline_domain::timing::Timing;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books;
use super::situation;
use crate::crash::{Commit, commit};
use crate::ledger::{self, BalanceChange, NewEntry};
use crate::queue;
use crate::retries::Retries;
use crate::{Pool, StoreError};

mod reserve;
mod rows;

use rows::Rows;

/// Contacts to be enrolled in one transaction: best 2,000 to 10,000.
#[derive(Clone, Debug)]
pub struct EnrollChunk {
    /// In which workflow.
    pub workflow_id: WorkflowId,
    /// The revision whose texts were priced.
    pub revision: i64,
    /// Names this chunk, so that running it twice enrols and holds once.
    pub batch_id: Uuid,
    /// Who enrols them.
    pub actor: String,
    /// Whom, with the price of each of their messages.
    pub contacts: Vec<PricedContact>,
    /// What this chunk and all that are still to come need together. Nothing is enrolled when less is
    /// available.
    pub required: Micros,
}

/// A contact with the price of each of their messages, in the order of the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedContact {
    /// Who.
    pub contact_id: ContactId,
    /// Segments of each step's text.
    pub step_segments: Vec<u32>,
    /// Price of each step's text.
    pub step_micros: Vec<Micros>,
}

/// What a chunk did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrolled {
    /// Who is enrolled now, by id.
    pub enrolled: Vec<ContactId>,
    /// Who is not, and why.
    pub skipped: Vec<(ContactId, SkipReason)>,
    /// Segments held.
    pub segments: u64,
    /// Money held.
    pub held: Micros,
}

/// Why a contact was not enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// They are in this workflow now.
    AlreadyEnrolled,
    /// They are in another one, and the account allows one at a time.
    InOtherWorkflow {
        /// Its name.
        name: String,
    },
    /// They want to hear nothing more.
    OptedOut,
    /// The account has no such contact.
    NotFound,
}

/// Why nobody was enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// There is none, or it was deleted.
    #[error("workflow {0} does not exist")]
    WorkflowNotFound(WorkflowId),
    /// It was edited since its texts were priced.
    #[error("the workflow is at revision {found}, not {priced}; price it again")]
    WorkflowChanged {
        /// The revision that was priced.
        priced: i64,
        /// The revision it has now.
        found: i64,
    },
    /// A pause is still taking contacts out of it.
    #[error("operation {operation_id} is still taking contacts out of the workflow")]
    PurgeUnfinished {
        /// The operation.
        operation_id: OperationId,
    },
    /// The enrolment that this chunk belongs to is over: a pause, a deletion or an edit has stopped it,
    /// or nobody seemed to go on with it. What was reserved and not used was given back.
    #[error("enrolment {operation_id} has ended")]
    EnrolmentEnded {
        /// The enrolment.
        operation_id: OperationId,
    },
    /// A contact's prices are not one for each step.
    #[error("contact {contact_id} has prices for {priced} steps, and the workflow has {steps}")]
    WrongSteps {
        /// The contact.
        contact_id: ContactId,
        /// How many prices there are.
        priced: usize,
        /// How many steps there are.
        steps: usize,
    },
    /// The balance does not cover it.
    #[error(transparent)]
    InsufficientBalance(#[from] InsufficientBalance),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for EnrollError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Enrols a chunk in one transaction, all that can be: their first deliveries are queued and the price
/// of all their messages is held by one entry. Running it again with the same `batch_id` gives what it
/// did the first time.
pub async fn enroll(
    pool: &Pool,
    clock: &dyn Clock,
    chunk: &EnrollChunk,
) -> Result<Enrolled, EnrollError> {
    enroll_paid(pool, clock, chunk, Payment::Balance).await
}

/// Enrols chunk number `number` (from 1, one after the other) of an enrolment that has begun. The same as
/// [`enroll`], but the price comes out of what the enrolment has reserved: its `hold` entry is the
/// enrollments' own, and the balance is not touched. Running it again with the same number gives what it
/// did the first time.
pub async fn enroll_reserved(
    pool: &Pool,
    clock: &dyn Clock,
    operation_id: OperationId,
    number: u32,
    chunk: &EnrollChunk,
) -> Result<Enrolled, EnrollError> {
    enroll_paid(pool, clock, chunk, Payment::Reserve { operation_id, number }).await
}

/// Where the price of a chunk comes from.
#[derive(Clone, Copy)]
enum Payment {
    /// From what is available.
    Balance,
    /// From what an enrolment has reserved, for its chunk of that number.
    Reserve { operation_id: OperationId, number: u32 },
}

async fn enroll_paid(
    pool: &Pool,
    clock: &dyn Clock,
    chunk: &EnrollChunk,
    payment: Payment,
) -> Result<Enrolled, EnrollError> {
    // In the order of the contacts, so that two chunks never wait for each other in a ring.
    let (contacts, repeated) = by_contact(chunk);
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, chunk, payment, &contacts).await {
            Err(EnrollError::Store(error)) if retries.again(&error).await => {}
            done => {
                let mut done = done?;
                done.skipped.extend(repeated);
                return Ok(done);
            }
        }
    }
}

pub(super) type Contacts<'a> = BTreeMap<ContactId, &'a PricedContact>;

/// The contacts of a chunk, and those that are in it more than once.
pub(super) fn by_contact(chunk: &EnrollChunk) -> (Contacts<'_>, Vec<(ContactId, SkipReason)>) {
    let mut contacts = BTreeMap::new();
    let mut repeated = Vec::new();
    for contact in &chunk.contacts {
        if contacts.insert(contact.contact_id, contact).is_some() {
            repeated.push((contact.contact_id, SkipReason::AlreadyEnrolled));
        }
    }
    (contacts, repeated)
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    chunk: &EnrollChunk,
    payment: Payment,
    contacts: &Contacts<'_>,
) -> Result<Enrolled, EnrollError> {
    let mut tx = pool.begin().await?;
    situation::share_workflows(&mut tx, &[chunk.workflow_id]).await?;
    let workflow = read_workflow(&mut tx, chunk.workflow_id).await?;
    let entry_id = match payment {
        Payment::Balance => {
            let batch_id = chunk.batch_id;
            let before =
                ledger::find_batch(&mut tx, batch_id, workflow.account_id, EntryKind::Hold);
            if let Some(entry_id) = before.await? {
                return done_before(&mut tx, &workflow, contacts, entry_id).await;
            }
            workflow.check(&mut tx, chunk.revision).await?;
            workflow.check_balance(&mut tx, chunk.required).await?;
            books::reserve_entry(&mut tx).await?
        }
        Payment::Reserve { operation_id, number } => {
            let reserve = reserve::lock(&mut tx, operation_id).await?;
            if number <= reserve.chunks {
                return done_before(&mut tx, &workflow, contacts, reserve.entry_id).await;
            }
            if !reserve.serves(&workflow) {
                return Err(EnrollError::EnrolmentEnded { operation_id });
            }
            workflow.check(&mut tx, chunk.revision).await?;
            reserve.entry_id
        }
    };
    workflow.check_steps(contacts)?;
    share_contacts(&mut tx, contacts.keys()).await?;
    let (candidates, mut skipped) = sort_out(&mut tx, &workflow, contacts.keys()).await?;
    let now = clock.now();
    let rows = Rows::new(&candidates, contacts, &workflow, now)?;
    let tickets = rows.insert(&mut tx, &workflow, entry_id, &chunk.actor, now).await?;
    queue::push(&mut tx, &tickets.values().cloned().collect::<Vec<_>>()).await?;
    let slipped: Vec<ContactId> =
        candidates.keys().filter(|id| !tickets.contains_key(id)).copied().collect();
    if !slipped.is_empty() {
        let (_, reasons) = sort_out(&mut tx, &workflow, slipped.iter()).await?;
        skipped.extend(reasons);
    }
    let enrolled: Vec<ContactId> = tickets.into_keys().collect();
    let held: Hold = enrolled.iter().map(|id| total(contacts[id])).sum();
    match payment {
        Payment::Balance if enrolled.is_empty() => {}
        Payment::Balance => {
            hold(&mut tx, chunk, &workflow, entry_id, enrolled.len(), held, now).await?;
        }
        Payment::Reserve { operation_id, number } => {
            reserve::take(&mut tx, operation_id, number, enrolled.len(), held).await?;
        }
    }
    commit(tx, Commit::EnrollChunk).await?;
    Ok(Enrolled { enrolled, skipped, segments: held.segments, held: held.micros })
}

/// Locks the contacts against an opt-out: one that is committed is seen by the next statement, and one
/// that comes later finds the enrollment.
pub(super) async fn share_contacts(
    conn: &mut PgConnection,
    contacts: impl Iterator<Item = &ContactId>,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = contacts.map(|id| id.0).collect();
    sqlx::query!(
        "SELECT count(*) FROM (SELECT FROM contacts WHERE contact_id = ANY ($1)
                               ORDER BY contact_id FOR SHARE) AS locked",
        &ids,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Writes the hold and takes it from the balance, last.
pub(super) async fn hold(
    conn: &mut PgConnection,
    chunk: &EnrollChunk,
    workflow: &Workflow,
    entry_id: LedgerEntryId,
    items: usize,
    held: Hold,
    now: DateTime<Utc>,
) -> Result<(), EnrollError> {
    let account_id = workflow.account_id;
    let entry = NewEntry {
        account_id,
        kind: EntryKind::Hold,
        amount: held.micros,
        segments: books::segments(held),
        items: i64::try_from(items).unwrap_or(i64::MAX),
        batch_id: chunk.batch_id,
        workflow_id: Some(workflow.workflow_id),
        actor: &chunk.actor,
        reason: None,
        created_at: now,
    };
    books::write_reserved(conn, entry_id, &entry).await?;
    let change = BalanceChange { available: -held.micros, held: held.micros, spent: Micros::ZERO };
    if ledger::change_balance(conn, account_id, change).await? {
        return Ok(());
    }
    let available = available(conn, account_id).await?;
    Err(InsufficientBalance { needed: chunk.required.max(held.micros), available }.into())
}

pub(super) async fn available(
    conn: &mut PgConnection,
    account_id: AccountId,
) -> Result<Micros, StoreError> {
    let available = sqlx::query_scalar!(
        "SELECT available_micros FROM balances WHERE account_id = $1",
        account_id.0,
    )
    .fetch_one(conn)
    .await?;
    Ok(Micros(available))
}

pub(super) struct Workflow {
    pub(super) workflow_id: WorkflowId,
    pub(super) account_id: AccountId,
    pub(super) epoch: i64,
    pub(super) revision: i64,
    pub(super) exclusive: bool,
    pub(super) steps: usize,
    first: Timing,
}

/// Reads the workflow, whose row is locked.
pub(super) async fn read_workflow(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
) -> Result<Workflow, EnrollError> {
    let row = sqlx::query!(
        "SELECT w.account_id, w.epoch, w.revision, a.one_live_workflow_per_contact
         FROM workflows w JOIN accounts a USING (account_id)
         WHERE w.workflow_id = $1 AND w.deleted_at IS NULL",
        workflow_id.0,
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(EnrollError::WorkflowNotFound(workflow_id))?;
    let timings = situation::read_timings(conn, &[workflow_id]).await?;
    let first = timings.get(&(workflow_id, 1)).copied();
    Ok(Workflow {
        workflow_id,
        account_id: row.account_id.into(),
        epoch: row.epoch,
        revision: row.revision,
        exclusive: row.one_live_workflow_per_contact,
        steps: timings.len(),
        first: first.ok_or(EnrollError::WorkflowNotFound(workflow_id))?,
    })
}

impl Workflow {
    /// Refuses where nobody must be enrolled now, or not at the prices of that revision.
    pub(super) async fn check(
        &self,
        conn: &mut PgConnection,
        priced: i64,
    ) -> Result<(), EnrollError> {
        if self.revision != priced {
            return Err(EnrollError::WorkflowChanged { priced, found: self.revision });
        }
        let unfinished = sqlx::query_scalar!(
            "SELECT operation_id FROM operations WHERE workflow_id = $1 AND finished_at IS NULL
               AND closed_epoch IS NOT NULL
             ORDER BY operation_id LIMIT 1",
            self.workflow_id.0,
        )
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(id) = unfinished {
            return Err(EnrollError::PurgeUnfinished { operation_id: id.into() });
        }
        Ok(())
    }

    /// Refuses prices that are not one for each step.
    pub(super) fn check_steps(&self, contacts: &Contacts<'_>) -> Result<(), EnrollError> {
        for contact in contacts.values() {
            for priced in [contact.step_segments.len(), contact.step_micros.len()] {
                if priced != self.steps {
                    let contact_id = contact.contact_id;
                    return Err(EnrollError::WrongSteps { contact_id, priced, steps: self.steps });
                }
            }
        }
        Ok(())
    }

    /// Refuses what costs more than there is.
    pub(super) async fn check_balance(
        &self,
        conn: &mut PgConnection,
        needed: Micros,
    ) -> Result<(), EnrollError> {
        let available = available(conn, self.account_id).await?;
        if available < needed {
            return Err(InsufficientBalance { needed, available }.into());
        }
        Ok(())
    }
}

/// Time zones of those who can be enrolled.
pub(super) type Candidates = BTreeMap<ContactId, String>;

/// Parts those who can be enrolled from those who cannot. The contacts are locked.
pub(super) async fn sort_out(
    conn: &mut PgConnection,
    workflow: &Workflow,
    contacts: impl Iterator<Item = &ContactId>,
) -> Result<(Candidates, Vec<(ContactId, SkipReason)>), StoreError> {
    let ids: Vec<i64> = contacts.map(|id| id.0).collect();
    let rows = sqlx::query_file!(
        "queries/enrollment/candidates.sql",
        &ids,
        workflow.workflow_id.0,
        workflow.exclusive,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<i64, _> = rows.into_iter().map(|row| (row.contact_id, row)).collect();
    let mut candidates = Candidates::new();
    let mut skipped = Vec::new();
    for id in ids {
        let contact_id = ContactId(id);
        let reason = match found.remove(&id) {
            Some(row) if row.account_id == workflow.account_id.0 => {
                if row.enrolled {
                    SkipReason::AlreadyEnrolled
                } else if row.opted_out {
                    SkipReason::OptedOut
                } else if let Some(name) = row.other_workflow {
                    SkipReason::InOtherWorkflow { name }
                } else {
                    candidates.insert(contact_id, row.time_zone);
                    continue;
                }
            }
            _ => SkipReason::NotFound,
        };
        skipped.push((contact_id, reason));
    }
    Ok((candidates, skipped))
}

pub(super) fn total(contact: &PricedContact) -> Hold {
    Hold {
        segments: contact.step_segments.iter().copied().map(u64::from).sum(),
        micros: contact.step_micros.iter().copied().sum(),
    }
}

/// The answer of a chunk that was committed before.
async fn done_before(
    conn: &mut PgConnection,
    workflow: &Workflow,
    contacts: &Contacts<'_>,
    entry_id: LedgerEntryId,
) -> Result<Enrolled, EnrollError> {
    let ids: Vec<i64> = contacts.keys().map(|id| id.0).collect();
    let enrolled = sqlx::query_scalar!(
        "SELECT contact_id FROM enrollments
         WHERE contact_id = ANY ($1) AND workflow_id = $2 AND hold_entry_id = $3
         ORDER BY contact_id",
        &ids,
        workflow.workflow_id.0,
        entry_id.0,
    )
    .fetch_all(&mut *conn)
    .await?;
    let enrolled: Vec<ContactId> = enrolled.into_iter().map(ContactId).collect();
    let others = contacts.keys().filter(|id| enrolled.binary_search(id).is_err());
    let (_, skipped) = sort_out(conn, workflow, others).await?;
    let held: Hold = enrolled.iter().map(|id| total(contacts[id])).sum();
    Ok(Enrolled { enrolled, skipped, segments: held.segments, held: held.micros })
}
