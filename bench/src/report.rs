//! One JSON object a line, for programs; the same figure as a sentence, for people.

use std::io::Write;

use anyhow::Context;
use dripline_config::Worker;
use serde::Serialize;

use crate::usage::Usage;

/// One figure: what was measured, how often, and what stood beside it.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// `enrol`, `deliver`, `pause`, `audit`, `plugins` or `hostile`.
    pub(crate) bench: &'static str,
    /// Which form of the bench, for example `engine`, `wire`, `fence`, `purge`.
    pub(crate) form: &'static str,
    /// `messages/s`, `contacts/s`, `deliveries/s`, `rows/s`, `us` or `ms`.
    pub(crate) unit: &'static str,
    /// Messages, contacts or rows in one run.
    pub(crate) n: usize,
    /// Tickets waiting when a run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backlog: Option<usize>,
    /// How many runs the median is of.
    pub(crate) runs: usize,
    /// The median of the runs.
    pub(crate) median: f64,
    /// The lowest run.
    pub(crate) min: f64,
    /// The highest run.
    pub(crate) max: f64,
    /// The median as a fraction of the database's own limit, measured between the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_fraction: Option<f64>,
    /// Bytes of write-ahead log per message, contact or row, in the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wal_bytes_per_message: Option<f64>,
    /// Commits per message, contact or row, in the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commits_per_message: Option<f64>,
    /// Dead row versions per message, contact or row, that the last run left to vacuum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dead_tuples_per_message: Option<f64>,
    /// Processor time per message, contact or row, in microseconds, in the last run: of Postgres,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres_cpu_us: Option<f64>,
    /// of the worker, which is the bench program itself,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worker_cpu_us: Option<f64>,
    /// and of the carrier simulator, where it takes part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) carrier_cpu_us: Option<f64>,
    /// The most memory the worker had resident in the last run, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worker_peak_mib: Option<f64>,
}

impl Figure {
    /// A figure from the values of its runs, at least one. `n` is what one run did.
    pub(crate) fn of(
        bench: &'static str,
        form: &'static str,
        unit: &'static str,
        n: usize,
        values: &[f64],
    ) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            bench,
            form,
            unit,
            n,
            backlog: None,
            runs: sorted.len(),
            median: round(median(&sorted)),
            min: round(sorted[0]),
            max: round(sorted[sorted.len() - 1]),
            limit_fraction: None,
            wal_bytes_per_message: None,
            commits_per_message: None,
            dead_tuples_per_message: None,
            postgres_cpu_us: None,
            worker_cpu_us: None,
            carrier_cpu_us: None,
            worker_peak_mib: None,
        }
    }

    /// Adds how many tickets were waiting.
    pub(crate) fn with_backlog(self, backlog: usize) -> Self {
        Self { backlog: Some(backlog), ..self }
    }

    /// Compares with the rates of the database alone.
    pub(crate) fn with_limit(self, rates: &[f64]) -> Self {
        let mut sorted = rates.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self { limit_fraction: Some(round(self.median / median(&sorted))), ..self }
    }

    /// Adds what the last run cost.
    pub(crate) fn with_usage(self, usage: Option<Usage>) -> Self {
        let Some(usage) = usage else { return self };
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
        let n = self.n as f64;
        let micros = |seconds: f64| round(seconds * 1e6 / n);
        Self {
            wal_bytes_per_message: Some(round(usage.wal_bytes / n)),
            commits_per_message: Some(round(usage.commits / n)),
            dead_tuples_per_message: Some(round(usage.dead_tuples / n)),
            postgres_cpu_us: Some(micros(usage.postgres_seconds)),
            worker_cpu_us: Some(micros(usage.worker_seconds)),
            carrier_cpu_us: (usage.carrier_seconds > 0.0).then(|| micros(usage.carrier_seconds)),
            worker_peak_mib: Some(round(usage.worker_peak_mib)),
            ..self
        }
    }
}

/// How many things a second.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
pub(crate) fn per_second(things: usize, seconds: f64) -> f64 {
    things as f64 / seconds
}

/// Of sorted values, at least one.
fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Three decimals are more than any run repeats.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Where figures go: standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    json: bool,
}

impl Report {
    /// Prints JSON lines, or sentences.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Says on what machine and server, and with which settings, the figures were taken.
    pub(crate) fn machine(self, server: &str, worker: &Worker) -> anyhow::Result<()> {
        let machine = Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            version: env!("CARGO_PKG_VERSION"),
            server,
            worker_concurrency: worker.concurrency,
            worker_claim_size: worker.claim_size,
            worker_connections: worker.connections,
        };
        self.line(&machine, || {
            format!(
                "{} cores, dripline {}, worker: concurrency={} claim_size={} connections={}, \
                 Postgres: {server}",
                machine.cores,
                machine.version,
                machine.worker_concurrency,
                machine.worker_claim_size,
                machine.worker_connections,
            )
        })
    }

    /// Prints one figure.
    pub(crate) fn figure(self, figure: &Figure) -> anyhow::Result<()> {
        self.line(figure, || {
            let beside: String = [
                (figure.backlog.map(|waiting| waiting.to_string()), "waiting"),
                (figure.limit_fraction.map(|part| part.to_string()), "of the database's limit"),
                (figure.wal_bytes_per_message.map(|bytes| bytes.to_string()), "bytes of WAL each"),
                (figure.commits_per_message.map(|commits| commits.to_string()), "commits each"),
                (figure.dead_tuples_per_message.map(|dead| dead.to_string()), "dead tuples each"),
                (figure.postgres_cpu_us.map(|micros| micros.to_string()), "us of Postgres each"),
                (figure.worker_cpu_us.map(|micros| micros.to_string()), "us of the worker each"),
                (figure.carrier_cpu_us.map(|micros| micros.to_string()), "us of the carrier each"),
                (figure.worker_peak_mib.map(|mib| mib.to_string()), "MiB at the worker's peak"),
            ]
            .into_iter()
            .filter_map(|(value, name)| value.map(|value| format!("; {value} {name}")))
            .collect();
            format!(
                "{} {}: {} {} (median of {}, {} to {}; n = {}{beside})",
                figure.bench,
                figure.form,
                figure.median,
                figure.unit,
                figure.runs,
                figure.min,
                figure.max,
                figure.n
            )
        })
    }

    fn line(self, value: &impl Serialize, sentence: impl FnOnce() -> String) -> anyhow::Result<()> {
        let line = if self.json { serde_json::to_string(value)? } else { sentence() };
        writeln!(std::io::stdout(), "{line}").context("print")
    }
}

#[derive(Serialize)]
struct Machine<'a> {
    cores: usize,
    version: &'a str,
    server: &'a str,
    worker_concurrency: usize,
    worker_claim_size: usize,
    worker_connections: u32,
}
