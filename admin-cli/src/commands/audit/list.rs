//! `dripline audit list`.

use dripline_domain::ids::AuditBreakId;
use dripline_store::audit::breaks::{self, AuditBreak};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::words::time;
use crate::output::{Output, Report};

/// List what audits have found to be wrong and nobody has settled, latest first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also those that were settled.
    #[arg(long)]
    all: bool,
    /// Continue the list after the break with this id.
    #[arg(long, value_name = "ID")]
    after: Option<AuditBreakId>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

#[derive(Serialize)]
struct Breaks {
    breaks: Vec<AuditBreak>,
}

impl Report for Breaks {
    fn lay_out(&self, page: &mut Page) {
        lay_out(page, &self.breaks);
    }
}

/// Lays breaks out as a table, for this command and for the audit itself.
pub(super) fn lay_out(page: &mut Page, breaks: &[AuditBreak]) {
    let columns = [
        Column::Number("BREAK"),
        Column::Number("#"),
        Column::Text("ROW"),
        Column::Text("FIRST FOUND"),
        Column::Text("LAST FOUND"),
        Column::Text("STANDS"),
        Column::Text("PROBLEM"),
    ];
    let rows = breaks.iter().map(|found| {
        vec![
            found.audit_break_id.to_string(),
            found.invariant.to_string(),
            found.subject.clone(),
            time(found.first_seen_at),
            time(found.last_seen_at),
            stands(found),
            found.problem.clone(),
        ]
    });
    page.table(&columns, rows, "no breaks");
}

/// Where it stands with the break.
fn stands(found: &AuditBreak) -> String {
    match (&found.settled_by, found.ledger_entry_id, found.gone_at) {
        (Some(by), Some(entry), _) => format!("settled by {by}, ledger entry {entry}"),
        (Some(by), None, _) => format!("settled by {by}, no money owed"),
        (None, _, Some(_)) => "not found any more".to_owned(),
        (None, _, None) => "open".to_owned(),
    }
}

pub(super) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let breaks = breaks::list(ctx.pool().await?, args.all, args.after, args.limit).await?;
    out.data(&Breaks { breaks })?;
    Ok(Exit::Done)
}
