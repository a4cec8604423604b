//! The daemon's clock.
//!
//! Every release reads the machine's. Built with the feature `clock-offset`, which only the chaos
//! program asks for, a daemon can be given a clock that is wrong and that steps: the variable
//! `DRIPLINE_CLOCK_OFFSET_FILE` names a file with a whole number of milliseconds, which is added to
//! the machine's time and read again many times a second. A machine has one clock, and namespaces
//! separate only the monotonic one, so that no way from outside steps the clock of one process.

use std::sync::Arc;

use dripline_domain::clock::{Clock, SystemClock};

/// The machine's clock, or the one that a test has chosen.
pub fn start() -> Arc<dyn Clock> {
    #[cfg(feature = "clock-offset")]
    if let Some(file) = std::env::var_os("DRIPLINE_CLOCK_OFFSET_FILE") {
        return Arc::new(offset::OffsetClock::follow(file.into()));
    }
    Arc::new(SystemClock)
}

#[cfg(feature = "clock-offset")]
mod offset {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};
    use dripline_domain::clock::{Clock, SystemClock};

    /// Between two looks at the file.
    const LOOK: Duration = Duration::from_millis(20);

    /// The machine's clock, a chosen number of milliseconds off.
    #[derive(Debug)]
    pub(super) struct OffsetClock {
        milliseconds: Arc<AtomicI64>,
    }

    impl OffsetClock {
        /// A clock as far off as `file` says, from now on. What cannot be read changes nothing.
        pub(super) fn follow(file: PathBuf) -> Self {
            let milliseconds = Arc::new(AtomicI64::new(0));
            let clock = Self { milliseconds: milliseconds.clone() };
            let look = move || {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                if let Ok(chosen) = text.trim().parse() {
                    milliseconds.store(chosen, Ordering::Relaxed);
                }
            };
            look();
            std::thread::spawn(move || {
                loop {
                    std::thread::sleep(LOOK);
                    look();
                }
            });
            clock
        }
    }

    impl Clock for OffsetClock {
        fn now(&self) -> DateTime<Utc> {
            SystemClock.now() + TimeDelta::milliseconds(self.milliseconds.load(Ordering::Relaxed))
        }
    }
}
