//! Routes: named carrier configurations that steps point to.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use dripline_domain::ids::{AccountId, RouteId};
use dripline_domain::money::Micros;
use dripline_domain::throttle::Throttle;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::callback::CallbackToken;
use crate::{Pool, StoreError};

/// The reason code of a queued delivery that waits because its route is paused.
pub const PAUSED: &str = "route_paused";
/// The reason code of a queued delivery that waits because its route has enough requests on the wire.
pub const CROWDED: &str = "route_crowded";
/// The reason code of a queued delivery that may have been sent over a route which takes over no more.
pub const BOUND: &str = "route_bound";

/// A carrier configuration. It names secrets and never holds one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Its id.
    pub route_id: RouteId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Its name, unique in the account.
    pub name: String,
    /// The carrier plugin's name.
    pub carrier: String,
    /// The plugin's settings, none of them secret.
    pub settings: BTreeMap<String, String>,
    /// Secret name to where it is kept: `env:NAME` or `file:/path`.
    pub secrets: BTreeMap<String, String>,
    /// Whom messages come from: numbers or names that the carrier knows, at least one. Each contact
    /// hears from one of them.
    pub senders: Vec<String>,
    /// What each of them may send.
    pub throttle: Throttle,
    /// How many requests one worker may have on the wire at once; `None`: as many as it likes.
    pub max_in_flight: Option<NonZeroU32>,
    /// How long a whole exchange may take, if shorter than the worker's own limit.
    pub send_timeout_ms: Option<NonZeroU32>,
    /// The name of the account's route that messages go over while this one is halted, or when it
    /// has not sent one. That route's own failover is not followed.
    pub failover: Option<String>,
    /// What one segment costs, in micros.
    pub price_micros_per_segment: Micros,
    /// Origins (scheme://host:port) it may send to. Empty: none.
    pub allowed_origins: Vec<String>,
    /// Whether it may send to this machine itself; for tests and simulators.
    pub allow_loopback: bool,
    /// The secret part of the address to which its carrier reports.
    #[serde(skip)]
    pub callback_token: CallbackToken,
    /// Raised by every change.
    pub revision: i64,
    /// Since when it is paused; `None`: it runs.
    pub paused_at: Option<DateTime<Utc>>,
    /// Why, as whoever paused it said.
    pub paused_reason: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a person chooses about a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteDraft {
    /// Its name, unique in the account.
    pub name: String,
    /// The carrier plugin's name.
    pub carrier: String,
    /// The plugin's settings, none of them secret.
    pub settings: BTreeMap<String, String>,
    /// Secret name to where it is kept: `env:NAME` or `file:/path`.
    pub secrets: BTreeMap<String, String>,
    /// Whom messages come from, at least one.
    pub senders: Vec<String>,
    /// What each of them may send.
    pub throttle: Throttle,
    /// How many requests one worker may have on the wire at once.
    pub max_in_flight: Option<NonZeroU32>,
    /// How long a whole exchange may take, if shorter than the worker's own limit.
    pub send_timeout_ms: Option<NonZeroU32>,
    /// The name of the account's route that messages go over while this one is halted, or when it
    /// has not sent one.
    pub failover: Option<String>,
    /// What one segment costs; not negative.
    pub price_per_segment: Micros,
    /// Origins (scheme://host:port) it may send to. Empty: none.
    pub allowed_origins: Vec<String>,
    /// Whether it may send to this machine itself.
    pub allow_loopback: bool,
}

/// What becomes of a route's callback when the route is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackChange {
    /// It stays.
    Keep,
    /// It gets another one. What is reported to the one of before is not heard any more, also of messages that have
    /// left already.
    Renew,
}

/// The route with that id.
pub async fn load(pool: &Pool, route_id: RouteId) -> Result<Option<Route>, StoreError> {
    Ok(select(pool, Some(route_id), None, None).await?.pop())
}

/// The account's route of that name.
pub async fn find(
    pool: &Pool,
    account_id: AccountId,
    name: &str,
) -> Result<Option<Route>, StoreError> {
    Ok(select(pool, None, Some(account_id), Some(name)).await?.pop())
}

/// The account's routes by name.
pub async fn list(pool: &Pool, account_id: AccountId) -> Result<Vec<Route>, StoreError> {
    select(pool, None, Some(account_id), None).await
}

async fn select(
    pool: &Pool,
    route_id: Option<RouteId>,
    account_id: Option<AccountId>,
    name: Option<&str>,
) -> Result<Vec<Route>, StoreError> {
    let rows = sqlx::query_file_as!(
        Row,
        "queries/route/select.sql",
        route_id.map(|id| id.0),
        account_id.map(|id| id.0),
        name,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Route::from).collect())
}

/// The ids of the account's routes of these names; a name that is missing from the answer has no
/// route.
pub async fn ids_by_name(
    conn: &mut PgConnection,
    account_id: AccountId,
    names: &[String],
) -> Result<BTreeMap<String, RouteId>, StoreError> {
    let rows = sqlx::query!(
        "SELECT name, route_id FROM routes WHERE account_id = $1 AND name = ANY($2)",
        account_id.0,
        names,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.route_id.into())).collect())
}

struct Row {
    route_id: RouteId,
    account_id: AccountId,
    name: String,
    carrier: String,
    settings: Json<BTreeMap<String, String>>,
    secrets: Json<BTreeMap<String, String>>,
    senders: Vec<String>,
    segments_per_second: Option<i32>,
    segments_per_day: Option<i32>,
    max_in_flight: Option<i32>,
    send_timeout_ms: Option<i32>,
    failover: Option<String>,
    price_micros_per_segment: Micros,
    allowed_origins: Vec<String>,
    allow_loopback: bool,
    callback_token: String,
    revision: i64,
    paused_at: Option<DateTime<Utc>>,
    paused_reason: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Route {
    fn from(row: Row) -> Self {
        Self {
            route_id: row.route_id,
            account_id: row.account_id,
            name: row.name,
            carrier: row.carrier,
            settings: row.settings.0,
            secrets: row.secrets.0,
            senders: row.senders,
            throttle: Throttle {
                segments_per_second: limit(row.segments_per_second),
                segments_per_day: limit(row.segments_per_day),
            },
            max_in_flight: limit(row.max_in_flight),
            send_timeout_ms: limit(row.send_timeout_ms),
            failover: row.failover,
            price_micros_per_segment: row.price_micros_per_segment,
            allowed_origins: row.allowed_origins,
            allow_loopback: row.allow_loopback,
            callback_token: CallbackToken::stored(row.callback_token),
            revision: row.revision,
            paused_at: row.paused_at,
            paused_reason: row.paused_reason,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A limit as it is kept: `a_limit_lets_something_through`.
pub(crate) fn limit(column: Option<i32>) -> Option<NonZeroU32> {
    column.and_then(|limit| u32::try_from(limit).ok()).and_then(NonZeroU32::new)
}

/// A limit for its column. More than that is no limit at all, and kept as the most that there is.
pub(crate) fn limit_column(limit: Option<NonZeroU32>) -> Option<i32> {
    limit.map(|limit| i32::try_from(limit.get()).unwrap_or(i32::MAX))
}
