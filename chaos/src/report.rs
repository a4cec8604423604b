//! What a run has come to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// How messages stood still when Postgres was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    /// Whether nothing else went wrong meanwhile.
    pub(crate) in_the_calm: bool,
    /// From the kill until the server took connections again.
    pub(crate) up: Duration,
    /// From the kill until the carrier took a message. `None`: none came.
    pub(crate) sending: Option<Duration>,
}

/// How soon after the kill of Postgres messages leave again, its own recovery included.
const RECOVERY_GOAL: Duration = Duration::from_secs(10);

impl Recovery {
    /// What is wrong with it, if anything. What else goes wrong at the same time excuses it.
    pub(crate) fn violation(&self) -> Option<String> {
        let late = self.sending.is_none_or(|time| time > RECOVERY_GOAL);
        let broken = self.in_the_calm && late;
        let Self { up, sending, .. } = self;
        broken.then(|| {
            format!("Postgres was back {up:?} after its kill, and the next message left after {sending:?}")
        })
    }
}

/// A run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    pub(crate) rounds: u64,
    /// Faults by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Faults that found nothing to break.
    pub(crate) in_vain: u64,
    /// Deeds by kind: done, refused, failed.
    pub(crate) deeds: BTreeMap<String, [u64; 3]>,
    /// Messages that the carrier took.
    pub(crate) messages: u64,
    /// Those of which nobody knows.
    pub(crate) unknown: u64,
    /// COMMITs lost, or their replies.
    pub(crate) commits_lost: u64,
    /// Times a worker was started.
    pub(crate) worker_starts: u64,
    /// From the kill of Postgres to the next message, in milliseconds, where nothing else was wrong.
    pub(crate) recovery_ms: Times,
    /// The part of it after the server was back.
    pub(crate) recovery_after_return_ms: Times,
    /// The same where other things were.
    pub(crate) disturbed_recovery_ms: Times,
    pub(crate) violations: Vec<String>,
}

/// A few figures of many.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Times {
    pub(crate) n: usize,
    pub(crate) p50: u64,
    pub(crate) max: u64,
    #[serde(skip)]
    all: Vec<u64>,
}

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.all.push(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.all.sort_unstable();
        self.n = self.all.len();
        self.p50 = self.all[self.n / 2];
        self.max = self.all[self.n - 1];
    }
}

impl Report {
    /// How many faults there were.
    pub(crate) fn fault_count(&self) -> u64 {
        self.faults.values().sum()
    }

    /// What is missing of a run that was to have so many faults at least.
    pub(crate) fn expect_faults(&mut self, least: u64) {
        let found = self.fault_count();
        if found < least {
            self.violations.push(format!("only {found} faults happened; {least} are asked for"));
        }
    }

    /// Notes how messages stood still.
    pub(crate) fn recovered(&mut self, recovery: Recovery) {
        self.violations.extend(recovery.violation());
        let sending = recovery.sending.unwrap_or(Duration::MAX);
        if recovery.in_the_calm {
            self.recovery_ms.add(sending);
            self.recovery_after_return_ms.add(sending.saturating_sub(recovery.up));
        } else {
            self.disturbed_recovery_ms.add(sending);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, minutes, rounds, messages, unknown, .. } = self;
        writeln!(f, "seed {seed}: {minutes:.1} minutes, {rounds} rounds")?;
        writeln!(
            f,
            "{messages} messages taken by the carrier, {unknown} of which nobody knows, {} COMMITs or \
             replies lost, {} workers started",
            self.commits_lost, self.worker_starts
        )?;
        writeln!(
            f,
            "{} faults, and {} that found nothing to break:",
            self.fault_count(),
            self.in_vain
        )?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {count:>5} {kind}")?;
        }
        writeln!(f, "deeds (done, refused, failed):")?;
        for (kind, [done, refused, failed]) in &self.deeds {
            writeln!(f, "  {done:>5} {refused:>5} {failed:>5} {kind}")?;
        }
        for (times, when) in [
            (
                &self.recovery_ms,
                "kill of Postgres to the next message, while nothing else was wrong",
            ),
            (&self.recovery_after_return_ms, "server's return to that message"),
            (
                &self.disturbed_recovery_ms,
                "kill to the next message, while other things were wrong",
            ),
        ] {
            writeln!(
                f,
                "from the {when}: p50 {} ms, max {} ms, n = {}",
                times.p50, times.max, times.n
            )?;
        }
        match self.violations.as_slice() {
            [] => write!(f, "no violations"),
            violations => {
                writeln!(f, "{} VIOLATIONS:", violations.len())?;
                violations.iter().try_for_each(|violation| writeln!(f, "  {violation}"))
            }
        }
    }
}
