//! Routes: named carrier configurations that steps point to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use dripline_domain::ids::{AccountId, RouteId};
use dripline_domain::money::Micros;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::{Pool, StoreError};

/// The reason code of a queued delivery that waits because its route is paused.
pub const PAUSED: &str = "route_paused";

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
    /// Whom messages come from: a number or a name that the carrier knows.
    pub sender: String,
    /// What one segment costs, in micros.
    pub price_micros_per_segment: Micros,
    /// Origins (scheme://host:port) it may send to. Empty: none.
    pub allowed_origins: Vec<String>,
    /// Whether it may send to this machine itself; for tests and simulators.
    pub allow_loopback: bool,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteDraft {
    /// Its name, unique in the account.
    pub name: String,
    /// The carrier plugin's name.
    pub carrier: String,
    /// The plugin's settings, none of them secret.
    pub settings: BTreeMap<String, String>,
    /// Secret name to where it is kept: `env:NAME` or `file:/path`.
    pub secrets: BTreeMap<String, String>,
    /// Whom messages come from.
    pub sender: String,
    /// What one segment costs; not negative.
    pub price_per_segment: Micros,
    /// Origins (scheme://host:port) it may send to. Empty: none.
    pub allowed_origins: Vec<String>,
    /// Whether it may send to this machine itself.
    pub allow_loopback: bool,
}

/// The route with that id.
pub async fn load(pool: &Pool, route_id: RouteId) -> Result<Option<Route>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT route_id, account_id, name, carrier,
                  settings AS "settings: Json<BTreeMap<String, String>>",
                  secrets AS "secrets: Json<BTreeMap<String, String>>",
                  sender, price_micros_per_segment, allowed_origins, allow_loopback, revision,
                  paused_at, paused_reason, created_at, updated_at
           FROM routes WHERE route_id = $1"#,
        route_id.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Route::from))
}

/// The account's route of that name.
pub async fn find(
    pool: &Pool,
    account_id: AccountId,
    name: &str,
) -> Result<Option<Route>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT route_id, account_id, name, carrier,
                  settings AS "settings: Json<BTreeMap<String, String>>",
                  secrets AS "secrets: Json<BTreeMap<String, String>>",
                  sender, price_micros_per_segment, allowed_origins, allow_loopback, revision,
                  paused_at, paused_reason, created_at, updated_at
           FROM routes WHERE account_id = $1 AND name = $2"#,
        account_id.0,
        name,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Route::from))
}

/// The account's routes by name.
pub async fn list(pool: &Pool, account_id: AccountId) -> Result<Vec<Route>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT route_id, account_id, name, carrier,
                  settings AS "settings: Json<BTreeMap<String, String>>",
                  secrets AS "secrets: Json<BTreeMap<String, String>>",
                  sender, price_micros_per_segment, allowed_origins, allow_loopback, revision,
                  paused_at, paused_reason, created_at, updated_at
           FROM routes WHERE account_id = $1 ORDER BY name"#,
        account_id.0,
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
    sender: String,
    price_micros_per_segment: Micros,
    allowed_origins: Vec<String>,
    allow_loopback: bool,
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
            sender: row.sender,
            price_micros_per_segment: row.price_micros_per_segment,
            allowed_origins: row.allowed_origins,
            allow_loopback: row.allow_loopback,
            revision: row.revision,
            paused_at: row.paused_at,
            paused_reason: row.paused_reason,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
