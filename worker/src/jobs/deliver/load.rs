//! Load: what the ticket's delivery is, if it still waits.

use std::collections::HashMap;
use std::sync::Arc;

use dripline_domain::clock::Clock;
use dripline_domain::delivery::Reason;
use dripline_domain::ids::DeliveryId;
use dripline_store::delivery::{self, DueDelivery};
use dripline_store::ops::GiveUp;

use super::Outcome;
use super::divide::{Undone, divide};
use crate::batch::Batcher;
use crate::crash::crash_point;
use crate::environment::Environment;
use crate::queue::Claims;

/// The stage.
#[derive(Clone, Debug)]
pub(super) struct Load {
    batcher: Batcher<DeliveryId, Result<Option<DueDelivery>, Undone>>,
}

impl Load {
    pub(super) fn start(environment: &Arc<Environment>) -> Self {
        let limits = environment.batches.database;
        let environment = environment.clone();
        let batcher = Batcher::spawn("load", limits, move |ids| {
            let environment = environment.clone();
            async move { load(&environment, ids).await }
        });
        Self { batcher }
    }

    pub(super) async fn call(&self, id: DeliveryId) -> Result<DueDelivery, Outcome> {
        match self.batcher.call(id).await {
            Ok(Ok(Some(delivery))) => Ok(delivery),
            Ok(Ok(None)) => Err(Outcome::Stale),
            Ok(Err(Undone)) | Err(_) => Err(Outcome::Interrupted),
        }
    }
}

/// An expired delivery is given up; one that is not due yet has another ticket coming.
pub(super) fn check_time(delivery: &DueDelivery, clock: &dyn Clock) -> Result<(), Outcome> {
    let now = clock.now();
    if delivery.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Outcome::given_up(delivery, GiveUp::Expired));
    }
    if delivery.due_at > now {
        return Err(Outcome::Stale);
    }
    Ok(())
}

/// A delivery whose ticket comes back again and again from workers that died is given up, before it
/// kills another one.
pub(super) fn check_claims(
    delivery: &DueDelivery,
    Claims(claims): Claims,
    most: u32,
) -> Result<(), Outcome> {
    if claims <= most {
        return Ok(());
    }
    let deaths = claims - 1;
    let text = format!("{deaths} workers died while they handled it; it is not tried again");
    Err(Outcome::given_up(delivery, GiveUp::Refused(Reason::new("kills_workers", text))))
}

async fn load(
    environment: &Environment,
    ids: Vec<DeliveryId>,
) -> Vec<Result<Option<DueDelivery>, Undone>> {
    crash_point!("load-begin");
    let query = |ids: Vec<DeliveryId>| async move {
        let found = environment
            .outage
            .outlast("delivery.load_due", || delivery::load_due(&environment.pool, &ids))
            .await?;
        let mut found: HashMap<_, _> =
            found.into_iter().map(|delivery| (delivery.delivery_id, delivery)).collect();
        // Two tickets of one delivery: the first gets it, the second is one too many.
        Ok(ids.iter().map(|id| found.remove(id)).collect())
    };
    let answers = divide("delivery.load_due", ids, &query).await;
    crash_point!("load-done");
    answers
}
