//! Versions of plugins that have come into force, or gone out of it.

use dripline_store::plugin;

use crate::environment::Environment;
use crate::installed::Tried;
use crate::outage::Unanswered;

/// Brings the plugins of this worker up to date, and writes down what it made of them.
pub async fn run_once(environment: &Environment, first: bool) -> Result<(), Unanswered> {
    let Environment { pool, clock, outage, worker_id, plugins, installed, .. } = environment;
    let tried =
        outage.outlast_sweep("plugins.sync", || installed.sync(pool, plugins, &**clock)).await?;
    // What was loaded before this worker had a name is still to be written down.
    let told = if first { installed.tried() } else { tried };
    for one in told {
        outage
            .outlast("plugin.record_load", || {
                let Tried { name, digest, problem, runs, .. } = &one;
                let (problem, runs) = (problem.as_deref(), runs.as_deref());
                plugin::record_load(pool, &**clock, *worker_id, name, digest, problem, runs)
            })
            .await?;
    }
    Ok(())
}
