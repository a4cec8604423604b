//! Waiting for an operation, and doing its work meanwhile: whoever waits is as good as a worker.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::OperationId;
use dripline_store::listing::operations::{self, Operation};
use dripline_store::ops::{PURGE_CHUNK, purge_chunk};
use dripline_store::plan::{self, InFlight};
use dripline_store::sweep;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::context::Context;
use crate::failure::{Failure, interrupted};
use crate::progress;

/// Between two looks at what others do.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A wait that Ctrl-C ends, and not the operation. Interrupts are heard from its begin on, also those
/// that come between two of its parts.
#[derive(Debug)]
pub(crate) struct Waiting {
    interrupts: Signal,
}

impl Waiting {
    /// From now on Ctrl-C does not end the process.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let interrupts = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
        Ok(Self { interrupts })
    }

    /// Does what is left of a pause, a deletion or a removal, side by side with the workers, until it
    /// is done; of an enrolment, which only its own process can go on with, waits for the end, and
    /// ends it where that process is gone.
    pub(crate) async fn until_finished(
        &mut self,
        ctx: &Context,
        id: OperationId,
    ) -> anyhow::Result<Operation> {
        self.interruptible(id, finish(ctx, id)).await
    }

    /// Waits until nothing that the operation could not cancel is on the wire, at most `limit`. Gives
    /// what has no outcome then: messages whose outcome only the carrier knows, which waiting does not
    /// answer, and after `limit` also what is still being sent.
    pub(crate) async fn until_settled(
        &mut self,
        ctx: &Context,
        id: OperationId,
        limit: Option<Duration>,
    ) -> anyhow::Result<Vec<InFlight>> {
        self.interruptible(id, settle(ctx, id, limit)).await
    }

    async fn interruptible<T>(
        &mut self,
        id: OperationId,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            Some(()) = self.interrupts.recv() => Err(goes_on(id).into()),
        }
    }
}

async fn finish(ctx: &Context, id: OperationId) -> anyhow::Result<Operation> {
    let pool = ctx.pool().await?;
    let bar = progress::bar("going on", 0);
    loop {
        let operation = read(ctx, id).await?;
        if let Some(preview) = operation.preview {
            bar.set_length(preview.contacts);
        }
        bar.set_position(operation.removed_enrollments + operation.enrolled_enrollments);
        if operation.finished_at.is_some() {
            bar.finish_and_clear();
            return Ok(operation);
        }
        if operation.kind == "enrol" {
            // Where its process is gone nobody else goes on with it.
            sweep::abandoned_enrolments(pool, &ctx.clock).await?;
            tokio::time::sleep(LOOK_EVERY).await;
        } else {
            purge_chunk(pool, &ctx.clock, id, PURGE_CHUNK).await?;
        }
    }
}

async fn settle(
    ctx: &Context,
    id: OperationId,
    limit: Option<Duration>,
) -> anyhow::Result<Vec<InFlight>> {
    let pool = ctx.pool().await?;
    let bar = progress::bar("waiting for what is in flight", 0);
    let begin = Instant::now();
    loop {
        let in_flight = plan::still_in_flight(pool, id).await?;
        let sending = sending(&in_flight);
        if sending == 0 || limit.is_some_and(|limit| begin.elapsed() >= limit) {
            bar.finish_and_clear();
            return Ok(in_flight);
        }
        bar.set_length(bar.length().unwrap_or_default().max(sending));
        bar.set_position(bar.length().unwrap_or_default() - sending);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How many of these are being sent.
pub(crate) fn sending(in_flight: &[InFlight]) -> u64 {
    in_flight.iter().filter(|attempt| attempt.state == DeliveryState::Sending).count() as u64
}

async fn read(ctx: &Context, id: OperationId) -> anyhow::Result<Operation> {
    let operation = operations::show(ctx.pool().await?, id).await?;
    operation.ok_or_else(|| anyhow::anyhow!("operation {id} has gone, and none ever goes"))
}

/// What is said to whoever stops waiting.
fn goes_on(id: OperationId) -> Failure {
    interrupted(format!("operation {id} goes on; only the waiting was interrupted"))
        .hint(format!("`dripline operation wait {id}` waits for it again"))
        .hint("any running worker finishes it, too")
}
