//! What plugins log, on its way to the database.
//!
//! The threads that run plugins leave it here and go on; a task writes it down from time to time. Only so many
//! lines of each plugin wait, and what comes on top is counted instead, as is what cannot be written: neither a
//! plugin that never stops talking nor a database that is away costs memory, and no delivery waits for a line.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_plugin_host::{LogKeeper, LogLine, Said};
use dripline_store::plugin_log::{self, Content, NewEntry};
use tokio::sync::oneshot;

use crate::environment::Environment;

/// How many entries of one plugin wait at the most. Each has a bound of its own, so that a plugin that talks too
/// much drops its own lines and nobody else's.
const MOST_WAITING: usize = 50;

/// Between two writes. With [`MOST_WAITING`] it bounds what a plugin makes this worker write, whatever it says:
/// 25 lines a second.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Between two tries while the database does not take anything, at the most.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last write of a worker that stops may take.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// What plugins have logged and nobody has written down yet.
#[derive(Debug)]
pub struct PluginLog {
    clock: Arc<dyn Clock>,
    /// By plugin.
    waiting: Mutex<BTreeMap<String, Waiting>>,
}

/// What waits of one plugin, the oldest first.
#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<NewEntry>,
    /// What was dropped before all of these.
    lost: Option<Lost>,
}

/// Lines that will never be read.
#[derive(Debug)]
struct Lost {
    count: u64,
    /// The version that wrote the last of them.
    digest: String,
    /// When that was.
    at: DateTime<Utc>,
}

