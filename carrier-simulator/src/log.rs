//! What the simulator decided: one JSON object a line, handed to the operating system before the
//! answer leaves. A reader that knows an answer therefore finds its line.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it was decided, by the simulator's own clock.
    pub at: DateTime<Utc>,
    /// The sender's own reference, from the header `X-Dripline-Reference`.
    pub reference: Option<String>,
    /// The account in the URL.
    pub account: String,
    /// The recipient as it was given; empty when there was none.
    pub to: String,
    /// The sender or the messaging service as it was given; empty when there was none.
    pub from: String,
    /// Billed segments of the text, by the simulator's own count. Zero when the request was refused
    /// before its text was read.
    pub segments: u32,
    /// `accept`, `refuse`, or the name of the fault; `replay` of what was taken under the same key before,
    /// `look-up` of a question, `token` and `token-refused` of a request for one, `report` of
    /// what the simulator told, with the status of the answer as its code.
    pub decision: String,
    /// The carrier's error code, when one was given.
    pub code: Option<u32>,
    /// The message's id, when one was made.
    pub sid: Option<String>,
    /// Whether the carrier took the message, whatever it answered.
    pub accepted: bool,
}

/// The parts of a reference: `<installation>-<delivery>-<attempt>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference<'a> {
    /// The installation's id, without dashes.
    pub installation: &'a str,
    /// The delivery.
    pub delivery_id: i64,
    /// Its attempt, counted from 1.
    pub attempt: u32,
}

impl LogEntry {
    /// The parts of the reference, when it has that form.
    pub fn reference_parts(&self) -> Option<Reference<'_>> {
        let (rest, attempt) = self.reference.as_deref()?.rsplit_once('-')?;
        let (installation, delivery) = rest.rsplit_once('-')?;
        Some(Reference {
            installation,
            delivery_id: delivery.parse().ok()?,
            attempt: attempt.parse().ok()?,
        })
    }
}

/// Appends entries. Whole lines only: each is one `write` to a file opened for appending.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
}

impl LogWriter {
    /// Opens a log, or starts one.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().create(true).append(true).open(path)? })
    }

    /// Hands an entry to the operating system. It outlives this process from then on, though not a
    /// loss of power: for that the log would have to be synced, which no comparison needs.
    pub fn append(&self, entry: &LogEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        (&self.file).write_all(&line)
    }
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadLogError {
    /// The file cannot be read.
    #[error("read the log `{}`", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A whole line is not an entry.
    #[error("line {line} of the log `{}` is not an entry", path.display())]
    Line {
        /// The log.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// Reads a log. An unfinished last line, which only a simulator killed while writing leaves behind, is
/// no entry: its answer was never sent.
pub fn read_log(path: &Path) -> Result<Vec<LogEntry>, ReadLogError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ReadLogError::Io { path: path.to_owned(), source })?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let entry = |(index, line)| {
        serde_json::from_str(line).map_err(|source| ReadLogError::Line {
            path: path.to_owned(),
            line: index + 1,
            source,
        })
    };
    whole.lines().enumerate().map(entry).collect()
}

/// The entries of each reference, in the order they were written. Those without one are left out.
pub fn by_reference(entries: &[LogEntry]) -> BTreeMap<&str, Vec<&LogEntry>> {
    let mut found: BTreeMap<&str, Vec<&LogEntry>> = BTreeMap::new();
    for entry in entries {
        if let Some(reference) = entry.reference.as_deref() {
            found.entry(reference).or_default().push(entry);
        }
    }
    found
}

/// The entries of each delivery of one installation, over all its attempts, in the order they were
/// written.
pub fn by_delivery<'a>(
    entries: &'a [LogEntry],
    installation: &str,
) -> BTreeMap<i64, Vec<&'a LogEntry>> {
    let mut found: BTreeMap<i64, Vec<&LogEntry>> = BTreeMap::new();
    for entry in entries {
        if let Some(parts) = entry.reference_parts()
            && parts.installation == installation
        {
            found.entry(parts.delivery_id).or_default().push(entry);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(reference: &str) -> LogEntry {
        LogEntry {
            at: DateTime::from_timestamp(1_795_348_800, 0).expect("in range"),
            reference: Some(reference.to_owned()),
            account: "AC1".to_owned(),
            to: "+12025550123".to_owned(),
            from: "+12025550100".to_owned(),
            segments: 1,
            decision: "accept".to_owned(),
            code: None,
            sid: Some("SM1".to_owned()),
            accepted: true,
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = LogWriter::open(&path).expect("a log");
        let entries = [entry("in5-7-1"), entry("in5-7-2"), entry("other-7-1"), entry("odd")];
        for entry in &entries {
            log.append(entry).expect("appended");
        }
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(br#"{"at":"20"#))
            .expect("torn");

        let read = read_log(&path).expect("readable");
        assert_eq!(read, entries);
        assert_eq!(by_reference(&read)["in5-7-2"], [&entries[1]]);
        assert_eq!(by_delivery(&read, "in5")[&7], [&entries[0], &entries[1]]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "{}\n").expect("written");
        let error = read_log(&path).expect_err("not an entry").to_string();
        assert!(error.starts_with("line 1 of the log"), "{error}");
    }
}
