//! When to try again: exponential backoff with full jitter, and the carrier's own wish.

use std::time::Duration;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// The longest `Retry-After` that is believed. A longer one is a carrier's mistake, and would keep
/// the delivery's money held for as long.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(7 * 24);

/// How often a delivery is handed over, and how long it waits in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Hand-overs in all, the first included. At least 1.
    pub max_attempts: u32,
    /// The longest wait after the first attempt; it doubles with each further one.
    pub first: Duration,
    /// What the doubling stops at.
    pub ceiling: Duration,
}

impl Default for RetryPolicy {
    /// Eight attempts, over about half an hour.
    fn default() -> Self {
        Self { max_attempts: 8, first: Duration::from_secs(5), ceiling: Duration::from_mins(15) }
    }
}

impl RetryPolicy {
    /// How long to wait after attempt number `attempt` (from 1) was not sent, or `None` when that was
    /// the last one.
    ///
    /// The wait is drawn evenly from zero to the backoff's bound, so that deliveries that failed
    /// together do not come back together. It is never shorter than `retry_after`, up to
    /// [`LONGEST_RETRY_AFTER`]; beyond it they are spread over `first`.
    pub fn delay(
        &self,
        attempt: u32,
        rng: &mut impl Rng,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        if attempt >= self.max_attempts {
            return None;
        }
        Some(match retry_after {
            None => jitter(self.bound(attempt), rng),
            Some(wish) => {
                let wish = wish.min(LONGEST_RETRY_AFTER);
                wish.saturating_add(jitter(self.first, rng)).max(jitter(self.bound(attempt), rng))
            }
        })
    }

    /// The longest wait that [`RetryPolicy::delay`] draws after attempt number `attempt` (from 1),
    /// as long as the carrier asks for none: `first * 2^(attempt - 1)`, at most `ceiling`.
    pub fn bound(&self, attempt: u32) -> Duration {
        let factor = 2_u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.ceiling)
    }
}

fn jitter(longest: Duration, rng: &mut impl Rng) -> Duration {
    let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.random_range(0..=longest_ms))
}
