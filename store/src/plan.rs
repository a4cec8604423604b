//! What pausing, deleting, removing or resolving would do, before anybody is asked.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::{
    AccountId, ContactId, DeliveryId, EnrollmentId, OperationId, WorkflowId,
};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use serde::Serialize;
use sqlx::PgConnection;

use crate::operation::Preview;
use crate::selection::{Audience, Object};
use crate::{Pool, StoreError, row};

mod resolve;

pub use resolve::{ResolvePlan, Then, UnknownFilter, resolve};

/// What pausing or deleting a workflow would do now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PausePlan {
    /// How many contacts would be taken out.
    pub contacts: u64,
    /// How many of their messages would be cancelled.
    pub messages: u64,
    /// The segments of those messages.
    pub segments: u64,
    /// What would come back, in micros.
    pub micros: Micros,
    /// What could not be cancelled any more.
    pub in_flight: Vec<InFlight>,
}

/// What removing one contact from one workflow would do now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovalPlan {
    /// The enrollment that would end.
    pub enrollment_id: EnrollmentId,
    /// The contact.
    pub contact_id: ContactId,
    /// The contact's number.
    pub phone: Phone,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name.
    pub workflow: String,
    /// The step it is at, from 1.
    pub position: u32,
    /// How many steps the workflow had when the contact was enrolled.
    pub steps: u32,
    /// How many messages would be cancelled.
    pub messages: u64,
    /// The segments of those messages.
    pub segments: u64,
    /// What would come back, in micros.
    pub micros: Micros,
    /// What could not be cancelled any more.
    pub in_flight: Vec<InFlight>,
}

/// A message that was handed over, or may have been, and has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// To whom.
    pub contact_id: ContactId,
    /// `sending` or `unknown`.
    pub state: DeliveryState,
    /// Which hand-over.
    pub attempt: u32,
    /// The worker that marked it, by name.
    pub worker: Option<String>,
    /// When it was marked.
    pub started_at: DateTime<Utc>,
}

/// What pausing the workflow would do. All zero when nobody is in it.
pub async fn pause(pool: &Pool, workflow_id: WorkflowId) -> Result<PausePlan, StoreError> {
    let mut conn = pool.acquire().await?;
    pause_in(&mut conn, workflow_id).await
}

/// The same, as the caller's transaction sees it.
pub async fn pause_in(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
) -> Result<PausePlan, StoreError> {
    let sums = closed(conn, workflow_id).await?;
    Ok(PausePlan {
        contacts: sums.contacts,
        messages: sums.messages,
        segments: sums.segments,
        micros: sums.micros,
        in_flight: in_flight(conn, workflow_id, None).await?,
    })
}

/// What a purge of the whole workflow has to do, without what is in flight.
pub(crate) async fn closed(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
) -> Result<Preview, StoreError> {
    let sums = sqlx::query_file!("queries/plan/pause.sql", workflow_id.0).fetch_one(conn).await?;
    Ok(Preview {
        contacts: row::count(sums.contacts),
        messages: row::count(sums.messages),
        segments: row::count(sums.segments),
        micros: sums.micros.into(),
        in_flight: 0,
    })
}

/// What removing that enrollment's contact would do. `None`: it is not live.
pub async fn remove(
    pool: &Pool,
    enrollment_id: EnrollmentId,
) -> Result<Option<RemovalPlan>, StoreError> {
    let found = sqlx::query!(
        r#"SELECT e.contact_id, c.phone, e.workflow_id, w.name AS workflow, e.position,
                  cardinality(e.step_segments) AS "steps!",
                  cardinality(e.step_segments) - e.position + count(d.*) AS "messages!",
                  (e.remaining_segments + coalesce(sum(d.held_segments), 0))::BIGINT AS "segments!",
                  (e.remaining_micros + coalesce(sum(d.held_micros), 0))::BIGINT AS "micros!"
           FROM enrollments e
           JOIN contacts c USING (contact_id)
           JOIN workflows w ON w.workflow_id = e.workflow_id
           LEFT JOIN deliveries d ON d.enrollment_id = e.enrollment_id AND d.state = 'queued'
           WHERE e.enrollment_id = $1 AND e.exit_cause IS NULL
           GROUP BY e.enrollment_id, c.contact_id, w.workflow_id"#,
        enrollment_id.0,
    )
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let mut conn = pool.acquire().await?;
    let workflow_id = WorkflowId(found.workflow_id);
    Ok(Some(RemovalPlan {
        enrollment_id,
        contact_id: found.contact_id.into(),
        phone: row::phone(&found.phone, found.contact_id)?,
        workflow_id,
        workflow: found.workflow,
        position: row::ordinal(found.position),
        steps: row::ordinal(found.steps),
        messages: row::count(found.messages),
        segments: row::count(found.segments),
        micros: found.micros.into(),
        in_flight: in_flight(&mut conn, workflow_id, Some(enrollment_id)).await?,
    }))
}

/// What removing chosen contacts from one workflow would do now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RemovalsPlan {
    /// Whom, in the order of their contacts.
    pub enrollments: Vec<PlannedRemoval>,
    /// What could not be cancelled any more.
    pub in_flight: Vec<InFlight>,
}

