//! How fast contacts are enrolled: every step rendered and counted, everything held and queued.

use std::time::Instant;

use crate::database::analyze;
use crate::lab::Lab;
use crate::report::{Figure, per_second};
use crate::seed::{CarrierAt, Seed};
use crate::usage::Counters;

/// The target is stated for workflows of three steps.
const STEPS: usize = 3;

/// Enrols `contacts` people, `runs` times, each in a database of its own.
pub(crate) async fn run(lab: &Lab, contacts: usize, runs: usize) -> anyhow::Result<Figure> {
    let mut rates = Vec::new();
    let mut usage = None;
    for run in 0..runs {
        let pool = lab.server.database(&format!("enrol_{run}")).await?;
        let seed = Seed::plant(&pool, &*lab.clock, &CarrierAt::nowhere(), contacts, STEPS).await?;
        analyze(&pool).await?;
        let before = Counters::read(&pool, None).await?;
        let begun = Instant::now();
        seed.enroll(&pool, &*lab.clock, &lab.plugins, contacts).await?;
        rates.push(per_second(contacts, begun.elapsed().as_secs_f64()));
        usage = Some(before.until_now(&pool, None).await?);
        pool.close().await;
    }
    Ok(Figure::of("enrol", "priced", "contacts/s", contacts, &rates).with_usage(usage))
}
