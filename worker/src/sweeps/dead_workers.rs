//! Workers that are gone: their tickets go back, and what they had on the wire is `unknown`.

use std::time::Duration;

use dripline_store::sweep::{self, Buried};

use crate::environment::Environment;
use crate::outage::Unanswered;

/// Buries every worker that has been silent for `dead_after` and whose session Postgres says is
/// gone. A slow worker is not a dead one.
pub async fn run_once(
    environment: &Environment,
    dead_after: Duration,
) -> Result<Buried, Unanswered> {
    let Environment { pool, clock, outage, .. } = environment;
    outage
        .outlast_sweep("sweep.dead_workers", || sweep::dead_workers(pool, &**clock, dead_after))
        .await
}
