//! How long the fence of a pause takes, and how fast its purge cancels and refunds.

use std::time::Instant;

use dripline_store::ops::{self, Closing};

use crate::database::analyze;
use crate::lab::Lab;
use crate::report::{Figure, per_second};
use crate::seed::{CarrierAt, Seed};
use crate::usage::Counters;

/// Pauses a workflow with `contacts` queued deliveries, `runs` times. Gives the fence and the purge.
pub(crate) async fn run(lab: &Lab, contacts: usize, runs: usize) -> anyhow::Result<[Figure; 2]> {
    let (mut fences, mut purges) = (Vec::new(), Vec::new());
    let mut usage = None;
    for run in 0..runs {
        let pool = lab.server.database(&format!("pause_{run}")).await?;
        let seed = Seed::plant(&pool, &*lab.clock, &CarrierAt::nowhere(), contacts, 3).await?;
        seed.enroll(&pool, &*lab.clock, &lab.plugins, contacts).await?;
        analyze(&pool).await?;
        let closing =
            Closing { workflow_id: seed.workflow_id, actor: "bench".to_owned(), reason: None };
        let before = Counters::read(&pool, None).await?;
        let begun = Instant::now();
        let fenced = ops::fence_workflow(&pool, &*lab.clock, &closing).await?;
        fences.push(begun.elapsed().as_secs_f64() * 1000.0);
        let purged = ops::purge(&pool, &*lab.clock, fenced.operation_id).await?;
        purges.push(per_second(contacts, begun.elapsed().as_secs_f64()));
        usage = Some(before.until_now(&pool, None).await?);
        anyhow::ensure!(
            usize::try_from(purged.cancelled) == Ok(contacts * 3),
            "{} of {} messages were cancelled",
            purged.cancelled,
            contacts * 3,
        );
        pool.close().await;
    }
    Ok([
        Figure::of("pause", "fence", "ms", contacts, &fences),
        Figure::of("pause", "purge", "rows/s", contacts, &purges).with_usage(usage),
    ])
}