impl PluginLog {
    /// An empty one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, waiting: Mutex::default() }
    }

    /// Takes out what waits, each plugin's entries in their order.
    fn take(&self) -> Vec<NewEntry> {
        let waiting = std::mem::take(&mut *self.lock());
        let mut taken = Vec::new();
        for (plugin, Waiting { entries, lost }) in waiting {
            taken.extend(lost.map(|Lost { count, digest, at }| {
                let content = Content::Dropped(count);
                NewEntry { plugin, digest, route_id: None, at, content }
            }));
            taken.extend(entries);
        }
        taken
    }

    /// Counts what was taken out and could not be written.
    fn lose(&self, taken: Vec<NewEntry>) {
        let mut waiting = self.lock();
        for entry in taken {
            waiting.entry(entry.plugin.clone()).or_default().lose(entry);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogKeeper for PluginLog {
    fn keep(&self, said: Said<'_>) {
        let Said { plugin, digest, route, lines, dropped } = said;
        let at = self.clock.now();
        let lines =
            lines.into_iter().map(|LogLine { level, message }| Content::Line { level, message });
        let dropped = (dropped > 0).then_some(Content::Dropped(dropped));
        let mut waiting = self.lock();
        let ours = waiting.entry(plugin.to_owned()).or_default();
        for content in lines.chain(dropped) {
            let (plugin, digest) = (plugin.to_owned(), digest.to_owned());
            ours.push(NewEntry { plugin, digest, route_id: route, at, content });
        }
    }
}

impl Waiting {
    /// Adds an entry in the place of the oldest one if there are too many: people want to know what was said last.
    fn push(&mut self, entry: NewEntry) {
        self.entries.push_back(entry);
        if self.entries.len() > MOST_WAITING
            && let Some(oldest) = self.entries.pop_front()
        {
            self.lose(oldest);
        }
    }

    fn lose(&mut self, entry: NewEntry) {
        let NewEntry { digest, at, content, .. } = entry;
        let more = match content {
            Content::Line { .. } => 1,
            Content::Dropped(count) => count,
        };
        let count = self.lost.as_ref().map_or(0, |lost| lost.count).saturating_add(more);
        self.lost = Some(Lost { count, digest, at });
    }
}

/// Writes down what plugins log until the other end of `end` is dropped, and what was logged until then.
pub async fn write_down(environment: Arc<Environment>, mut end: oneshot::Receiver<Infallible>) {
    let mut wait = WRITE_EVERY;
    loop {
        tokio::select! {
            _ = &mut end => break,
            () = tokio::time::sleep(wait) => {}
        }
        let Err(Unwritten) = write_once(&environment, WRITE_TIMEOUT).await else {
            wait = WRITE_EVERY;
            continue;
        };
        if wait == WRITE_EVERY {
            tracing::warn!(
                "the database takes nothing of what plugins log; it is counted until then"
            );
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    // What is lost here is lost with the process; whoever collects its output has it.
    let _ = write_once(&environment, LAST_WRITE_TIMEOUT).await;
}

/// The database took nothing, or nobody knows whether it did.
struct Unwritten;

/// Tries once. Whether a write that nobody answered has happened cannot be known, and a line that is missing
/// misleads nobody as one that stands there twice does.
async fn write_once(environment: &Environment, timeout: Duration) -> Result<(), Unwritten> {
    let Environment { pool, worker_id, plugin_log, stop, .. } = environment;
    let taken = plugin_log.take();
    if taken.is_empty() {
        return Ok(());
    }
    let write = plugin_log::write(pool, *worker_id, &taken);
    let written = tokio::select! {
        () = stop.abandoning() => return Err(Unwritten),
        written = tokio::time::timeout(timeout, write) => written,
    };
    match written {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => {
            let error = anyhow::Error::from(error);
            tracing::debug!(entries = taken.len(), "failed to write what plugins log: {error:#}");
        }
        Err(_) => tracing::debug!(entries = taken.len(), "no answer to what plugins log"),
    }
    plugin_log.lose(taken);
    Err(Unwritten)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dripline_domain::clock::SystemClock;
    use dripline_domain::ids::RouteId;
    use dripline_domain::plugin_log::LogLevel;
    use dripline_plugin_host::{LogKeeper, LogLine, Said};
    use dripline_store::plugin_log::{Content, NewEntry};

    use super::{MOST_WAITING, PluginLog};

    fn log() -> PluginLog {
        PluginLog::new(Arc::new(SystemClock))
    }

    fn say(log: &PluginLog, plugin: &str, lines: &[&str], dropped: u64) {
        let lines =
            lines.iter().map(|line| LogLine { level: LogLevel::Info, message: (*line).to_owned() });
        let route = Some(RouteId(7));
        log.keep(Said { plugin, digest: "d", route, lines: lines.collect(), dropped });
    }

    /// `plugin: line`, or `plugin: -count`.
    fn shown(entries: &[NewEntry]) -> Vec<String> {
        let shown = entries.iter().map(|entry| match &entry.content {
            Content::Line { message, .. } => format!("{}: {message}", entry.plugin),
            Content::Dropped(count) => format!("{}: -{count}", entry.plugin),
        });
        shown.collect()
    }

    #[test]
    fn what_is_said_is_taken_out_once_and_in_its_order() {
        let log = log();
        say(&log, "b", &["one", "two"], 3);
        say(&log, "a", &["hello"], 0);
        say(&log, "b", &["three"], 0);
        let taken = log.take();
        assert_eq!(shown(&taken), ["a: hello", "b: one", "b: two", "b: -3", "b: three"]);
        assert!(taken.iter().all(|entry| entry.route_id == Some(RouteId(7))), "{taken:?}");
        assert_eq!(log.take(), []);
    }

    #[test]
    fn who_says_too_much_loses_his_own_oldest_lines() {
        let log = log();
        say(&log, "quiet", &["hello"], 0);
        for number in 0..1_000 {
            say(&log, "loud", &[&number.to_string()], 9);
        }
        let shown = shown(&log.take());
        assert_eq!(shown[MOST_WAITING + 1], "quiet: hello");
        assert_eq!(shown.len(), MOST_WAITING + 2);
        // A thousand lines and what the host dropped of each: what stands here and what is lost.
        assert_eq!(shown[0], format!("loud: -{}", (1_000 - MOST_WAITING / 2) * 10));
        assert_eq!(shown[1], format!("loud: {}", 1_000 - MOST_WAITING / 2));
        assert_eq!(shown[MOST_WAITING], "loud: -9");
    }

    #[test]
    fn what_cannot_be_written_is_counted_before_what_comes_then() {
        let log = log();
        say(&log, "a", &["one", "two"], 5);
        let taken = log.take();
        say(&log, "a", &["three"], 0);
        log.lose(taken);
        let taken = log.take();
        assert_eq!(shown(&taken), ["a: -7", "a: three"]);
        // A second failure counts what the first one counted.
        log.lose(taken);
        assert_eq!(shown(&log.take()), ["a: -8"]);
    }
}
