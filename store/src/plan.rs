//! What pausing, deleting, removing or resolving would do, before anybody is asked.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::{ContactId, DeliveryId, EnrollmentId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use serde::Serialize;
use sqlx::PgConnection;

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
    let sums =
        sqlx::query_file!("queries/plan/pause.sql", workflow_id.0).fetch_one(&mut *conn).await?;
    Ok(PausePlan {
        contacts: row::count(sums.contacts),
        messages: row::count(sums.messages),
        segments: row::count(sums.segments),
        micros: sums.micros.into(),
        in_flight: in_flight(conn, workflow_id, None).await?,
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

/// What is in flight for the workflow, or for one enrollment of it, oldest first.
pub async fn in_flight(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    enrollment_id: Option<EnrollmentId>,
) -> Result<Vec<InFlight>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT d.delivery_id, d.contact_id, d.state, d.attempt, w.name AS "worker?",
                  a.started_at
           FROM attempts a
           JOIN deliveries d USING (delivery_id, attempt)
           LEFT JOIN workers w ON w.worker_id = a.worker_id
           WHERE a.workflow_id = $1 AND (a.outcome IS NULL OR a.outcome = 'unknown')
             AND d.state IN ('sending', 'unknown')
             AND ($2::BIGINT IS NULL OR d.enrollment_id = $2)
           ORDER BY a.started_at, d.delivery_id"#,
        workflow_id.0,
        enrollment_id.map(|id| id.0),
    )
    .fetch_all(conn)
    .await?;
    let in_flight = rows.into_iter().map(|r| {
        Ok(InFlight {
            delivery_id: r.delivery_id.into(),
            contact_id: r.contact_id.into(),
            state: row::read(&r.state, "deliveries", "state", r.delivery_id)?,
            attempt: row::ordinal(r.attempt),
            worker: r.worker,
            started_at: r.started_at,
        })
    });
    in_flight.collect()
}
