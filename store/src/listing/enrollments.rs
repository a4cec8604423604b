//! Who is in which workflow, and where everybody went.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{
    AccountId, ContactId, DeliveryId, EnrollmentId, OperationId, WorkflowId,
};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use serde::Serialize;

use crate::selection::{Conditions, Object};
use crate::{Pool, StoreError, row};

/// One contact's way through one workflow, as it stands or as it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnrollmentListing {
    /// Its id.
    pub enrollment_id: EnrollmentId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name, also when it was deleted since.
    pub workflow: String,
    /// The contact.
    pub contact_id: ContactId,
    /// The contact's number.
    pub phone: Phone,
    /// Who enrolled it.
    pub enrolled_by: String,
    /// When.
    pub enrolled_at: DateTime<Utc>,
    /// The step it is at or was at, from 1.
    pub position: u32,
    /// How many steps there were when it was enrolled.
    pub steps: u32,
    /// How many of them were sent.
    pub sent: u64,
    /// What is still held for it: its next message and all later ones.
    pub held_segments: u64,
    /// The same in micros.
    pub held_micros: Micros,
    /// What was taken for it, in micros.
    pub captured_micros: Micros,
    /// What came back, in segments.
    pub released_segments: u64,
    /// What came back, in micros.
    pub released_micros: Micros,
    /// The delivery of the step it is at. After an exit too: it may still be in flight.
    pub step: StepDelivery,
    /// How it ended. `None`: it is live.
    pub exit: Option<Exit>,
}

/// The delivery of the step that an enrollment is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepDelivery {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is due, or was.
    pub due_at: DateTime<Utc>,
    /// Hand-overs so far.
    pub attempt: u32,
}

/// How an enrollment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exit {
    /// Why.
    pub cause: ExitCause,
    /// Who or what ended it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The pause, deletion or removal it belongs to.
    pub operation_id: Option<OperationId>,
}

/// Which enrollments to list.
#[derive(Clone, Debug)]
pub struct EnrollmentFilter {
    /// Only of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Only of this contact.
    pub contact_id: Option<ContactId>,
    /// Only live ones (`true`) or ended ones (`false`).
    pub live: Option<bool>,
    /// Only those that ended for this cause.
    pub cause: Option<ExitCause>,
    /// Only those that this pause, deletion or removal ended.
    pub operation_id: Option<OperationId>,
    /// Only those for which this holds.
    pub conditions: Conditions,
    /// Continue the list after this one.
    pub after: Option<EnrollmentId>,
    /// At most so many.
    pub limit: i64,
}

impl Default for EnrollmentFilter {
    fn default() -> Self {
        Self {
            workflow_id: None,
            contact_id: None,
            live: None,
            cause: None,
            operation_id: None,
            conditions: Conditions::default(),
            after: None,
            limit: 100,
        }
    }
}

/// How many enrollments of a workflow ended for a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExitCount {
    /// The cause.
    pub cause: ExitCause,
    /// How many.
    pub contacts: u64,
    /// What the exits gave back for steps that never got a delivery, in micros.
    pub released_micros: Micros,
    /// The last of these exits.
    pub last_at: DateTime<Utc>,
}

/// The account's enrollments, latest first.
pub async fn list(
    pool: &Pool,
    account_id: AccountId,
    filter: &EnrollmentFilter,
) -> Result<Vec<EnrollmentListing>, StoreError> {
    let conditions = &filter.conditions;
    let columns = conditions.columns();
    let rows = sqlx::query_file_as!(
        Row,
        "queries/enrollment/list.sql",
        account_id.0,
        filter.workflow_id.map(|id| id.0),
        filter.contact_id.map(|id| id.0),
        filter.live,
        filter.cause.map(ExitCause::as_str),
        filter.operation_id.map(|id| id.0),
        filter.after.map(|id| id.0),
        filter.limit,
        &columns.equal as &[Object],
        &columns.unequal as &[Object],
        &conditions.missing,
        &conditions.present,
        &conditions.time_zones,
        &conditions.other_time_zones,
        &columns.phones,
        conditions.enrollment.first_position(),
        conditions.enrollment.last_position(),
        conditions.enrollment.enrolled_from,
        conditions.enrollment.enrolled_before,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

/// Where the contacts of a workflow went, most frequent cause first; of all the account's workflows
/// when none is named.
pub async fn exits(
    pool: &Pool,
    account_id: AccountId,
    workflow_id: Option<WorkflowId>,
) -> Result<Vec<ExitCount>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT exit_cause AS "cause!", count(*) AS "contacts!",
                  sum(released_micros)::BIGINT AS "released_micros!", max(exited_at) AS "last_at!"
           FROM enrollments
           WHERE account_id = $1 AND exit_cause IS NOT NULL
             AND ($2::BIGINT IS NULL OR workflow_id = $2)
           GROUP BY exit_cause
           ORDER BY count(*) DESC, exit_cause"#,
        account_id.0,
        workflow_id.map(|id| id.0),
    )
    .fetch_all(pool)
    .await?;
    let counts = rows.into_iter().map(|r| {
        Ok(ExitCount {
            cause: row::read(&r.cause, "enrollments", "exit_cause", "of any id")?,
            contacts: row::count(r.contacts),
            released_micros: r.released_micros.into(),
            last_at: r.last_at,
        })
    });
    counts.collect()
}

struct Row {
    enrollment_id: i64,
    workflow_id: i64,
    workflow: String,
    contact_id: i64,
    phone: String,
    enrolled_by: String,
    enrolled_at: DateTime<Utc>,
    position: i32,
    steps: i32,
    sent: i64,
    held_segments: i64,
    held_micros: i64,
    captured_micros: i64,
    released_segments: i64,
    released_micros: i64,
    delivery_id: i64,
    state: String,
    due_at: DateTime<Utc>,
    attempt: i32,
    exit_cause: Option<String>,
    exited_by: Option<String>,
    exited_at: Option<DateTime<Utc>>,
    operation_id: Option<i64>,
}

impl Row {
    fn read(self) -> Result<EnrollmentListing, StoreError> {
        let step = StepDelivery {
            delivery_id: self.delivery_id.into(),
            state: row::read(&self.state, "deliveries", "state", self.delivery_id)?,
            due_at: self.due_at,
            attempt: row::ordinal(self.attempt),
        };
        // `exited_at_and_by_iff_exit_cause` gives all three or none.
        let exit = match (&self.exit_cause, self.exited_by, self.exited_at) {
            (Some(cause), Some(by), Some(at)) => Some(Exit {
                cause: row::read(cause, "enrollments", "exit_cause", self.enrollment_id)?,
                by,
                at,
                operation_id: self.operation_id.map(OperationId),
            }),
            _ => None,
        };
        Ok(EnrollmentListing {
            enrollment_id: self.enrollment_id.into(),
            workflow_id: self.workflow_id.into(),
            workflow: self.workflow,
            contact_id: self.contact_id.into(),
            phone: row::phone(&self.phone, self.contact_id)?,
            enrolled_by: self.enrolled_by,
            enrolled_at: self.enrolled_at,
            position: row::ordinal(self.position),
            steps: row::ordinal(self.steps),
            sent: row::count(self.sent),
            held_segments: row::count(self.held_segments),
            held_micros: self.held_micros.into(),
            captured_micros: self.captured_micros.into(),
            released_segments: row::count(self.released_segments),
            released_micros: self.released_micros.into(),
            step,
            exit,
        })
    }
}
