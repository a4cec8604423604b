//! Takes one contact out of one workflow, in one transaction.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{DeliveryId, EnrollmentId, OperationId, WorkflowId};
use dripline_domain::ledger::{Hold, Settlement};
use dripline_domain::money::Micros;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::{Books, hold};
use super::settle::{Changes, DeliveryChange, DeliveryTo, EnrollmentChange, EnrollmentTo, Owner};
use super::situation;
use crate::crash::{Commit, commit};
use crate::operation::{self, signed};
use crate::plan::{self, InFlight};
use crate::retries::Retries;
use crate::{Pool, StoreError, row};

/// Whom to take out.
#[derive(Clone, Debug)]
pub struct Removal {
    /// The enrollment, which says both the contact and the workflow.
    pub enrollment_id: EnrollmentId,
    /// Who takes them out.
    pub actor: String,
    /// Why, if anybody wants to say.
    pub reason: Option<String>,
}

/// What a removal did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The recorded operation.
    pub operation_id: Option<OperationId>,
    /// How many messages were cancelled.
    pub cancelled: u64,
    /// Their segments.
    pub segments: u64,
    /// What came back.
    pub released: Micros,
    /// The message that could not be cancelled any more.
    pub in_flight: Vec<InFlight>,
}

/// Why nobody was taken out.
#[derive(Debug, thiserror::Error)]
pub enum RemoveContactError {
    /// There is no such enrollment.
    #[error("enrollment {0} does not exist")]
    NotFound(EnrollmentId),
    /// It has ended already.
    #[error("enrollment {enrollment_id} has ended already: {cause}")]
    Ended {
        /// The enrollment.
        enrollment_id: EnrollmentId,
        /// How.
        cause: ExitCause,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RemoveContactError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Takes the contact out: its remaining messages are cancelled and paid back, everybody else goes on.
pub async fn remove_contact(
    pool: &Pool,
    clock: &dyn Clock,
    removal: &Removal,
) -> Result<Removed, RemoveContactError> {
    end(pool, clock, removal, ExitCause::Removed).await
}

/// Ends a live enrollment for any cause. Only a removal is recorded as an operation.
pub(super) async fn end(
    pool: &Pool,
    clock: &dyn Clock,
    removal: &Removal,
    cause: ExitCause,
) -> Result<Removed, RemoveContactError> {
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, removal, cause).await {
            Err(RemoveContactError::Store(error)) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    removal: &Removal,
    cause: ExitCause,
) -> Result<Removed, RemoveContactError> {
    let id = removal.enrollment_id;
    let mut tx = pool.begin().await?;
    let workflow_id =
        sqlx::query_scalar!("SELECT workflow_id FROM enrollments WHERE enrollment_id = $1", id.0,)
            .fetch_optional(&mut *tx)
            .await?
            .map(WorkflowId)
            .ok_or(RemoveContactError::NotFound(id))?;
    situation::share_workflows(&mut tx, &[workflow_id]).await?;
    let enrollment = lock_enrollment(&mut tx, removal, workflow_id).await?;
    let queued = lock_queued(&mut tx, id).await?;
    let in_flight = plan::in_flight(&mut tx, workflow_id, Some(id)).await?;
    let now = clock.now();
    let held = queued.as_ref().map_or(Hold::NONE, |queued| queued.held);
    let released = enrollment.remaining + held;
    let mut removed = Removed {
        operation_id: None,
        cancelled: row::count(enrollment.later_steps) + u64::from(queued.is_some()),
        segments: released.segments,
        released: released.micros,
        in_flight,
    };
    if cause == ExitCause::Removed {
        let operation = record(&mut tx, removal, &enrollment.owner, &removed, now).await?;
        removed.operation_id = Some(operation);
    }
    let mut changes = Changes { operation_id: removed.operation_id, ..Changes::default() };
    changes.enrollments.push(EnrollmentChange {
        owner: enrollment.owner,
        position: enrollment.position,
        remaining: enrollment.remaining,
        to: EnrollmentTo::Exit(cause),
    });
    if let Some(queued) = queued {
        changes.withdrawn.extend(queued.ticket_id);
        changes.deliveries.push(DeliveryChange {
            owner: enrollment.owner,
            delivery_id: queued.delivery_id,
            was_queued: true,
            said_sent: None,
            attempt: queued.attempt,
            attempt_after: queued.attempt,
            to: DeliveryTo::Settled {
                state: DeliveryState::Cancelled,
                settlement: Settlement::unsent(queued.held),
                carrier_reference: None,
            },
            reason: None,
            outcome: None,
        });
    }
    let mut books = Books::new(Uuid::now_v7(), &removal.actor, now);
    changes.write(&mut tx, &mut books, &removal.actor, now).await?;
    commit(tx, Commit::RemoveContact).await?;
    Ok(removed)
}

struct Enrollment {
    owner: Owner,
    position: i32,
    later_steps: i64,
    remaining: Hold,
}

async fn lock_enrollment(
    conn: &mut PgConnection,
    removal: &Removal,
    workflow_id: WorkflowId,
) -> Result<Enrollment, RemoveContactError> {
    let id = removal.enrollment_id;
    let row = sqlx::query!(
        r#"SELECT account_id, contact_id, position, remaining_segments, remaining_micros, exit_cause,
                  (cardinality(step_segments) - position)::BIGINT AS "later_steps!"
           FROM enrollments WHERE enrollment_id = $1 FOR UPDATE"#,
        id.0,
    )
    .fetch_one(conn)
    .await?;
    if let Some(cause) = row.exit_cause {
        let cause = row::read(&cause, "enrollments", "exit_cause", id)?;
        return Err(RemoveContactError::Ended { enrollment_id: id, cause });
    }
    Ok(Enrollment {
        owner: Owner {
            account_id: row.account_id.into(),
            workflow_id,
            contact_id: row.contact_id.into(),
            enrollment_id: id,
        },
        position: row.position,
        later_steps: row.later_steps,
        remaining: hold(row.remaining_segments, row.remaining_micros),
    })
}

struct Queued {
    delivery_id: DeliveryId,
    attempt: i32,
    held: Hold,
    ticket_id: Option<String>,
}

/// Locks the enrollment's delivery, if it is queued: one that is being marked is waited for.
async fn lock_queued(
    conn: &mut PgConnection,
    enrollment_id: EnrollmentId,
) -> Result<Option<Queued>, StoreError> {
    let row = sqlx::query!(
        "SELECT delivery_id, attempt, held_segments, held_micros, ticket_id FROM deliveries
         WHERE enrollment_id = $1 AND settled_at IS NULL AND state = 'queued'
         FOR UPDATE",
        enrollment_id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Queued {
        delivery_id: row.delivery_id.into(),
        attempt: row.attempt,
        held: hold(row.held_segments, row.held_micros),
        ticket_id: row.ticket_id,
    }))
}

/// A removal of one contact is done when it begins, so that it found just what it did.
async fn record(
    conn: &mut PgConnection,
    removal: &Removal,
    owner: &Owner,
    removed: &Removed,
    now: DateTime<Utc>,
) -> Result<OperationId, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO operations (account_id, workflow_id, kind, actor, reason, removed_enrollments,
                                 cancelled_deliveries, released_segments, released_micros,
                                 preview_contacts, preview_messages, preview_segments,
                                 preview_micros, preview_in_flight, started_at, finished_at)
         VALUES ($1, $2, 'remove', $3, $4, 1, $5, $6, $7, 1, $5, $6, $7, $9, $8, $8)
         RETURNING operation_id",
        owner.account_id.0,
        owner.workflow_id.0,
        removal.actor,
        removal.reason,
        signed(removed.cancelled),
        signed(removed.segments),
        removed.released.0,
        now,
        signed(removed.in_flight.len() as u64),
    )
    .fetch_one(&mut *conn)
    .await?;
    operation::record_in_flight(conn, OperationId(id), &removed.in_flight).await?;
    Ok(OperationId(id))
}
