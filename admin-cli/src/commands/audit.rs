//! `dripline audit`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dripline_store::Pool;
use dripline_store::audit::carrier_log::CarrierLogAudit;
use dripline_store::audit::{self, INVARIANTS, InvariantResult};
use serde::{Deserialize, Serialize};

use crate::contact_csv;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::{Column, Page};
use crate::output::words::count;
use crate::output::{Output, Report};
use crate::progress;

/// Prove from the rows that every message and every cent is where it should be.
///
/// Runs the invariants of ARCHITECTURE.md over all accounts; can run while everything works. Exits
/// with 1 when one does not hold, and shows the rows that break it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also compare with a carrier's own log: JSON lines with `reference` and `accepted`, as the
    /// carrier simulator writes them.
    #[arg(long, value_name = "FILE")]
    carrier_log: Option<PathBuf>,
}

#[derive(Serialize)]
struct AuditReport {
    holds: bool,
    violations: u64,
    invariants: Vec<InvariantResult>,
    /// References in the carrier's log that are not of this installation.
    foreign_references: Option<u64>,
}

impl Report for AuditReport {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Number("#"),
            Column::Text("HOLDS"),
            Column::Number("CHECKED"),
            Column::Number("BROKEN BY"),
            Column::Text("INVARIANT"),
        ];
        let rows = self.invariants.iter().map(|result| {
            vec![
                result.invariant.number.to_string(),
                if result.holds() { "yes" } else { "NO" }.to_owned(),
                result.checked.to_string(),
                result.violations.to_string(),
                result.invariant.sentence.to_owned(),
            ]
        });
        page.table(&columns, rows, "");
        for result in self.invariants.iter().filter(|result| !result.holds()) {
            page.gap();
            let rows = result.rows.len() as u64;
            page.line(format_args!(
                "{} ({}), {rows} of {} shown:",
                result.invariant.sentence, result.invariant.name, result.violations
            ));
            page.pairs(result.rows.iter().map(|row| (row.subject.as_str(), row.problem.clone())));
        }
        if let Some(foreign) = self.foreign_references {
            page.line(format_args!("{foreign} references of other installations in the log"));
        }
    }
}

/// One line of a carrier's log. What else stands in it does not matter here.
#[derive(Deserialize)]
struct LogLine {
    reference: Option<String>,
    accepted: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let pool = ctx.pool().await?;
    let bar = progress::bar("auditing", INVARIANTS.len() as u64);
    let mut invariants = Vec::new();
    for invariant in &INVARIANTS[..9] {
        invariants.push(audit::check(pool, &ctx.clock, *invariant).await?);
        bar.inc(1);
    }
    let mut foreign_references = None;
    if let Some(path) = &args.carrier_log {
        let (result, foreign) = compare(pool, path).await?;
        invariants.push(result);
        foreign_references = Some(foreign);
    }
    bar.finish_and_clear();
    let violations = invariants.iter().map(|result| result.violations).sum();
    let broken = invariants.iter().filter(|result| !result.holds()).count();
    out.data(&AuditReport { holds: broken == 0, violations, invariants, foreign_references })?;
    if broken == 0 {
        return Ok(Exit::Done);
    }
    let broken = count(broken as u64, "invariant");
    Err(refuse(format!("the books are wrong: {broken} broken by {}", count(violations, "row")))
        .into())
}

async fn compare(pool: &Pool, path: &Path) -> anyhow::Result<(InvariantResult, u64)> {
    // The rows first: what is settled in them is then in the log.
    let mut comparison = CarrierLogAudit::begin(pool).await?;
    let lines = BufReader::new(contact_csv::open(path)?).lines();
    for (number, line) in (1..).zip(lines) {
        let line = line.with_context(|| format!("read line {number} of `{}`", path.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let line: LogLine = serde_json::from_str(&line).map_err(|error| {
            refuse(format!("line {number} of `{}` is not a log line: {error}", path.display()))
        })?;
        if let (Some(reference), true) = (&line.reference, line.accepted) {
            comparison.accepted(reference);
        }
    }
    let foreign = comparison.foreign();
    Ok((comparison.finish().await?, foreign))
}
