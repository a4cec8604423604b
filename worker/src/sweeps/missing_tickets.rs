//! Queued deliveries that no ticket would wake, and tickets that outlived their delivery.

use std::time::Duration;

use dripline_store::sweep;

use crate::environment::Environment;
use crate::outage::Unanswered;

/// Issues the ticket of every delivery that has been due for `after` without one, and deletes every one that is one too many.
pub async fn run_once(environment: &Environment, after: Duration) -> Result<(), Unanswered> {
    let Environment { pool, clock, outage, .. } = environment;
    outage
        .outlast_sweep("sweep.missing_tickets", || sweep::missing_tickets(pool, &**clock, after))
        .await?;
    outage.outlast_sweep("sweep.stray_tickets", || sweep::stray_tickets(pool, &**clock)).await?;
    Ok(())
}
