//! Versions of plugins that have come into force, or gone out of it.

use dripline_store::plugin;

use crate::environment::Environment;
use crate::outage::Unanswered;

/// Brings the plugins of this worker up to date, and writes down what it made of them.
pub async fn run_once(environment: &Environment, first: bool) -> Result<(), Unanswered> {
    let Environment { pool, clock, outage, worker_id, plugins, installed, .. } = environment;
    let tried = outage.outlast_sweep("plugins.sync", || installed.sync(pool, plugins)).await?;
    // What was loaded before this worker had a name is still to be written down.
    let told = if first { installed.tried() } else { tried };
    for one in told {
        outage
            .outlast("plugin.record_load", || {
                let problem = one.problem.as_deref();
                plugin::record_load(pool, &**clock, *worker_id, &one.name, &one.digest, problem)
            })
            .await?;
    }
    Ok(())
}
