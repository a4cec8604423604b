//! Operations whose process went away: pauses, deletions and removals before the last refund, and
//! enrolments that still have money reserved.

use dripline_store::sweep;

use crate::environment::Environment;
use crate::outage::Unanswered;

/// Finishes every purge that was begun and ends every enrolment that nobody goes on with. Gives how many
/// purges.
pub async fn run_once(environment: &Environment) -> Result<u64, Unanswered> {
    let Environment { pool, clock, outage, .. } = environment;
    outage
        .outlast_sweep("sweep.abandoned_enrolments", || sweep::abandoned_enrolments(pool, &**clock))
        .await?;
    outage
        .outlast_sweep("sweep.unfinished_purges", || sweep::unfinished_purges(pool, &**clock))
        .await
}