/// One contact of a removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedRemoval {
    /// The enrollment that would end.
    pub enrollment_id: EnrollmentId,
    /// The contact.
    pub contact_id: ContactId,
    /// The contact's number.
    pub phone: Phone,
    /// The step it is at, from 1.
    pub position: u32,
    /// How many steps the workflow had when the contact was enrolled.
    pub steps: u32,
    /// How many messages would be cancelled.
    pub messages: u64,
    /// The segments of those messages.
    pub segments: u64,
    /// What would come back, in micros.
    pub micros: Micros,
}

impl RemovalsPlan {
    /// Its sums.
    pub fn preview(&self) -> Preview {
        Preview {
            contacts: self.enrollments.len() as u64,
            messages: self.enrollments.iter().map(|planned| planned.messages).sum(),
            segments: self.enrollments.iter().map(|planned| planned.segments).sum(),
            micros: self.enrollments.iter().map(|planned| planned.micros).sum(),
            in_flight: self.in_flight.len() as u64,
        }
    }
}

/// What taking those of the audience out of the workflow who are in it would do.
pub async fn removals(
    pool: &Pool,
    account_id: AccountId,
    workflow_id: WorkflowId,
    audience: &Audience,
) -> Result<RemovalsPlan, StoreError> {
    let mut conn = pool.acquire().await?;
    removals_in(&mut conn, account_id, workflow_id, audience).await
}

/// The same, as the caller's transaction sees it.
pub(crate) async fn removals_in(
    conn: &mut PgConnection,
    account_id: AccountId,
    workflow_id: WorkflowId,
    audience: &Audience,
) -> Result<RemovalsPlan, StoreError> {
    let Audience { among, conditions } = audience;
    let chosen = among.columns();
    let columns = conditions.columns();
    let rows = sqlx::query_file!(
        "queries/plan/removal.sql",
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
        conditions.enrollment.first_position(),
        conditions.enrollment.last_position(),
        conditions.enrollment.enrolled_from,
        conditions.enrollment.enrolled_before,
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.enrollment_id).collect();
    let enrollments = rows.into_iter().map(|r| {
        Ok(PlannedRemoval {
            enrollment_id: r.enrollment_id.into(),
            contact_id: r.contact_id.into(),
            phone: row::phone(&r.phone, r.contact_id)?,
            position: row::ordinal(r.position),
            steps: row::ordinal(r.steps),
            messages: row::count(r.messages),
            segments: row::count(r.segments),
            micros: r.micros.into(),
        })
    });
    let enrollments: Result<Vec<_>, StoreError> = enrollments.collect();
    Ok(RemovalsPlan {
        enrollments: enrollments?,
        in_flight: in_flight_of(conn, workflow_id, &ids).await?,
    })
}

/// What is in flight for the workflow, or for one enrollment of it, oldest first.
pub async fn in_flight(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    enrollment_id: Option<EnrollmentId>,
) -> Result<Vec<InFlight>, StoreError> {
    let enrollments = enrollment_id.map(|id| [id.0]);
    select_in_flight(conn, workflow_id, enrollments.as_ref().map(<[_; 1]>::as_slice)).await
}

/// What is in flight for these enrollments of the workflow, oldest first.
pub(crate) async fn in_flight_of(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    enrollments: &[i64],
) -> Result<Vec<InFlight>, StoreError> {
    select_in_flight(conn, workflow_id, Some(enrollments)).await
}

async fn select_in_flight(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    enrollments: Option<&[i64]>,
) -> Result<Vec<InFlight>, StoreError> {
    let rows = sqlx::query_as!(
        InFlightRow,
        r#"SELECT d.delivery_id, d.contact_id, d.state, d.attempt, w.name AS "worker?",
                  a.started_at
           FROM attempts a
           JOIN deliveries d USING (delivery_id, attempt)
           LEFT JOIN workers w ON w.worker_id = a.worker_id
           WHERE a.workflow_id = $1 AND (a.outcome IS NULL OR a.outcome = 'unknown')
             AND d.state IN ('sending', 'unknown')
             AND ($2::BIGINT[] IS NULL OR d.enrollment_id = ANY ($2))
           ORDER BY a.started_at, d.delivery_id"#,
        workflow_id.0,
        enrollments,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(InFlightRow::read).collect()
}

/// What an operation could not cancel and is still in flight, oldest first: empty once everything has
/// an outcome.
pub async fn still_in_flight(
    pool: &Pool,
    operation_id: OperationId,
) -> Result<Vec<InFlight>, StoreError> {
    let rows = sqlx::query_as!(
        InFlightRow,
        r#"SELECT d.delivery_id, d.contact_id, d.state, d.attempt, w.name AS "worker?",
                  a.started_at
           FROM operation_in_flight f
           JOIN deliveries d USING (delivery_id, attempt)
           JOIN attempts a USING (delivery_id, attempt)
           LEFT JOIN workers w ON w.worker_id = a.worker_id
           WHERE f.operation_id = $1 AND d.state IN ('sending', 'unknown')
           ORDER BY a.started_at, d.delivery_id"#,
        operation_id.0,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(InFlightRow::read).collect()
}

struct InFlightRow {
    delivery_id: i64,
    contact_id: i64,
    state: String,
    attempt: i32,
    worker: Option<String>,
    started_at: DateTime<Utc>,
}

impl InFlightRow {
    fn read(self) -> Result<InFlight, StoreError> {
        Ok(InFlight {
            delivery_id: self.delivery_id.into(),
            contact_id: self.contact_id.into(),
            state: row::read(&self.state, "deliveries", "state", self.delivery_id)?,
            attempt: row::ordinal(self.attempt),
            worker: self.worker,
            started_at: self.started_at,
        })
    }
}
