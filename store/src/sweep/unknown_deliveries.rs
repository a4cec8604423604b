//! Decides about unknown deliveries where the rows themselves hold the evidence: a receipt that came
//! before anybody was in doubt, and the deadline.

use std::time::Duration;

use chrono::TimeDelta;
use dripline_domain::clock::Clock;
use dripline_domain::evidence::Evidence;
use dripline_domain::retry::RetryPolicy;
use uuid::Uuid;

use super::BATCH;
use crate::ops::{self, Resolution, Resolved};
use crate::{Pool, StoreError, inquiry};

/// What a sweep over unknown deliveries did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Deliveries that the carrier had reported on.
    pub by_receipt: u64,
    /// Deliveries of which nobody said anything in time.
    pub by_deadline: u64,
}

/// Takes for sent what a receipt speaks of, and what has been unknown for longer than `deadline`. Forgets
/// the inquiries about what was decided.
pub async fn unknown_deliveries(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    actor: &str,
    deadline: Duration,
) -> Result<Decided, StoreError> {
    let sweep = Sweep { pool, clock, policy, actor };
    let decided = Decided {
        by_receipt: sweep.receipts().await?,
        by_deadline: sweep.deadline(deadline).await?,
    };
    inquiry::forget_decided(pool).await?;
    Ok(decided)
}

struct Sweep<'a> {
    pool: &'a Pool,
    clock: &'a dyn Clock,
    policy: &'a RetryPolicy,
    actor: &'a str,
}

impl Sweep<'_> {
    async fn receipts(&self) -> Result<u64, StoreError> {
        let (mut behind, mut decided) = (0, 0);
        loop {
            let rows = sqlx::query_file!("queries/sweep/receipted_unknown.sql", behind, BATCH)
                .fetch_all(self.pool)
                .await?;
            let Some(last) = rows.last() else { return Ok(decided) };
            behind = last.delivery_id;
            let resolutions: Vec<Resolution> = rows
                .into_iter()
                .map(|row| Resolution {
                    delivery_id: row.delivery_id.into(),
                    attempt: u32::try_from(row.attempt).ok(),
                    evidence: Evidence::Receipt,
                    carrier_reference: row.carrier_reference,
                    reason: Some(format!("the carrier had reported it as {}", row.status)),
                })
                .collect();
            decided += self.resolve(&resolutions).await?;
        }
    }

    async fn deadline(&self, deadline: Duration) -> Result<u64, StoreError> {
        let patience = TimeDelta::from_std(deadline).unwrap_or(TimeDelta::MAX);
        let Some(since) = self.clock.now().checked_sub_signed(patience) else { return Ok(0) };
        let hours = deadline.as_secs() / 3_600;
        let (mut behind, mut decided) = (0, 0);
        loop {
            let rows = sqlx::query_file!("queries/sweep/overdue_unknown.sql", since, behind, BATCH)
                .fetch_all(self.pool)
                .await?;
            let Some(last) = rows.last() else { return Ok(decided) };
            behind = last.delivery_id;
            let resolutions: Vec<Resolution> = rows
                .into_iter()
                .map(|row| Resolution {
                    delivery_id: row.delivery_id.into(),
                    attempt: u32::try_from(row.attempt).ok(),
                    evidence: Evidence::Deadline,
                    carrier_reference: None,
                    reason: Some(format!("no evidence came within {hours} h")),
                })
                .collect();
            decided += self.resolve(&resolutions).await?;
        }
    }

    /// Gives how many were decided by it.
    async fn resolve(&self, resolutions: &[Resolution]) -> Result<u64, StoreError> {
        let Self { pool, clock, policy, actor } = *self;
        let resolved =
            ops::resolve_unknown(pool, clock, policy, actor, Uuid::now_v7(), resolutions).await?;
        let decided = resolved.iter().filter(|one| matches!(one, Resolved::Decided(_)));
        Ok(decided.count() as u64)
    }
}
