//! Periodic repairs. Each is a `run_once` that reads state, puts it right and takes no hints, and a
//! thin loop around it. Any number of workers may run them at once.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dripline_store::sweep::Ahead;
use tokio::task::JoinSet;

use crate::environment::Environment;
use crate::jobs::deliver::Deliver;
use crate::outage::Unanswered;
use unknown_deliveries::UnknownOptions;

pub mod dead_workers;
pub mod journals;
pub mod missing_tickets;
pub mod plugins;
pub mod unfinished_purges;
pub mod unknown_deliveries;

/// How the sweeps run.
#[derive(Clone, Copy, Debug)]
pub struct SweepOptions {
    /// Between two runs of each sweep, give or take a quarter.
    pub interval: Duration,
    /// How long a worker whose session is gone may have said nothing before it counts as dead.
    pub dead_after: Duration,
    /// How long a due delivery may be without a ticket.
    pub missing_ticket_after: Duration,
    /// What is done about deliveries of which nobody knows.
    pub unknown: UnknownOptions,
}

/// Starts all sweeps. They end when the daemon begins to stop, or when the set is dropped.
pub fn start(
    environment: &Arc<Environment>,
    deliver: &Arc<Deliver>,
    options: SweepOptions,
) -> JoinSet<()> {
    let SweepOptions { interval, dead_after, missing_ticket_after, unknown } = options;
    let mut sweeps = JoinSet::new();
    sweeps.spawn(repeat("journals", environment.clone(), interval, |all| async move {
        journals::run_once(&all).await.map(drop)
    }));
    let ahead = Arc::<Mutex<Ahead>>::default();
    sweeps.spawn(repeat("missing_tickets", environment.clone(), interval, move |all| {
        let ahead = ahead.clone();
        async move { missing_tickets::run_once(&all, missing_ticket_after, &ahead).await }
    }));
    sweeps.spawn(repeat("dead_workers", environment.clone(), interval, move |all| async move {
        dead_workers::run_once(&all, dead_after).await.map(drop)
    }));
    sweeps.spawn(repeat("unfinished_purges", environment.clone(), interval, |all| async move {
        unfinished_purges::run_once(&all).await.map(drop)
    }));
    let first = Arc::new(AtomicBool::new(true));
    sweeps.spawn(repeat("plugins", environment.clone(), interval, move |all| {
        let first = first.clone();
        async move {
            plugins::run_once(&all, first.load(Ordering::Relaxed)).await?;
            first.store(false, Ordering::Relaxed);
            Ok(())
        }
    }));
    let deliver = deliver.clone();
    sweeps.spawn(repeat("unknown_deliveries", environment.clone(), interval, move |all| {
        let deliver = deliver.clone();
        async move { unknown_deliveries::run_once(&all, &deliver, unknown).await.map(drop) }
    }));
    sweeps
}

/// Runs `sweep` at once and then every `interval`, give or take a quarter, so that the sweeps of
/// workers that started together drift apart.
async fn repeat<F, Fut>(
    name: &'static str,
    environment: Arc<Environment>,
    interval: Duration,
    sweep: F,
) where
    F: Fn(Arc<Environment>) -> Fut,
    Fut: Future<Output = Result<(), Unanswered>>,
{
    while !environment.stop.is_finishing() {
        match sweep(environment.clone()).await {
            Ok(()) => {}
            Err(Unanswered::Abandoned) => return,
            Err(Unanswered::Refused(error)) => {
                let error = anyhow::Error::from(error);
                tracing::error!(sweep = name, "a sweep failed: {error:#}");
            }
        }
        tokio::select! {
            () = environment.stop.finishing() => return,
            () = tokio::time::sleep(interval.mul_f64(rand::random_range(0.75..1.25))) => {}
        }
    }
}
