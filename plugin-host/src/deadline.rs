//! How long a call may run, in processor time of its own.
//!
//! Epochs count wall time. On a busy machine a guest may not have run at all for that long, and
//! killing it would fail a message for nothing. So when the wall deadline has passed, the thread's
//! own processor time decides whether the call goes on.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use wasmtime::UpdateDeadline;

use crate::engine::{TICK, ticks};

/// A guest that gets hardly any processor time is stopped after so many times its deadline.
const MOST_EXTENSIONS: u32 = 40;

/// The error with which a call is stopped.
#[derive(Debug, thiserror::Error)]
#[error("the call ran out of time")]
pub(crate) struct OutOfTime;

/// The deadline of the call under way.
#[derive(Debug)]
pub(crate) struct Deadline {
    limit: Duration,
    /// The thread's processor time when the call began. `None` where the system does not tell,
    /// which leaves wall time.
    began: Option<Duration>,
    extensions: u32,
}

impl Deadline {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, began: None, extensions: 0 }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Begins anew for the next call. Returns the ticks until [`Deadline::passed`] is to be asked.
    pub(crate) fn restart(&mut self) -> u64 {
        self.began = thread_time();
        self.extensions = 0;
        ticks(self.limit)
    }

    /// What to do now that the ticks have passed.
    pub(crate) fn passed(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let used = self.began.zip(thread_time()).map(|(began, now)| now.saturating_sub(began));
        match used.map(|used| self.limit.saturating_sub(used)) {
            // The system's figure may be behind by about a tick.
            Some(left) if left > TICK && self.extensions < MOST_EXTENSIONS => {
                self.extensions += 1;
                Ok(UpdateDeadline::Continue(ticks(left)))
            }
            _ => Err(OutOfTime.into()),
        }
    }
}

/// The processor time that this thread has used. One system call, since it is asked for every call
/// of a plugin.
fn thread_time() -> Option<Duration> {
    thread_local! {
        static STATISTICS: Option<File> = File::open("/proc/thread-self/schedstat").ok();
    }
    STATISTICS.with(|statistics| {
        let mut buffer = [0; 64];
        let length = statistics.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_has_used_its_time_ends() {
        let mut deadline = Deadline::new(Duration::ZERO);
        deadline.restart();
        assert!(deadline.passed().is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_call_that_was_kept_waiting_goes_on_but_not_for_ever() {
        let mut deadline = Deadline::new(Duration::from_hours(1));
        deadline.restart();
        for _ in 0..MOST_EXTENSIONS {
            let UpdateDeadline::Continue(ticks) = deadline.passed().unwrap() else { panic!() };
            assert!(ticks > 600_000);
        }
        assert!(deadline.passed().is_err());
    }
}
