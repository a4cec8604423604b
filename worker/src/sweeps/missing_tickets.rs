//! Queued deliveries that no ticket would wake, and tickets that outlived their delivery.

use dripline_store::sweep;

use crate::environment::Environment;
use crate::outage::Unanswered;

/// Issues every ticket that is missing and deletes every one that is one too many.
pub async fn run_once(environment: &Environment) -> Result<(), Unanswered> {
    let Environment { pool, clock, outage, .. } = environment;
    outage.outlast("sweep.missing_tickets", || sweep::missing_tickets(pool, &**clock)).await?;
    outage.outlast("sweep.stray_tickets", || sweep::stray_tickets(pool, &**clock)).await?;
    Ok(())
}
