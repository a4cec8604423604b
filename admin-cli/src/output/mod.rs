//! What a command says: data on stdout, as tables for people or as JSON for programs.

pub(crate) mod page;
pub(crate) mod sanitise;
pub(crate) mod words;

use std::io::{self, IsTerminal, Write};

use anyhow::Context as _;
use serde::Serialize;

use self::page::Page;

/// How data is written to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON document for programs. Amounts are integers in micros, times are RFC 3339 in UTC.
    Json,
}

/// Something a command can say in both formats.
pub(crate) trait Report: Serialize {
    /// Lays the report out for people.
    fn lay_out(&self, page: &mut Page);
}

/// Where reports go.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Writes a report to stdout. A reader that has gone away (`| head`) is no failure.
    pub(crate) fn data(&mut self, report: &impl Report) -> anyhow::Result<()> {
        let text = self.lay_out(report, serde_json::to_string_pretty)?;
        self.raw(text.as_bytes())
    }

    /// Writes one report of many that come one by one, which in JSON is one line. Gives whether there is still
    /// somebody who reads.
    pub(crate) fn next(&mut self, report: &impl Report) -> anyhow::Result<bool> {
        write(self.lay_out(report, serde_json::to_string)?.as_bytes())
    }

    fn lay_out<R: Report>(
        &self,
        report: &R,
        to_json: fn(&R) -> serde_json::Result<String>,
    ) -> anyhow::Result<String> {
        Ok(match self.format {
            Format::Table => {
                let mut page = Page::new(io::stdout().is_terminal());
                report.lay_out(&mut page);
                page.finish()
            }
            Format::Json => {
                let json = to_json(report).context("write JSON")?;
                sanitise::escape_json(&json) + "\n"
            }
        })
    }

    /// Writes bytes to stdout as they are: only for files that Dripline itself composes.
    #[expect(clippy::unused_self, reason = "shares the receiver with `data`, its counterpart")]
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        write(bytes).map(drop)
    }

    /// Shows a report on stderr, for a person who is about to be asked about it.
    #[expect(clippy::unused_self, reason = "shares the receiver with `data`, its counterpart")]
    pub(crate) fn aside(&mut self, report: &impl Report) {
        let mut page = Page::new(io::stderr().is_terminal());
        report.lay_out(&mut page);
        // A closed stderr leaves nobody to tell.
        let _ = io::stderr().lock().write_all(page.finish().as_bytes());
    }

    /// Says one line on stderr.
    #[expect(clippy::unused_self, reason = "shares the receiver with `data`, its counterpart")]
    pub(crate) fn note(&mut self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", sanitise::sanitise(line));
    }

    /// Whether stdout carries JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }
}

/// Writes to stdout. Gives whether the reader is still there.
fn write(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("write to stdout"),
    }
}
