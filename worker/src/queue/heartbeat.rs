//! The task that shows that this process lives, until everything else of the queue has ended.

use std::sync::Arc;

use dripline_store::worker_registry::{Heartbeat, Registration};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::{Queue, QueueFailure, lock};

/// Beats until `goodbye` is called, also while the daemon drains, and then deregisters the worker.
pub(super) async fn run(queue: Arc<Queue>, mut goodbye: oneshot::Receiver<()>) {
    let Some(mut registration) = lock(&queue.registration).take() else { return };
    let mut beats = tokio::time::interval(queue.options.heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            // A dropped sender means goodbye too.
            _ = &mut goodbye => break,
            _ = beats.tick() => {}
        }
        match registration.heartbeat(&queue.pool, &*queue.clock).await {
            Ok(Heartbeat::Alive) => {}
            Ok(Heartbeat::Buried) if queue.failure().is_some() => {}
            Ok(Heartbeat::Buried) => queue.fail(QueueFailure::Buried),
            // The next beat tries again. Others bury nobody until the database has been up for a
            // while, so that one that was down costs no worker its life.
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::debug!("a heartbeat was lost: {error:#}");
            }
        }
    }
    say_goodbye(&queue, registration).await;
}

/// Ends the session first: then no sweep has to wait for it, whatever becomes of the goodbye.
async fn say_goodbye(queue: &Queue, registration: Registration) {
    let stopped = tokio::select! {
        () = queue.stop.abandoning() => return,
        stopped = registration.stop(&queue.pool, &*queue.clock) => stopped,
    };
    if let Err(error) = stopped {
        // Nothing is open; the sweep for dead workers will find an empty grave.
        let error = anyhow::Error::from(error);
        tracing::warn!("the worker left without deregistering: {error:#}");
    }
}
