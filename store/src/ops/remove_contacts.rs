//! Takes chosen contacts out of a workflow as one operation: who they are is fixed in the first
//! transaction, then the purge ends them chunk by chunk.

use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, EnrollmentId, OperationId, WorkflowId};
use dripline_domain::money::Micros;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::purge;
use crate::crash::{Commit, commit};
use crate::operation::{self, NewOperation, Preview};
use crate::plan::{self, InFlight};
use crate::retries::Retries;
use crate::selection::{Audience, Selection};
use crate::{Pool, StoreError};

/// Whom to take out of one workflow.
#[derive(Clone, Debug)]
pub struct Removals {
    /// Of which account.
    pub account_id: AccountId,
    /// Out of which workflow. Enrollments of others, and those that have ended, are left alone.
    pub workflow_id: WorkflowId,
    /// The enrollments, as the plan showed them.
    pub enrollments: Vec<EnrollmentId>,
    /// How they were chosen, for whoever reads the operation.
    pub selection: String,
    /// Names this removal, so that beginning it twice begins one.
    pub batch_id: Uuid,
    /// Who takes them out.
    pub actor: String,
    /// Why, if anybody wants to say.
    pub reason: Option<String>,
}

/// A removal that has begun. It goes on in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BegunRemoval {
    /// The operation to be purged.
    pub operation_id: OperationId,
    /// What there is to do.
    pub preview: Preview,
}

/// A removal that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovedContacts {
    /// The recorded operation.
    pub operation_id: OperationId,
    /// How many contacts were taken out. The others of its members left by themselves.
    pub removed: u64,
    /// How many of their messages were cancelled.
    pub cancelled: u64,
    /// The segments of those.
    pub segments: u64,
    /// What came back.
    pub released: Micros,
    /// What could not be cancelled any more and is still in flight.
    pub in_flight: Vec<InFlight>,
}

/// Takes the contacts out and waits until all are. Everybody else goes on.
///
/// Until a chunk comes to a contact its messages may still leave. After this has returned none can
/// start to, except what is listed as in flight.
pub async fn remove_contacts(
    pool: &Pool,
    clock: &dyn Clock,
    removals: &Removals,
) -> Result<RemovedContacts, StoreError> {
    let begun = begin_removal(pool, clock, removals).await?;
    let purged = purge::purge(pool, clock, begun.operation_id).await?;
    Ok(RemovedContacts {
        operation_id: begun.operation_id,
        removed: purged.removed,
        cancelled: purged.cancelled,
        segments: purged.segments,
        released: purged.released,
        in_flight: plan::still_in_flight(pool, begun.operation_id).await?,
    })
}

/// Only the first transaction, which fixes who is taken out: the given enrollments that are live now.
/// The caller purges, or leaves it to the workers' sweep.
pub async fn begin_removal(
    pool: &Pool,
    clock: &dyn Clock,
    removals: &Removals,
) -> Result<BegunRemoval, StoreError> {
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, removals).await {
            Err(error) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    removals: &Removals,
) -> Result<BegunRemoval, StoreError> {
    let mut tx = pool.begin().await?;
    if let Some(begun) = operation::find_batch(&mut tx, removals.batch_id).await? {
        return read_begun(&mut tx, begun).await;
    }
    let new = NewOperation {
        account_id: removals.account_id,
        workflow_id: removals.workflow_id,
        kind: "remove",
        closed_epoch: None,
        selection: Some(&removals.selection),
        batch_id: Some(removals.batch_id),
        actor: &removals.actor,
        reason: removals.reason.as_deref(),
        started_at: clock.now(),
    };
    let operation_id = operation::insert(&mut tx, &new).await?;
    let audience = Audience::from(Selection::Enrollments(removals.enrollments.clone()));
    let Removals { account_id, workflow_id, .. } = removals;
    let plan = plan::removals_in(&mut tx, *account_id, *workflow_id, &audience).await?;
    let contacts: Vec<i64> = plan.enrollments.iter().map(|found| found.contact_id.0).collect();
    let enrollments: Vec<i64> =
        plan.enrollments.iter().map(|found| found.enrollment_id.0).collect();
    sqlx::query!(
        "INSERT INTO operation_members (operation_id, contact_id, enrollment_id)
         SELECT $1, q.* FROM unnest($2::BIGINT[], $3::BIGINT[]) AS q (contact_id, enrollment_id)",
        operation_id.0,
        &contacts,
        &enrollments,
    )
    .execute(&mut *tx)
    .await?;
    let preview = plan.preview();
    operation::record_preview(&mut tx, operation_id, &preview).await?;
    commit(tx, Commit::BeginRemoval).await?;
    Ok(BegunRemoval { operation_id, preview })
}

/// The answer of a removal that was begun before.
async fn read_begun(
    conn: &mut PgConnection,
    operation_id: OperationId,
) -> Result<BegunRemoval, StoreError> {
    let preview = operation::read_preview(conn, operation_id).await?;
    Ok(BegunRemoval { operation_id, preview: preview.unwrap_or_default() })
}
