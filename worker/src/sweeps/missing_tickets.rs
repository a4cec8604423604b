//! Queued deliveries that no ticket would wake, and tickets that outlived their delivery.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dripline_store::sweep::{self, Ahead};

use crate::environment::Environment;
use crate::outage::Unanswered;

/// Issues the ticket of every delivery that has been due for `after` without one, and deletes every one that is one too
/// many. `ahead`: how far it has come among those that are not due yet.
pub async fn run_once(
    environment: &Environment,
    after: Duration,
    ahead: &Mutex<Ahead>,
) -> Result<(), Unanswered> {
    let Environment { pool, clock, outage, .. } = environment;
    outage
        .outlast_sweep("sweep.missing_tickets", || sweep::missing_tickets(pool, &**clock, after))
        .await?;
    let from = ahead.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let strays = outage
        .outlast_sweep("sweep.stray_tickets", || sweep::stray_tickets(pool, &**clock, from.clone()))
        .await?;
    *ahead.lock().unwrap_or_else(PoisonError::into_inner) = strays.ahead;
    Ok(())
}
