//! How fast the audit proves the books: invariants 1 to 9 over many deliveries, in their order of states
//! after weeks of sending.

use std::time::Instant;

use anyhow::Context;
use dripline_store::{Pool, audit};

use crate::lab::Lab;
use crate::report::{Figure, per_second};
use crate::usage::Counters;

/// Rows in every state, and the entries that are their sums. In plain SQL, since enrolling and sending
/// them would take longer than everything that is measured.
const SEED: &str = include_str!("audit/seed.sql");

/// Audits about `deliveries` deliveries, `runs` times. They are written once: an audit changes nothing.
pub(crate) async fn run(lab: &Lab, deliveries: usize, runs: usize) -> anyhow::Result<Figure> {
    let pool = lab.server.database("audit").await?;
    let deliveries = plant(&pool, deliveries).await?;
    let mut rates = Vec::new();
    let mut usage = None;
    for _ in 0..runs {
        let before = Counters::read(&pool, None).await?;
        let begun = Instant::now();
        let results = audit::run(&pool, &*lab.clock).await?;
        rates.push(per_second(deliveries, begun.elapsed().as_secs_f64()));
        usage = Some(before.until_now(&pool, None).await?);
        for result in results {
            anyhow::ensure!(result.holds(), "the books of the bench are wrong: {result:?}");
        }
    }
    pool.close().await;
    Ok(Figure::of("audit", "invariants", "deliveries/s", deliveries, &rates).with_usage(usage))
}

/// Gives how many deliveries there are.
async fn plant(pool: &Pool, deliveries: usize) -> anyhow::Result<usize> {
    let enrollments = deliveries * 20 / 55;
    let seed = SEED.replace("%enrollments%", &enrollments.to_string());
    // Longer than any statement of ours may take.
    let seed = format!("SET statement_timeout = 0; {seed}; RESET statement_timeout");
    sqlx::raw_sql(sqlx::AssertSqlSafe(seed)).execute(pool).await.context("write the rows")?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(pool).await.context("vacuum")?;
    let planted: i64 = sqlx::query_scalar("SELECT count(*) FROM deliveries")
        .fetch_one(pool)
        .await
        .context("count the deliveries")?;
    Ok(usize::try_from(planted).unwrap_or(0))
}
