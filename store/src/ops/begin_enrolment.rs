//! Begins an enrolment of many chunks: reserves the price of all of them, or enrols nobody.

use dripline_domain::clock::Clock;
use dripline_domain::ids::{LedgerEntryId, OperationId, WorkflowId};
use dripline_domain::ledger::{EntryKind, Hold, InsufficientBalance};
use dripline_domain::money::Micros;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::enroll::{self, EnrollError, PricedContact, Workflow};
use super::{books, situation};
use crate::crash::{Commit, commit};
use crate::ledger::{self, BalanceChange, NewEntry};
use crate::retries::Retries;
use crate::{Pool, StoreError, advisory, operation};

/// What is to be enrolled in all.
#[derive(Clone, Debug)]
pub struct NewEnrolment {
    /// In which workflow.
    pub workflow_id: WorkflowId,
    /// The revision whose texts were priced.
    pub revision: i64,
    /// Names this enrolment, so that beginning it twice reserves once.
    pub batch_id: Uuid,
    /// Who enrols.
    pub actor: String,
    /// How many contacts.
    pub contacts: u64,
    /// Their messages.
    pub messages: u64,
    /// The segments of those.
    pub segments: u64,
    /// The price of those.
    pub micros: Micros,
}

impl NewEnrolment {
    /// Of these contacts.
    pub fn of(
        workflow_id: WorkflowId,
        revision: i64,
        actor: &str,
        contacts: &[PricedContact],
    ) -> Self {
        let total: Hold = contacts.iter().map(enroll::total).sum();
        Self {
            workflow_id,
            revision,
            batch_id: Uuid::now_v7(),
            actor: actor.to_owned(),
            contacts: contacts.len() as u64,
            messages: contacts.iter().map(|contact| contact.step_micros.len() as u64).sum(),
            segments: total.segments,
            micros: total.micros,
        }
    }
}

/// An enrolment under way. While this lives, no sweep ends it: the session in it holds a lock that
/// Postgres gives up when this process is gone, however it goes.
#[derive(Debug)]
pub struct Enrolment {
    /// The recorded operation.
    pub operation_id: OperationId,
    _session: PgConnection,
}

/// Reserves the whole price by one `hold` entry. Its chunks follow with [`super::enroll_reserved()`], and
/// [`super::end_enrolment()`] gives back what they did not need; where nobody comes to call it, a sweep
/// does. Opens a connection beside the pool.
pub async fn begin_enrolment(
    pool: &Pool,
    clock: &dyn Clock,
    new: &NewEnrolment,
) -> Result<Enrolment, EnrollError> {
    let mut session = PgConnection::connect_with(&pool.connect_options()).await?;
    let mut retries = Retries::default();
    loop {
        match run(&mut session, clock, new).await {
            Ok(operation_id) => return Ok(Enrolment { operation_id, _session: session }),
            Err(EnrollError::Store(error)) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

async fn run(
    session: &mut PgConnection,
    clock: &dyn Clock,
    new: &NewEnrolment,
) -> Result<OperationId, EnrollError> {
    let mut tx = session.begin().await?;
    situation::share_workflows(&mut tx, &[new.workflow_id]).await?;
    if let Some(begun) = operation::find_batch(&mut tx, new.batch_id).await? {
        // Where the session before still stands, its lock speaks for this one as long as it does.
        advisory::try_hold(&mut tx, advisory::operation(begun)).await?;
        return Ok(begun);
    }
    let workflow = enroll::read_workflow(&mut tx, new.workflow_id).await?;
    workflow.check(&mut tx, new.revision).await?;
    workflow.check_balance(&mut tx, new.micros).await?;
    let entry_id = books::reserve_entry(&mut tx).await?;
    let now = clock.now();
    let operation_id = insert(&mut tx, new, &workflow, entry_id, now).await?;
    // Before anybody can see the enrolment.
    advisory::try_hold(&mut tx, advisory::operation(operation_id)).await?;
    let entry = NewEntry {
        account_id: workflow.account_id,
        kind: EntryKind::Hold,
        amount: new.micros,
        segments: operation::signed(new.segments),
        items: operation::signed(new.contacts),
        batch_id: new.batch_id,
        workflow_id: Some(new.workflow_id),
        actor: &new.actor,
        reason: None,
        created_at: now,
    };
    books::write_reserved(&mut tx, entry_id, &entry).await?;
    let change = BalanceChange { available: -new.micros, held: new.micros, spent: Micros::ZERO };
    if !ledger::change_balance(&mut tx, workflow.account_id, change).await? {
        let available = enroll::available(&mut tx, workflow.account_id).await?;
        return Err(InsufficientBalance { needed: new.micros, available }.into());
    }
    commit(tx, Commit::BeginEnrolment).await?;
    Ok(operation_id)
}

async fn insert(
    conn: &mut PgConnection,
    new: &NewEnrolment,
    workflow: &Workflow,
    entry_id: LedgerEntryId,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<OperationId, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO operations (account_id, workflow_id, kind, epoch, batch_id, actor, started_at,
                                 preview_contacts, preview_messages, preview_segments,
                                 preview_micros, preview_in_flight, reserved_segments,
                                 reserved_micros, hold_entry_id)
         VALUES ($1, $2, 'enrol', $3, $4, $5, $6, $7, $8, $9, $10, 0, $9, $10, $11)
         RETURNING operation_id",
        workflow.account_id.0,
        new.workflow_id.0,
        workflow.epoch,
        new.batch_id,
        new.actor,
        now,
        operation::signed(new.contacts),
        operation::signed(new.messages),
        operation::signed(new.segments),
        new.micros.0,
        entry_id.0,
    )
    .fetch_one(conn)
    .await?;
    Ok(OperationId(id))
}
