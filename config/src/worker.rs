//! How the daemon works.

use std::time::Duration;

use dripline_domain::breaker::BreakerPolicy;
use dripline_domain::retry::RetryPolicy;
use serde::Deserialize;

use crate::webhooks::Webhooks;

/// How the daemon works.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Messages in flight at most.
    pub concurrency: usize,
    /// Tickets that one claim takes at most.
    pub claim_size: usize,
    /// Transactions that mark and settle at the same time.
    pub connections: u32,
    /// How often a worker says that it is alive.
    pub heartbeat_seconds: u64,
    /// How long a worker whose session is gone may have said nothing before it counts as dead.
    pub dead_after_seconds: u64,
    /// How long an idle worker waits before it looks for due tickets again.
    pub poll_ms: u64,
    /// How long what is on the wire may take after the first stop signal.
    pub drain_seconds: u64,
    /// How long one request to a carrier may take.
    pub send_timeout_ms: u64,
    /// How often the sweeps run.
    pub sweep_seconds: u64,
    /// How long a due delivery may be without a ticket.
    pub missing_ticket_after_seconds: u64,
    /// After how long without evidence a message of which nobody knows is taken for sent.
    pub unknown_deadline_hours: u64,
    /// How long the database may take to answer one request.
    pub database_timeout_seconds: u64,
    /// How often a ticket may be claimed by workers that die.
    pub max_claims: u32,
    /// How large a journal may grow before settled attempts are dropped from it.
    pub journal_kib: u64,
    /// How often and when a delivery is tried again.
    pub retry: Retry,
    /// When a route is halted, and for how long.
    pub breaker: Breaker,
    /// Where carriers report to.
    pub webhooks: Webhooks,
}

impl Worker {
    /// [`Worker::heartbeat_seconds`] as a duration.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }

    /// [`Worker::dead_after_seconds`] as a duration.
    pub fn dead_after(&self) -> Duration {
        Duration::from_secs(self.dead_after_seconds)
    }

    /// [`Worker::poll_ms`] as a duration.
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// [`Worker::drain_seconds`] as a duration.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// [`Worker::send_timeout_ms`] as a duration.
    pub fn send_timeout(&self) -> Duration {
        Duration::from_millis(self.send_timeout_ms)
    }

    /// [`Worker::sweep_seconds`] as a duration.
    pub fn sweep(&self) -> Duration {
        Duration::from_secs(self.sweep_seconds)
    }

    /// [`Worker::missing_ticket_after_seconds`] as a duration.
    pub fn missing_ticket_after(&self) -> Duration {
        Duration::from_secs(self.missing_ticket_after_seconds)
    }

    /// [`Worker::unknown_deadline_hours`] as a duration.
    pub fn unknown_deadline(&self) -> Duration {
        Duration::from_secs(self.unknown_deadline_hours * 60 * 60)
    }

    /// [`Worker::database_timeout_seconds`] as a duration.
    pub fn database_timeout(&self) -> Duration {
        Duration::from_secs(self.database_timeout_seconds)
    }

    /// [`Worker::journal_kib`] in bytes.
    pub fn journal_bytes(&self) -> u64 {
        self.journal_kib * 1024
    }
}

/// How often and when a delivery is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Hand-overs of one delivery, the first included.
    pub max_attempts: u32,
    /// The longest wait after the first one.
    pub first_seconds: u64,
    /// What its doubling stops at.
    pub ceiling_seconds: u64,
}

impl Retry {
    /// The policy that these numbers make.
    pub fn policy(&self) -> RetryPolicy {
        RetryPolicy {
            max_attempts: self.max_attempts,
            first: Duration::from_secs(self.first_seconds),
            ceiling: Duration::from_secs(self.ceiling_seconds),
        }
    }
}

/// When a route is halted, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row after which a route is halted.
    pub failures: u32,
    /// How long the first halt lasts at most.
    pub cool_down_seconds: u64,
    /// What its doubling stops at.
    pub ceiling_seconds: u64,
    /// How many deliveries come back each second after a halt.
    pub resume_per_second: u32,
}

impl Breaker {
    /// The policy that these numbers make.
    pub fn policy(&self) -> BreakerPolicy {
        BreakerPolicy {
            failures: self.failures,
            cool_down: Duration::from_secs(self.cool_down_seconds),
            ceiling: Duration::from_secs(self.ceiling_seconds),
            resume_per_second: self.resume_per_second,
        }
    }
}
