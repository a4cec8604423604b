//! Pauses a route, and lets it run again. What is due for a paused route waits; nobody loses an attempt or money.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::{RouteId, WorkflowId};
use serde_json::json;
use sqlx::PgExecutor;

use crate::crash::{self, Commit, commit};
use crate::route::PAUSED;
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, advisory};

/// Deliveries that one statement brings back.
const WAKE_CHUNK: i64 = 5_000;

/// What a pause found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PausedRoute {
    /// Whether it ran before.
    pub changed: bool,
    /// Messages whose hand-over over this route had begun, and of which nothing is known yet.
    pub in_flight: u64,
}

/// Pauses the route. Once this has returned, no message starts to leave over it. Doing it again changes nothing but
/// the reason.
pub async fn pause_route(
    pool: &Pool,
    clock: &dyn Clock,
    route_id: RouteId,
    reason: Option<&str>,
    actor: &str,
) -> Result<PausedRoute, StoreError> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let row = sqlx::query!(
        r#"UPDATE routes r
           SET paused_at = coalesce(r.paused_at, $2), paused_reason = coalesce($3, r.paused_reason),
               updated_at = $2
           FROM (SELECT paused_at FROM routes WHERE route_id = $1 FOR NO KEY UPDATE) before
           WHERE r.route_id = $1
           RETURNING r.account_id, r.name, before.paused_at IS NULL AS "changed!""#,
        route_id.0,
        now,
        reason,
    )
    .fetch_one(&mut *tx)
    .await?;
    if row.changed {
        let deed = Deed {
            account_id: Some(row.account_id.into()),
            actor,
            action: "route.pause",
            subject: &row.name,
            detail: json!({ "reason": reason }),
            at: now,
        };
        trail::record(&mut tx, &deed).await?;
    }
    commit(tx, Commit::PauseRoute).await?;
    wait_for_marks(pool, route_id).await?;
    let in_flight = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM attempts a
           JOIN deliveries d USING (delivery_id, attempt)
           LEFT JOIN steps s ON s.workflow_id = d.workflow_id AND s.position = d.position
           WHERE a.outcome IS NULL AND d.state = 'sending' AND coalesce(a.route_id, s.route_id) = $1"#,
        route_id.0,
    )
    .fetch_one(pool)
    .await?;
    Ok(PausedRoute { changed: row.changed, in_flight: u64::try_from(in_flight).unwrap_or(0) })
}

/// Waits for the marks that may have read the route before it was paused: each holds its workflow's gate, shared, from
/// before it reads until it is committed. Whoever dies here has paused the route all the same, and waits again when
/// the command is repeated.
async fn wait_for_marks(pool: &Pool, route_id: RouteId) -> Result<(), StoreError> {
    for workflow in workflows_over(pool, route_id).await? {
        // One at a time, so that nobody waits for two of them.
        let mut tx = pool.begin().await?;
        advisory::close_gate(&mut tx, workflow).await?;
        tx.rollback().await?;
    }
    Ok(())
}

/// The workflows whose messages can go over the route, also as a failover.
pub(super) async fn workflows_over(
    executor: impl PgExecutor<'_>,
    route_id: RouteId,
) -> Result<Vec<WorkflowId>, StoreError> {
    let workflows = sqlx::query_scalar!(
        r#"SELECT DISTINCT workflow_id AS "workflow_id!" FROM step_routes WHERE route_id = $1 ORDER BY 1"#,
        route_id.0,
    )
    .fetch_all(executor)
    .await?;
    Ok(workflows.into_iter().map(WorkflowId).collect())
}

/// Lets the route run again. Gives whether it was paused.
pub async fn reopen_route(
    pool: &Pool,
    clock: &dyn Clock,
    route_id: RouteId,
    actor: &str,
) -> Result<bool, StoreError> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let row = sqlx::query!(
        "UPDATE routes SET paused_at = NULL, paused_reason = NULL, updated_at = $2
         WHERE route_id = $1 AND paused_at IS NOT NULL
         RETURNING account_id, name",
        route_id.0,
        now,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(row) = &row {
        let deed = Deed {
            account_id: Some(row.account_id.into()),
            actor,
            action: "route.resume",
            subject: &row.name,
            detail: json!({}),
            at: now,
        };
        trail::record(&mut tx, &deed).await?;
    }
    // Behind the route's row, as everywhere.
    advisory::close_route_gate(&mut tx, route_id).await?;
    commit(tx, Commit::ReopenRoute).await?;
    wake_waiting(pool, route_id, &[PAUSED], now).await?;
    Ok(row.is_some())
}

/// Brings back what waits for the route for these reasons, a chunk at a time. Whatever is left behind by whoever dies
/// here comes back by itself later, as it would have without.
pub(super) async fn wake_waiting(
    pool: &Pool,
    route_id: RouteId,
    reasons: &[&str],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut behind = 0;
    let reasons: Vec<String> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
    loop {
        let wake = sqlx::query_file_scalar!(
            "queries/delivery/wake.sql",
            route_id.0,
            now,
            behind,
            WAKE_CHUNK,
            &reasons,
        )
        .fetch_one(pool);
        match crash::statement(Commit::WakeWaiting, wake).await? {
            Some(last) => behind = last,
            None => return Ok(()),
        }
    }
}
