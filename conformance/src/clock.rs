//! The time that a case gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;

/// What plugins under test are told about the time: what the case says that is being run.
#[derive(Clone, Debug, Default)]
pub struct CaseClock(Arc<AtomicI64>);

impl CaseClock {
    /// Says that it is so many seconds after 1970.
    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for CaseClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0).unwrap_or_default()
    }
}
