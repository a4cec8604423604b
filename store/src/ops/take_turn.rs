//! Lets a message through that belongs to no workflow, as one by which an operator tests a route.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use dripline_domain::ids::RouteId;
use dripline_domain::throttle::Throttle;

use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::{Pool, StoreError, sender_pace};

/// Counts a message of so many segments for a sender of the route, if the throttle lets it leave now. Else gives when
/// one may leave, by the database's clock, and counts nothing: nobody stands in line for it.
///
/// Whoever dies behind this has used up the sender's time for a message that did not leave, which harms nobody.
pub async fn take_turn(
    pool: &Pool,
    route_id: RouteId,
    throttle: Throttle,
    sender: &str,
    segments: u32,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    if !throttle.is_limited() {
        return Ok(None);
    }
    let mut retries = Retries::default();
    loop {
        match run(pool, route_id, throttle, sender, segments).await {
            Ok(turn) => return Ok(turn),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

async fn run(
    pool: &Pool,
    route_id: RouteId,
    throttle: Throttle,
    sender: &str,
    segments: u32,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let key = (route_id, sender.to_owned());
    let mut tx = pool.begin().await?;
    let locked = sender_pace::lock(&mut tx, BTreeSet::from([key.clone()])).await?;
    let Some(mut locked) = locked else { return Ok(None) };
    let Some(pace) = locked.paces.get_mut(&key) else { return Ok(None) };
    if let Err(turn) = pace.take(throttle, segments, false, locked.now) {
        tx.rollback().await?;
        return Ok(Some(turn));
    }
    locked.save(&mut tx).await?;
    commit(tx, Commit::TakeTurn).await?;
    Ok(None)
}
