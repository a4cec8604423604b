//! How long a call has run, in time of its own.
//!
//! Epochs count wall time. On a busy machine a guest may not have run at all for that long, and
//! killing it would fail a message for nothing. So when the wall deadline has passed, the thread's
//! own processor time decides, measured over a grace period of half the deadline again.

use std::time::Duration;

use wasmtime::UpdateDeadline;

use crate::engine::ticks;

/// A guest that is granted no processor time at all is stopped after this many grace periods.
const MOST_EXTENSIONS: u32 = 40;

/// The error with which a call is stopped.
#[derive(Debug, thiserror::Error)]
#[error("the call ran out of time")]
pub(crate) struct OutOfTime;

/// The deadline of the call under way.
#[derive(Debug)]
pub(crate) struct Deadline {
    limit: Duration,
    /// The thread's processor time when the grace period began.
    mark: Option<Duration>,
    extensions: u32,
}

impl Deadline {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, mark: None, extensions: 0 }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Begins anew for the next call. Returns the ticks until [`Deadline::passed`] is to be asked.
    pub(crate) fn restart(&mut self) -> u64 {
        self.mark = None;
        self.extensions = 0;
        ticks(self.limit)
    }

    /// What to do now that the ticks have passed.
    pub(crate) fn passed(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let grace = self.limit / 2;
        let Some(now) = thread_time() else { return Err(OutOfTime.into()) };
        let used = self.mark.map(|mark| now.saturating_sub(mark));
        if used.is_some_and(|used| used >= grace / 2) || self.extensions >= MOST_EXTENSIONS {
            return Err(OutOfTime.into());
        }
        self.extensions += 1;
        self.mark.get_or_insert(now);
        Ok(UpdateDeadline::Continue(ticks(grace)))
    }
}

/// The processor time that this thread has used. `None` where the system does not tell, which
/// leaves wall time.
fn thread_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
