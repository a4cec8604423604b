//! Deliveries: reading what is to be sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use dripline_domain::contact::Fields;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::{
    AccountId, ContactId, DeliveryId, EnrollmentId, RouteId, StepId, WorkflowId,
};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use sqlx::types::Json;

use crate::{Pool, StoreError};

/// A queued delivery with everything that rendering and sending it needs. Templates and renderers are
/// shared between the deliveries of one step.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// Who pays.
    pub account_id: AccountId,
    /// Of which workflow.
    pub workflow_id: WorkflowId,
    /// Of which enrollment.
    pub enrollment_id: EnrollmentId,
    /// To whom.
    pub contact_id: ContactId,
    /// Which step.
    pub step_id: StepId,
    /// The step's place, from 1.
    pub position: u32,
    /// Hand-overs so far; the next attempt has the number after it.
    pub attempt: u32,
    /// When it is due.
    pub due_at: DateTime<Utc>,
    /// Until when it may be sent.
    pub expires_at: Option<DateTime<Utc>>,
    /// The segments held for it.
    pub held_segments: u32,
    /// The money held for it.
    pub held_micros: Micros,
    /// The step's text, in its renderer's language.
    pub template: Arc<str>,
    /// The renderer plugin's name.
    pub renderer: Arc<str>,
    /// Its step's route.
    pub route: DueRoute,
    /// That route's failover.
    pub failover: Option<DueRoute>,
    /// The route of the last hand-over; `None`: there was none, or it could not be prepared.
    pub last_route_id: Option<RouteId>,
    /// The route of a hand-over of which nobody knew what had become of it, until there was evidence. It goes
    /// over that one alone.
    pub bound_to: Option<RouteId>,
    /// The contact's number.
    pub phone: Phone,
    /// What the template can say about the contact.
    pub fields: Fields,
    /// The contact's time zone, an IANA name.
    pub time_zone: String,
}

/// A route that a due delivery can go over, as the delivery was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRoute {
    /// Which.
    pub route_id: RouteId,
    /// Its revision; a worker with an older copy reads the route again.
    pub revision: i64,
    /// Whether it is paused. The mark looks again.
    pub is_paused: bool,
}

struct Step {
    step_id: StepId,
    template: Arc<str>,
    renderer: Arc<str>,
    route: DueRoute,
    failover: Option<DueRoute>,
}

/// Reads the queued ones among these deliveries, in no particular order. A delivery that is missing
/// is no longer queued, or its workflow is gone: its ticket is stale.
///
/// Nothing is locked: whether a delivery may be sent is decided by its mark
/// ([`crate::ops::start_attempts`]), which also refuses what was read before a pause and an edit.
pub async fn load_due(
    pool: &Pool,
    delivery_ids: &[DeliveryId],
) -> Result<Vec<DueDelivery>, StoreError> {
    load(pool, delivery_ids, DeliveryState::Queued).await
}

/// Reads the unknown ones among these deliveries, as they would be sent now. What is missing is not unknown
/// any more, or its workflow is gone.
///
/// Nothing is locked: whether one may be sent again is decided by [`crate::ops::repeat_attempts()`].
pub async fn load_unknown(
    pool: &Pool,
    delivery_ids: &[DeliveryId],
) -> Result<Vec<DueDelivery>, StoreError> {
    load(pool, delivery_ids, DeliveryState::Unknown).await
}

