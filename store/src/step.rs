//! Steps: the messages of a workflow, with their timing.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveTime;
use dripline_domain::ids::{RouteId, StepId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_domain::timing::{Timing, WeekdaySet};
use dripline_domain::workflow::StepDraft;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{Pool, StoreError, row};

/// One message of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Its id; an edit gives it a new one.
    pub step_id: StepId,
    /// Its place in the workflow, from 1.
    pub position: u32,
    /// The text, in the renderer's own language.
    pub template: String,
    /// The renderer plugin's name.
    pub renderer: String,
    /// The route it is sent by.
    pub route_id: RouteId,
    /// The route's name.
    pub route: String,
    /// The route's carrier plugin.
    pub carrier: String,
    /// What one segment costs on that route now, in micros.
    pub price_micros_per_segment: Micros,
    /// When it is sent. In JSON: `after_seconds`, `at`, `days`, `expires_after_seconds`.
    #[serde(flatten, serialize_with = "serialize_timing")]
    pub timing: Timing,
}

impl Step {
    /// The step as its author writes it.
    pub fn to_draft(&self) -> StepDraft {
        StepDraft {
            template: self.template.clone(),
            renderer: self.renderer.clone(),
            route: self.route.clone(),
            timing: self.timing,
        }
    }
}

/// The workflow's steps in their order.
pub async fn list(pool: &Pool, workflow_id: WorkflowId) -> Result<Vec<Step>, StoreError> {
    let rows = sqlx::query!(
        "SELECT s.step_id, s.position, s.template, s.renderer, s.route_id, r.name AS route,
                r.carrier, r.price_micros_per_segment, s.after_seconds, s.at_local, s.days,
                s.expires_after_seconds
         FROM steps s JOIN routes r USING (route_id)
         WHERE s.workflow_id = $1
         ORDER BY s.position",
        workflow_id.0,
    )
    .fetch_all(pool)
    .await?;
    let steps = rows.into_iter().map(|r| {
        let timing = read_timing(
            r.step_id.into(),
            r.after_seconds,
            r.at_local,
            r.days,
            r.expires_after_seconds,
        )?;
        Ok(Step {
            step_id: r.step_id.into(),
            position: row::ordinal(r.position),
            template: r.template,
            renderer: r.renderer,
            route_id: r.route_id.into(),
            route: r.route,
            carrier: r.carrier,
            price_micros_per_segment: r.price_micros_per_segment.into(),
            timing,
        })
    });
    steps.collect()
}

/// Puts a step's timing together from its columns.
pub(crate) fn read_timing(
    step_id: StepId,
    after_seconds: i64,
    at_local: Option<NaiveTime>,
    days: Option<Vec<i16>>,
    expires_after_seconds: Option<i64>,
) -> Result<Timing, StoreError> {
    let unreadable =
        |column| StoreError::Unreadable { table: "steps", key: step_id.to_string(), column };
    let seconds = |seconds: i64, column| {
        u64::try_from(seconds).map(Duration::from_secs).map_err(|_| unreadable(column))
    };
    Ok(Timing {
        after: seconds(after_seconds, "after_seconds")?,
        at: at_local,
        days: match days {
            Some(days) => WeekdaySet::from_iso(days).map_err(|_| unreadable("days"))?,
            None => WeekdaySet::EVERY_DAY,
        },
        expires_after: expires_after_seconds
            .map(|expires| seconds(expires, "expires_after_seconds"))
            .transpose()?,
    })
}

/// Writes the steps of a workflow that has none yet, in their order. `routes` has an id for each
/// route that the drafts name.
pub(crate) async fn insert_all(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    steps: &[StepDraft],
    routes: &BTreeMap<String, RouteId>,
) -> Result<(), StoreError> {
    for (position, step) in (1..).zip(steps) {
        let timing = &step.timing;
        let days = (timing.days != WeekdaySet::EVERY_DAY).then(|| timing.days.iso());
        sqlx::query!(
            "INSERT INTO steps (workflow_id, position, template, renderer, route_id, after_seconds,
                                at_local, days, expires_after_seconds)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            workflow_id.0,
            position,
            step.template,
            step.renderer,
            routes[&step.route].0,
            seconds(timing.after),
            timing.at,
            days.as_deref(),
            timing.expires_after.map(seconds),
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Removes all steps of a workflow. Their texts are gone for good.
pub async fn remove_all(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
) -> Result<u64, StoreError> {
    let done = sqlx::query!("DELETE FROM steps WHERE workflow_id = $1", workflow_id.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

fn serialize_timing<S: serde::Serializer>(
    timing: &Timing,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct InSeconds {
        after_seconds: u64,
        at: Option<NaiveTime>,
        days: WeekdaySet,
        expires_after_seconds: Option<u64>,
    }
    let in_seconds = InSeconds {
        after_seconds: timing.after.as_secs(),
        at: timing.at,
        days: timing.days,
        expires_after_seconds: timing.expires_after.map(|expires| expires.as_secs()),
    };
    in_seconds.serialize(serializer)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).expect("a validated timing has at most ten years")
}
