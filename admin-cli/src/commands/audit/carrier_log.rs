//! Reading a carrier's log, line by line: it may be longer than the memory. Its form is in
//! `docs/audit.md`.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context as _;
use dripline_store::audit::carrier_log::CarrierLogAudit;
use serde::Deserialize;

use crate::contact_csv;
use crate::failure::refuse;
use crate::output::words::count;
use crate::progress;

/// Wrong lines that are named one by one.
const NAMED: usize = 20;

/// One line of a carrier's log. What else stands in it does not matter here.
#[derive(Deserialize)]
struct LogLine {
    reference: Option<String>,
    accepted: bool,
}

/// Tells the comparison every message that the log says was accepted. Every line that cannot be read is
/// named by its number, and then nothing is compared. A last line without its end is still being written
/// and left out.
pub(super) fn read(path: &Path, comparison: &mut CarrierLogAudit) -> anyhow::Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, contact_csv::open(path)?);
    let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let bar = progress::bytes("reading the carrier's log", length);
    let mut line = Vec::new();
    let mut wrong = Vec::new();
    let mut wrong_lines: u64 = 0;
    for number in 1_u64.. {
        line.clear();
        let read = file
            .read_until(b'\n', &mut line)
            .with_context(|| format!("read line {number} of `{}`", path.display()))?;
        if read == 0 {
            break;
        }
        bar.inc(read as u64);
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<LogLine>(&line) {
            Ok(LogLine { reference: Some(reference), accepted: true }) => {
                comparison.accepted(&reference);
            }
            Ok(_) => {}
            Err(_) if line.last() != Some(&b'\n') => break,
            Err(error) => {
                wrong_lines += 1;
                if wrong.len() < NAMED {
                    wrong.push(format!("  line {number}: {error}"));
                }
            }
        }
    }
    bar.finish_and_clear();
    if wrong_lines == 0 {
        return Ok(());
    }
    let more = wrong_lines - wrong.len() as u64;
    if more > 0 {
        wrong.push(format!("  and {more} more"));
    }
    let lines = count(wrong_lines, "line");
    Err(refuse(format!("`{}` is not a carrier's log: {lines} cannot be read", path.display()))
        .detail(wrong.join("\n"))
        .hint("docs/audit.md says what a line holds")
        .into())
}
