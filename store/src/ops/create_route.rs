//! Creates a route to a carrier.

use std::collections::{BTreeMap, BTreeSet};

use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, RouteId};
use dripline_domain::money::Micros;
use serde_json::json;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::crash::{Commit, commit};
use crate::route::{RouteDraft, limit_column};
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, route, row};

/// Why no route was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateRouteError {
    /// No such account.
    #[error("account {0} does not exist")]
    AccountNotFound(AccountId),
    /// The account has one of that name.
    #[error("a route named `{0}` exists already")]
    NameTaken(String),
    /// Its failover has to be another route of the account.
    #[error(transparent)]
    FailoverNotFound(#[from] FailoverNotFound),
    /// What was chosen cannot be a route.
    #[error(transparent)]
    Invalid(#[from] InvalidRoute),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A route names a failover that is no other route of the account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the failover `{0}` is not another route of the account")]
pub struct FailoverNotFound(pub String);

/// Why a draft cannot be a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoute {
    /// The name says nothing.
    #[error("the route's name is blank")]
    BlankName,
    /// A segment cannot cost less than nothing.
    #[error("a price of {0} per segment is negative")]
    NegativePrice(Micros),
    /// Messages come from somebody.
    #[error("the route has no sender, or a blank one")]
    NoSender,
    /// A pool is a set.
    #[error("the sender `{0}` is named twice")]
    RepeatedSender(String),
    /// Secrets are kept elsewhere.
    #[error(
        "the secret `{0}` is not a reference; write `env:NAME` or `file:/path`, never the secret itself"
    )]
    NotAReference(String),
}

impl From<sqlx::Error> for CreateRouteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Creates the route.
pub async fn create_route(
    pool: &Pool,
    clock: &dyn Clock,
    account_id: AccountId,
    draft: &RouteDraft,
    actor: &str,
) -> Result<RouteId, CreateRouteError> {
    check(draft)?;
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let failover = failover::<CreateRouteError>(&mut tx, account_id, None, draft).await?;
    let route_id = sqlx::query_scalar!(
        "INSERT INTO routes (account_id, name, carrier, settings, secrets,
                             price_micros_per_segment, allowed_origins, allow_loopback,
                             created_at, updated_at, sender, more_senders, segments_per_second,
                             segments_per_day, max_in_flight, send_timeout_ms,
                             failover_route_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12, $13, $14, $15, $16)
         RETURNING route_id",
        account_id.0,
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
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| {
        if row::breaks(&error, "route_names_are_unique_in_an_account") {
            CreateRouteError::NameTaken(draft.name.clone())
        } else if row::breaks(&error, "routes_account_id_fkey") {
            CreateRouteError::AccountNotFound(account_id)
        } else {
            error.into()
        }
    })?;
    let deed = Deed {
        account_id: Some(account_id),
        actor,
        action: "route.create",
        subject: &draft.name,
        detail: describe(draft),
        at: now,
    };
    trail::record(&mut tx, &deed).await?;
    commit(tx, Commit::CreateRoute).await?;
    Ok(RouteId(route_id))
}

/// The failover that the draft names, for the route `of`.
pub(super) async fn failover<E: From<StoreError> + From<FailoverNotFound>>(
    conn: &mut PgConnection,
    account_id: AccountId,
    of: Option<RouteId>,
    draft: &RouteDraft,
) -> Result<Option<RouteId>, E> {
    let Some(name) = &draft.failover else { return Ok(None) };
    let named = route::ids_by_name(conn, account_id, std::slice::from_ref(name)).await?;
    match named.get(name) {
        Some(failover) if Some(*failover) != of => Ok(Some(*failover)),
        _ => Err(FailoverNotFound(name.clone()).into()),
    }
}

/// What can be seen to be wrong with a draft without its plugin.
pub(super) fn check(draft: &RouteDraft) -> Result<(), InvalidRoute> {
    if draft.name.trim().is_empty() {
        return Err(InvalidRoute::BlankName);
    }
    if draft.price_per_segment < Micros::ZERO {
        return Err(InvalidRoute::NegativePrice(draft.price_per_segment));
    }
    if draft.senders.is_empty() || draft.senders.iter().any(|sender| sender.trim().is_empty()) {
        return Err(InvalidRoute::NoSender);
    }
    let mut senders = BTreeSet::new();
    if let Some(repeated) = draft.senders.iter().find(|sender| !senders.insert(*sender)) {
        return Err(InvalidRoute::RepeatedSender(repeated.clone()));
    }
    let is_reference = |place: &str| place.starts_with("env:") || place.starts_with("file:");
    match draft.secrets.iter().find(|(_, place)| !is_reference(place)) {
        Some((name, _)) => Err(InvalidRoute::NotAReference(name.clone())),
        None => Ok(()),
    }
}

/// What the trail keeps about a route: nothing that could be a secret by mistake.
pub(super) fn describe(draft: &RouteDraft) -> serde_json::Value {
    json!({
        "carrier": draft.carrier,
        "senders": draft.senders,
        "throttle": draft.throttle,
        "max_in_flight": draft.max_in_flight,
        "send_timeout_ms": draft.send_timeout_ms,
        "failover": draft.failover,
        "price_micros_per_segment": draft.price_per_segment,
        "allowed_origins": draft.allowed_origins,
        "allow_loopback": draft.allow_loopback,
        "secrets": draft.secrets.keys().collect::<Vec<_>>(),
    })
}
