//! Halts of routes: since when and why a worker hands nothing over to one. For people to read; the
//! workers decide by themselves.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::Reason;
use dripline_domain::ids::{AccountId, RouteId, WorkerId};
use serde::Serialize;

use crate::crash::{self, Commit};
use crate::{Pool, StoreError, row};

/// The reason code of a queued delivery that waits because its route is halted.
pub const WAITING: &str = "route_halted";

/// What a worker writes down about a route that it has halted, or halts for longer.
#[derive(Clone, Debug)]
pub struct NewHalt {
    /// The route.
    pub route_id: RouteId,
    /// Since when, if this is the first that is written of this halt.
    pub at: DateTime<Utc>,
    /// When one delivery is let through.
    pub probe_at: DateTime<Utc>,
    /// Probes that have failed since it was halted.
    pub failed_probes: u32,
    /// The last failure.
    pub reason: Reason,
}

/// A route that a worker has halted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteHalt {
    /// The route.
    pub route_id: RouteId,
    /// Its name.
    pub route: String,
    /// The worker's name.
    pub worker: String,
    /// Since when.
    pub halted_at: DateTime<Utc>,
    /// When the worker lets one delivery through, to see.
    pub probe_at: DateTime<Utc>,
    /// Probes that have failed since it was halted.
    pub failed_probes: u64,
    /// The last failure.
    pub reason: Reason,
    /// The route's deliveries that wait for it, of all workers.
    pub waiting: u64,
}

/// Writes down that the worker has halted a route, or what has become of a halt that it has written
/// down before. Repeating it changes nothing.
pub async fn record(pool: &Pool, worker: WorkerId, halt: &NewHalt) -> Result<(), StoreError> {
    let insert = sqlx::query!(
        "INSERT INTO route_halts (route_id, worker_id, halted_at, probe_at, failed_probes,
                                  reason_code, reason_text)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (route_id, worker_id) WHERE resumed_at IS NULL
         DO UPDATE SET probe_at = excluded.probe_at, failed_probes = excluded.failed_probes,
                       reason_code = excluded.reason_code, reason_text = excluded.reason_text",
        halt.route_id.0,
        worker.0,
        halt.at,
        halt.probe_at,
        i64::from(halt.failed_probes),
        halt.reason.code,
        halt.reason.text,
    )
    .execute(pool);
    crash::statement(Commit::HaltRoute, insert).await?;
    Ok(())
}

/// Writes down that the worker hands over to the route again. Repeating it changes nothing.
pub async fn resume(
    pool: &Pool,
    worker: WorkerId,
    route_id: RouteId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let update = sqlx::query!(
        "UPDATE route_halts SET resumed_at = $3
         WHERE route_id = $1 AND worker_id = $2 AND resumed_at IS NULL",
        route_id.0,
        worker.0,
        at,
    )
    .execute(pool);
    crash::statement(Commit::ResumeRoute, update).await?;
    Ok(())
}

/// The account's routes that a worker halts now, longest first. `route_id`: only this one.
pub async fn current(
    pool: &Pool,
    account_id: AccountId,
    route_id: Option<RouteId>,
) -> Result<Vec<RouteHalt>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT h.route_id, r.name AS route, w.name AS worker, h.halted_at, h.probe_at,
                  h.failed_probes, h.reason_code, h.reason_text,
                  (SELECT count(*) FROM deliveries d JOIN steps s USING (workflow_id, position)
                   WHERE d.account_id = $1 AND d.settled_at IS NULL AND d.state = 'queued'
                     AND d.reason_code = $3 AND s.route_id = h.route_id) AS "waiting!"
           FROM route_halts h
           JOIN routes r USING (route_id)
           JOIN workers w USING (worker_id)
           WHERE r.account_id = $1 AND h.resumed_at IS NULL AND w.stopped_at IS NULL
             AND ($2::BIGINT IS NULL OR h.route_id = $2)
           ORDER BY h.halted_at, h.route_halt_id"#,
        account_id.0,
        route_id.map(|id| id.0),
        WAITING,
    )
    .fetch_all(pool)
    .await?;
    let halts = rows.into_iter().map(|r| RouteHalt {
        route_id: RouteId(r.route_id),
        route: r.route,
        worker: r.worker,
        halted_at: r.halted_at,
        probe_at: r.probe_at,
        failed_probes: row::count(r.failed_probes),
        reason: Reason::new(r.reason_code, r.reason_text),
        waiting: row::count(r.waiting),
    });
    Ok(halts.collect())
}
