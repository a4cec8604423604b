//! Changes a route: its secrets, prices and settings at any time, its carrier only while no active
//! workflow sends by it. What is held for messages under way stays as it was priced.

use std::collections::BTreeMap;

use dripline_domain::clock::Clock;
use dripline_domain::ids::RouteId;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::create_route::{FailoverNotFound, InvalidRoute, check, describe, failover};
use super::pause_route::{wake_waiting, workflows_over};
use crate::crash::{Commit, commit};
use crate::route::{BOUND, CROWDED, CallbackChange, RouteDraft, limit_column};
use crate::route_halt::WAITING;
use crate::sender_pace::{self, THROTTLED};
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, advisory, row};

/// Why a route was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateRouteError {
    /// No such route.
    #[error("route {0} does not exist")]
    NotFound(RouteId),
    /// The account has another one of that name.
    #[error("a route named `{0}` exists already")]
    NameTaken(String),
    /// An active workflow sends by it, and another carrier would be another workflow.
    #[error("route `{route}` cannot change its carrier while workflow `{workflow}` sends by it")]
    InUse {
        /// The route's name.
        route: String,
        /// The name of an active workflow that sends by it.
        workflow: String,
    },
    /// Its failover has to be another route of the account.
    #[error(transparent)]
    FailoverNotFound(#[from] FailoverNotFound),
    /// Somebody changed it since it was read.
    #[error("the route is at revision {found}, not {expected}; somebody changed it meanwhile")]
    Changed {
        /// What the caller had read.
        expected: i64,
        /// What stands there now.
        found: i64,
    },
    /// What was chosen cannot be a route.
    #[error(transparent)]
    Invalid(#[from] InvalidRoute),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for UpdateRouteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Replaces everything that is chosen about the route and raises its revision, which it returns, so
/// that workers read it anew. `expected_revision` refuses when somebody changed it meanwhile.
///
/// What waits for its limits is looked at again at once, and what waits for it to run again as well when
/// it has another failover.
pub async fn update_route(
    pool: &Pool,
    clock: &dyn Clock,
    route_id: RouteId,
    draft: &RouteDraft,
    callback: CallbackChange,
    expected_revision: Option<i64>,
    actor: &str,
) -> Result<i64, UpdateRouteError> {
    check(draft)?;
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let locked = sqlx::query!(
        "SELECT account_id, name, carrier, failover_route_id, revision FROM routes
         WHERE route_id = $1 FOR NO KEY UPDATE",
        route_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(UpdateRouteError::NotFound(route_id))?;
    if let Some(expected) = expected_revision
        && expected != locked.revision
    {
        return Err(UpdateRouteError::Changed { expected, found: locked.revision });
    }
    if draft.carrier != locked.carrier
        && let Some(workflow) = active_workflow(&mut tx, route_id).await?
    {
        return Err(UpdateRouteError::InUse { route: locked.name, workflow });
    }
    let account_id = locked.account_id.into();
    let failover = failover::<UpdateRouteError>(&mut tx, account_id, Some(route_id), draft).await?;
    let has_other_failover = failover.map(|id| id.0) != locked.failover_route_id;
    if has_other_failover {
        // Whoever pauses the failover of before must not have to wait for marks that go over it still.
        close_gates(&mut tx, route_id).await?;
    }
    let renews = callback == CallbackChange::Renew;
    // The last of the gates, so that nobody who puts messages off waits for the others.
    advisory::close_route_gate(&mut tx, route_id).await?;
    let revision = sqlx::query_scalar!(
        "UPDATE routes
         SET name = $2, carrier = $3, settings = $4, secrets = $5,
             price_micros_per_segment = $6, allowed_origins = $7, allow_loopback = $8,
             revision = revision + 1, updated_at = $9, sender = $10, more_senders = $11,
             segments_per_second = $12, segments_per_day = $13, max_in_flight = $14,
             send_timeout_ms = $15, failover_route_id = $16,
             callback_token = CASE WHEN $17 THEN new_callback_token() ELSE callback_token END
         WHERE route_id = $1
         RETURNING revision",
        route_id.0,
        draft.name,
        draft.carrier,
        Json(&draft.settings) as Json<&BTreeMap<String, String>>,
        Json(&draft.secrets) as Json<&BTreeMap<String, String>>,
        draft.price_per_segment.0,
        &draft.allowed_origins,
        draft.allow_loopback,
        now,
        draft.senders[0],
        &draft.senders[1..],
        limit_column(draft.throttle.segments_per_second),
        limit_column(draft.throttle.segments_per_day),
        limit_column(draft.max_in_flight),
        limit_column(draft.send_timeout_ms),
        failover.map(|id| id.0),
        renews,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| {
        if row::breaks(&error, "route_names_are_unique_in_an_account") {
            UpdateRouteError::NameTaken(draft.name.clone())
        } else {
            error.into()
        }
    })?;
    let mut detail = describe(draft);
    if renews {
        detail["new_callback"] = true.into();
    }
    let deed = Deed {
        account_id: Some(account_id),
        actor,
        action: "route.update",
        subject: &draft.name,
        detail,
        at: now,
    };
    trail::record(&mut tx, &deed).await?;
    sender_pace::clear_lines(&mut tx, route_id).await?;
    commit(tx, Commit::UpdateRoute).await?;
    // Their turns were given by the limits of before.
    wake_waiting(pool, route_id, &[THROTTLED, CROWDED], now).await?;
    if has_other_failover {
        wake_waiting(pool, route_id, &[WAITING, BOUND], now).await?;
    }
    Ok(revision)
}

/// Takes the gates of the workflows whose messages can go over the route, until the transaction ends.
async fn close_gates(conn: &mut PgConnection, route_id: RouteId) -> Result<Vec<i64>, StoreError> {
    let workflows = workflows_over(&mut *conn, route_id).await?;
    for workflow in &workflows {
        advisory::close_gate(conn, *workflow).await?;
    }
    Ok(workflows.into_iter().map(|workflow| workflow.0).collect())
}

/// The name of an active workflow that sends by the route, if only when another one fails. None of them can become active until this
/// transaction ends.
async fn active_workflow(
    conn: &mut PgConnection,
    route_id: RouteId,
) -> Result<Option<String>, StoreError> {
    let users = close_gates(conn, route_id).await?;
    sqlx::query!(
        "SELECT workflow_id FROM workflows WHERE workflow_id = ANY ($1)
         ORDER BY workflow_id FOR UPDATE",
        &users,
    )
    .fetch_all(&mut *conn)
    .await?;
    let active = sqlx::query_scalar!(
        "SELECT w.name FROM workflows w
         WHERE w.workflow_id = ANY ($1)
           AND EXISTS (SELECT 1 FROM enrollments e
                       WHERE e.workflow_id = w.workflow_id AND e.exit_cause IS NULL)
         ORDER BY w.workflow_id LIMIT 1",
        &users,
    )
    .fetch_optional(conn)
    .await?;
    Ok(active)
}
