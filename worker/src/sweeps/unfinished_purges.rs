//! Pauses, deletes and removals whose process went away before the last refund.

use dripline_store::sweep;

use crate::environment::Environment;
use crate::outage::Unanswered;

/// Finishes every purge that was begun. Gives how many.
pub async fn run_once(environment: &Environment) -> Result<u64, Unanswered> {
    let Environment { pool, clock, outage, .. } = environment;
    outage.outlast("sweep.unfinished_purges", || sweep::unfinished_purges(pool, &**clock)).await
}
