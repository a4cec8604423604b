//! One JSON object a line, for programs; the same figure as a sentence, for people.

use std::io::Write;

use anyhow::Context;
use serde::Serialize;

use crate::database::Work;

/// One figure: what was measured, how often, and what stood beside it.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// `enrol`, `deliver` or `pause`.
    pub(crate) bench: &'static str,
    /// Which form of the bench, for example `engine`, `wire`, `fence`, `purge`.
    pub(crate) form: &'static str,
    /// `messages/s`, `contacts/s`, `rows/s` or `ms`.
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

    /// Adds what the database did in the last run.
    pub(crate) fn with_work(self, work: Option<Work>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
        let n = self.n as f64;
        Self {
            wal_bytes_per_message: work.map(|work| round(work.wal_bytes / n)),
            commits_per_message: work.map(|work| round(work.commits / n)),
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

    /// Says on what machine and which server the figures were taken.
    pub(crate) fn machine(self, server: &str) -> anyhow::Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = Machine { cores, version: env!("CARGO_PKG_VERSION"), server };
        self.line(&machine, || {
            format!("{cores} cores, dripline {}, Postgres: {server}", machine.version)
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
}
