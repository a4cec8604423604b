//! Journals of workers that are gone: what they knew about their hand-overs is settled.
//!
//! An outcome in a journal is evidence about one attempt, whoever brings it and whenever. It is settled
//! by compare-and-set on that attempt: one that was settled before, by its own worker, by another
//! process with the same journal or by an operator, stays as it is, and no money moves twice. What was
//! begun and has no outcome stays what it is: on the wire, and unknown once its worker is buried.

use std::collections::HashSet;

use dripline_store::ops::{self, FinishRequest, Finished};
use dripline_store::worker_registry;
use uuid::Uuid;

use crate::crash::crash_point;
use crate::environment::Environment;
use crate::jobs::deliver::divide::{Undone, divide};
use crate::journal::{Ended, Leftover, leftovers};
use crate::outage::Unanswered;

/// Attempts in one transaction.
const BATCH: usize = 500;

/// What a sweep over the journals did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Journals that were dealt with and removed.
    pub journals: u64,
    /// Attempts that were settled by what stood there.
    pub attempts: u64,
}

/// Settles what every worker of this database that is gone has left on this machine, and removes
/// its journal. A journal of which the database refused anything is kept.
pub async fn run_once(environment: &Environment) -> Result<Settled, Unanswered> {
    let mut settled = Settled::default();
    let found = match leftovers(&environment.journals, environment.installation_id) {
        Ok(found) => found,
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::error!("failed to look for journals: {error:#}");
            return Ok(settled);
        }
    };
    let mut registered = None;
    for leftover in found {
        match leftover {
            Ok(leftover) => {
                let registered = match &mut registered {
                    Some(registered) => registered,
                    none => none.insert(registered_workers(environment).await?),
                };
                // A copy of a database has the installation's id too, and not its later workers.
                if registered.contains(&leftover.worker) {
                    settle(environment, leftover, &mut settled).await?;
                } else {
                    tracing::debug!(
                        journal.worker = leftover.worker,
                        "a journal is left alone, since its worker belongs to another database"
                    );
                }
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!("failed to read a journal: {error:#}");
            }
        }
    }
    Ok(settled)
}

/// The names of all workers that this database has ever had.
async fn registered_workers(environment: &Environment) -> Result<HashSet<String>, Unanswered> {
    let workers = environment
        .outage
        .outlast("worker_registry.list", || worker_registry::list(&environment.pool, i64::MAX))
        .await?;
    Ok(workers.into_iter().map(|worker| worker.name).collect())
}

async fn settle(
    environment: &Environment,
    leftover: Leftover,
    settled: &mut Settled,
) -> Result<(), Unanswered> {
    let mut attempts = 0;
    for batch in leftover.ended.chunks(BATCH) {
        crash_point!("journal-settle-begin");
        let answers = finish(environment, batch).await;
        crash_point!("journal-settled");
        if answers.contains(&Err(Undone)) {
            if environment.stop.is_finishing() {
                return Err(Unanswered::Abandoned);
            }
            tracing::error!(
                journal.worker = leftover.worker,
                "a journal is kept, since the database refused an outcome in it"
            );
            return Ok(());
        }
        let new = |answer: &Result<Finished, Undone>| *answer != Ok(Finished::AlreadyDone);
        attempts += answers.iter().filter(|answer| new(answer)).count();
    }
    tracing::info!(
        journal.worker = leftover.worker,
        attempts,
        unended = leftover.unended,
        "settled what a worker that is gone left in its journal"
    );
    settled.attempts += attempts as u64;
    settled.journals += 1;
    if let Err(error) = leftover.remove() {
        // It will be found again, and then has nothing new to say.
        let error = anyhow::Error::from(error);
        tracing::error!("failed to remove a settled journal: {error:#}");
    }
    crash_point!("journal-removed");
    Ok(())
}

async fn finish(environment: &Environment, batch: &[Ended]) -> Vec<Result<Finished, Undone>> {
    let requests = batch.iter().map(|ended| FinishRequest {
        delivery_id: ended.delivery_id,
        attempt: ended.attempt,
        outcome: ended.outcome.clone(),
    });
    let transaction = |batch: Vec<FinishRequest>| async move {
        let batch_id = Uuid::now_v7();
        environment
            .outage
            .outlast("op.finish_attempts", || {
                ops::finish_attempts(
                    &environment.pool,
                    &*environment.clock,
                    &environment.retry,
                    environment.worker_id,
                    batch_id,
                    &batch,
                )
            })
            .await
    };
    divide("op.finish_attempts", requests.collect(), &transaction).await
}
