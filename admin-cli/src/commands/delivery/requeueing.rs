//! Requeueing what was planned, chunk by chunk.

use std::time::Duration;

use dripline_domain::money::Micros;
use dripline_store::account::Account;
use dripline_store::ops::{self, EnrollError, RequeueChunk};
use uuid::Uuid;

use super::requeue_plan::{Plan, describe};
use super::requeue_report::{Requeued, Skipped};
use crate::confirm::Confirmed;
use crate::context::Context;
use crate::failure::refuse;
use crate::money;
use crate::output::words::{count, shell_word};
use crate::progress;

/// Deliveries in one transaction.
const CHUNK: usize = 5_000;
/// How often a chunk is tried whose COMMIT got no answer. Its batch id makes that safe.
const TRIES: u32 = 5;

/// Requeues everything that was planned. The first chunk asks for the money of all of it, so that a
/// balance which does not cover the whole requeues nothing.
pub(super) async fn requeue(
    ctx: &Context,
    account: &Account,
    plan: Plan,
    _: Confirmed,
) -> anyhow::Result<Requeued> {
    let bar = progress::bar("requeueing", plan.deliveries());
    let mut required = plan.needed();
    let mut done = Requeued::default();
    for workflow in plan.workflows {
        for deliveries in workflow.deliveries.chunks(CHUNK) {
            let price: Micros =
                deliveries.iter().flat_map(|(_, priced)| &priced.step_micros).copied().sum();
            let chunk = RequeueChunk {
                workflow_id: workflow.workflow_id,
                revision: workflow.revision,
                batch_id: Uuid::new_v4(),
                actor: ctx.actor.clone(),
                deliveries: deliveries.to_vec(),
                required,
            };
            let requeued = requeue_chunk(ctx, &chunk).await?;
            done.add(requeued.map_err(|error| explain(error, &done, &workflow.workflow, account))?);
            required -= price;
            bar.inc(deliveries.len() as u64);
        }
    }
    bar.finish_and_clear();
    Ok(done)
}

async fn requeue_chunk(
    ctx: &Context,
    chunk: &RequeueChunk,
) -> anyhow::Result<Result<ops::Requeued, EnrollError>> {
    let pool = ctx.pool().await?;
    let mut tries = 1;
    loop {
        match ops::requeue(pool, &ctx.clock, chunk).await {
            Err(EnrollError::Store(error)) if error.is_connection_lost() && tries < TRIES => {
                tracing::warn!(tries, "lost the database while requeueing; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                tries += 1;
            }
            done => return Ok(done),
        }
    }
}

impl Requeued {
    fn add(&mut self, chunk: ops::Requeued) {
        self.deliveries += chunk.requeued.len() as u64;
        self.segments += chunk.segments;
        self.held_micros += chunk.held;
        let skipped = chunk.skipped.into_iter();
        self.skipped.extend(
            skipped.map(|(delivery_id, obstacle)| Skipped {
                delivery_id,
                reason: describe(&obstacle),
            }),
        );
    }
}

/// The failure of a chunk, with what the chunks before it did.
fn explain(
    error: EnrollError,
    done: &Requeued,
    workflow: &str,
    account: &Account,
) -> anyhow::Error {
    let before = match done.deliveries {
        0 => "nothing was requeued".to_owned(),
        n => format!("only {} were requeued", count(n, "failed message")),
    };
    match error {
        EnrollError::Store(error) => anyhow::Error::new(error).context(before),
        EnrollError::InsufficientBalance(short) => {
            let show = |amount| money::show(amount, &account.currency);
            refuse(format!(
                "{before}: {} needed, {} available, {} missing",
                show(short.needed),
                show(short.available),
                show(short.missing()),
            ))
            .hint(format!(
                "`dripline account topup {} {}` puts in what is missing",
                shell_word(&account.name),
                short.missing(),
            ))
            .into()
        }
        EnrollError::PurgeUnfinished { operation_id } => refuse(format!(
            "{before}: operation {operation_id} is taking contacts out of `{workflow}`"
        ))
        .hint(format!("`dripline operation show {operation_id}` shows how far it is"))
        .into(),
        refused => refuse(format!("{before}: `{workflow}`: {refused}"))
            .hint("run the same command again: what is requeued is left out")
            .into(),
    }
}
