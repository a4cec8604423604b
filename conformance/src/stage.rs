//! What the kit puts around a plugin: the time that a case gives, and an ear for what is logged.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_plugin_host::{LogKeeper, Said};

/// Whoever makes the host for the kit gives it this clock and this keeper.
#[derive(Clone, Debug, Default)]
pub struct Stage(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seconds: AtomicI64,
    lines: Mutex<Vec<String>>,
}

impl Stage {
    /// Tells plugins the time of the case that is being run.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::<Shared>::clone(&self.0)
    }

    /// Hears what plugins log, which is an output like any other.
    pub fn log_keeper(&self) -> Arc<dyn LogKeeper> {
        Arc::<Shared>::clone(&self.0)
    }

    /// Says that it is so many seconds after 1970.
    pub(crate) fn set_time(&self, seconds: i64) {
        self.0.seconds.store(seconds, Ordering::Relaxed);
    }

    /// What was logged since this was last asked.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for Shared {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.seconds.load(Ordering::Relaxed), 0).unwrap_or_default()
    }
}

impl LogKeeper for Shared {
    fn keep(&self, said: Said<'_>) {
        let lines = said.lines.into_iter().map(|line| line.message);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).extend(lines);
    }
}
