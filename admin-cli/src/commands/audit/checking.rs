//! `dripline audit`.

use std::path::PathBuf;
use std::time::Instant;

use dripline_store::Pool;
use dripline_store::audit::breaks::{self, AuditBreak};
use dripline_store::audit::carrier_log::CarrierLogAudit;
use dripline_store::audit::{self, INVARIANTS, InvariantResult};
use dripline_store::ops::{RecordedBreaks, record_breaks};
use serde::Serialize;

use super::{carrier_log, list};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::{Column, Page};
use crate::output::words::count;
use crate::output::{Output, Report};
use crate::progress;

/// Breaks of one invariant that are shown; JSON holds more of them.
const SHOWN: usize = 20;
/// Unsettled breaks that are shown.
const REMEMBERED: i64 = 50;

const HINT: &str = "`dripline audit settle BREAK --amount AMOUNT --reason TEXT` settles a break, once it is understood";

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Also compare with the carriers' own logs: JSON lines with `reference` and `accepted`, as
    /// docs/audit.md describes them. Repeated, one for each carrier: a message counts wherever it was taken.
    #[arg(long = "carrier-log", value_name = "FILE")]
    carrier_logs: Vec<PathBuf>,
}

#[derive(Serialize)]
struct AuditReport {
    /// Whether nothing is broken now and no break is left to be settled.
    holds: bool,
    violations: u64,
    /// Of those, the ones that were settled as they are.
    excused: u64,
    invariants: Vec<InvariantResult>,
    /// References in the carrier's log that are not of this installation.
    foreign_references: Option<u64>,
    unsettled: u64,
    /// The last of them.
    breaks: Vec<AuditBreak>,
    deliveries: u64,
    seconds: f64,
    deliveries_per_second: u64,
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
            let rows = result.rows.len().min(SHOWN);
            page.line(format_args!(
                "{} ({}), {rows} of {} shown:",
                result.invariant.sentence, result.invariant.name, result.violations
            ));
            let shown = result.rows.iter().take(SHOWN);
            page.pairs(shown.map(|row| (row.subject.as_str(), row.problem.clone())));
        }
        if let Some(foreign) = self.foreign_references {
            page.line(format_args!("{foreign} references of other installations in the log"));
        }
        if !self.breaks.is_empty() {
            page.gap();
            page.line(format_args!(
                "not settled yet, {} of {} shown:",
                self.breaks.len(),
                self.unsettled
            ));
            list::lay_out(page, &self.breaks);
        }
        if self.excused > 0 {
            page.gap();
            let excused = count(self.excused, "break");
            page.line(format_args!(
                "{excused} found as settled before: `dripline audit list --all`"
            ));
        }
    }
}

pub(super) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let pool = ctx.pool().await?;
    let begun = Instant::now();
    let bar = progress::bar("auditing", INVARIANTS.len() as u64 - 1);
    let mut invariants = audit::run_watched(pool, &ctx.clock, |_| bar.inc(1)).await?;
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    let mut foreign_references = None;
    if !args.carrier_logs.is_empty() {
        let (result, foreign) = compare(pool, &args.carrier_logs).await?;
        invariants.push(result);
        foreign_references = Some(foreign);
    }
    let recorded = record_breaks(pool, &ctx.clock, &invariants).await?;
    let violations = invariants.iter().map(|result| result.violations).sum();
    let deliveries = invariants[3].checked;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people, of counts far below 2^52"
    )]
    let deliveries_per_second = (deliveries as f64 / seconds.max(0.001)) as u64;
    out.note(&format!(
        "audited {deliveries} deliveries in {seconds:.1} s: {deliveries_per_second} deliveries/s"
    ));
    let report = AuditReport {
        holds: recorded.unsettled == 0 && violations == recorded.excused,
        violations,
        excused: recorded.excused,
        invariants,
        foreign_references,
        unsettled: recorded.unsettled,
        breaks: breaks::list(pool, false, None, REMEMBERED).await?,
        deliveries,
        seconds,
        deliveries_per_second,
    };
    out.data(&report)?;
    judge(&report, recorded)
}

async fn compare(pool: &Pool, paths: &[PathBuf]) -> anyhow::Result<(InvariantResult, u64)> {
    // The rows first: what is settled in them is then in the log.
    let mut comparison = CarrierLogAudit::begin(pool).await?;
    for path in paths {
        carrier_log::read(path, &mut comparison)?;
    }
    let foreign = comparison.foreign();
    Ok((comparison.finish().await?, foreign))
}

fn judge(report: &AuditReport, recorded: RecordedBreaks) -> anyhow::Result<Exit> {
    if report.holds {
        return Ok(Exit::Done);
    }
    let broken = report.invariants.iter().filter(|result| !result.holds()).count();
    let now = report.violations.saturating_sub(recorded.excused);
    let failure = if now > 0 {
        let broken = count(broken as u64, "invariant");
        let excused = if recorded.excused > 0 { " that is not settled" } else { "" };
        refuse(format!("the books are wrong: {broken} broken by {}{excused}", count(now, "row")))
    } else {
        let breaks = count(recorded.unsettled, "break");
        refuse(format!("the books are right now, and {breaks} found before must still be settled"))
    };
    Err(failure.hint(HINT).into())
}