async fn load(
    pool: &Pool,
    delivery_ids: &[DeliveryId],
    state: DeliveryState,
) -> Result<Vec<DueDelivery>, StoreError> {
    let ids: Vec<i64> = delivery_ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT d.delivery_id, d.account_id, d.workflow_id, d.enrollment_id, d.contact_id,
                  d.position, d.attempt, d.due_at, d.expires_at, d.held_segments, d.held_micros,
                  c.phone, c.fields AS "fields: Json<BTreeMap<String, String>>", c.time_zone,
                  CASE WHEN d.attempt > 0 THEN
                      (SELECT a.route_id FROM attempts a
                       WHERE a.delivery_id = d.delivery_id AND a.attempt = d.attempt)
                  END AS last_route_id,
                  -- An attempt from before there were failovers went over its step's route: 0.
                  CASE WHEN d.attempt > 0 THEN
                      (SELECT coalesce(a.route_id, 0)
                       FROM evidence e JOIN attempts a USING (delivery_id, attempt)
                       WHERE e.delivery_id = d.delivery_id
                       ORDER BY e.evidence_id DESC LIMIT 1)
                  END AS bound_to
           FROM deliveries d JOIN contacts c USING (contact_id)
           WHERE d.delivery_id = ANY ($1) AND d.state = $2"#,
        &ids,
        state.as_str(),
    )
    .fetch_all(pool)
    .await?;
    let mut workflows: Vec<i64> = rows.iter().map(|row| row.workflow_id).collect();
    workflows.sort_unstable();
    workflows.dedup();
    let steps = load_steps(pool, &workflows).await?;
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(step) = steps.get(&(row.workflow_id, row.position)) else { continue };
        let unreadable = |column| StoreError::Unreadable {
            table: "deliveries",
            key: row.delivery_id.to_string(),
            column,
        };
        due.push(DueDelivery {
            delivery_id: DeliveryId(row.delivery_id),
            account_id: AccountId(row.account_id),
            workflow_id: WorkflowId(row.workflow_id),
            enrollment_id: EnrollmentId(row.enrollment_id),
            contact_id: ContactId(row.contact_id),
            step_id: step.step_id,
            position: u32::try_from(row.position).map_err(|_| unreadable("position"))?,
            attempt: u32::try_from(row.attempt).map_err(|_| unreadable("attempt"))?,
            due_at: row.due_at,
            expires_at: row.expires_at,
            held_segments: u32::try_from(row.held_segments)
                .map_err(|_| unreadable("held_segments"))?,
            held_micros: Micros(row.held_micros),
            template: Arc::clone(&step.template),
            renderer: Arc::clone(&step.renderer),
            route: step.route,
            failover: step.failover,
            last_route_id: row.last_route_id.map(RouteId),
            bound_to: row
                .bound_to
                .map(|id| if id == 0 { step.route.route_id } else { RouteId(id) }),
            phone: Phone::from_e164(&row.phone).map_err(|_| StoreError::Unreadable {
                table: "contacts",
                key: row.contact_id.to_string(),
                column: "phone",
            })?,
            fields: row.fields.0,
            time_zone: row.time_zone,
        });
    }
    Ok(due)
}

async fn load_steps(
    pool: &Pool,
    workflows: &[i64],
) -> Result<HashMap<(i64, i32), Step>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT s.workflow_id, s.position, s.step_id, s.template, s.renderer, s.route_id, r.revision,
                  r.paused_at IS NOT NULL AS "is_paused!", f.route_id AS "failover_id?",
                  f.revision AS "failover_revision?", f.paused_at IS NOT NULL AS "failover_is_paused!"
           FROM steps s JOIN routes r USING (route_id)
           LEFT JOIN routes f ON f.route_id = r.failover_route_id
           WHERE s.workflow_id = ANY ($1)"#,
        workflows,
    )
    .fetch_all(pool)
    .await?;
    let steps = rows.into_iter().map(|row| {
        let step = Step {
            step_id: StepId(row.step_id),
            template: row.template.into(),
            renderer: row.renderer.into(),
            route: DueRoute {
                route_id: RouteId(row.route_id),
                revision: row.revision,
                is_paused: row.is_paused,
            },
            failover: row.failover_id.zip(row.failover_revision).map(|(route_id, revision)| {
                let is_paused = row.failover_is_paused;
                DueRoute { route_id: RouteId(route_id), revision, is_paused }
            }),
        };
        ((row.workflow_id, row.position), step)
    });
    Ok(steps.collect())
}
