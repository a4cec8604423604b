//! `dripline ledger`.

use chrono::{DateTime, Utc};
use dripline_domain::ids::LedgerEntryId;
use dripline_domain::ledger::EntryKind;
use dripline_store::ledger::{self, LedgerEntry, LedgerFilter, LedgerTotals};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::money;
use crate::output::page::{Column, Page};
use crate::output::words::time;
use crate::output::{Output, Report};

/// List the account's ledger entries, newest first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of this kind: topup, hold, capture, release or adjust.
    #[arg(long, value_name = "KIND")]
    kind: Option<EntryKind>,
    /// Only about this workflow.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only from this instant on, for example 2026-11-22T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Continue the list after the entry with this id.
    #[arg(long, value_name = "ID")]
    after: Option<LedgerEntryId>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
}

#[derive(Serialize)]
struct Ledger {
    account: String,
    currency: String,
    entries: Vec<LedgerEntry>,
    /// The sums of all entries, not only of those that are listed.
    totals: LedgerTotals,
}

impl Report for Ledger {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Number("ID"),
            Column::Text("WHEN"),
            Column::Text("KIND"),
            Column::Number("AMOUNT"),
            Column::Number("SEGMENTS"),
            Column::Number("ITEMS"),
            Column::Text("WORKFLOW"),
            Column::Text("BY"),
            Column::Text("REASON"),
        ];
        let rows = self.entries.iter().map(|entry| {
            vec![
                entry.ledger_entry_id.to_string(),
                time(entry.created_at),
                entry.kind.to_string(),
                entry.amount_micros.to_string(),
                entry.segments.to_string(),
                entry.items.to_string(),
                entry.workflow.clone().unwrap_or_default(),
                entry.actor.clone(),
                entry.reason.clone().unwrap_or_default(),
            ]
        });
        page.table(&columns, rows, "no entries");
        page.gap();
        let show = |amount| money::show(amount, &self.currency);
        page.pairs([
            ("topup", show(self.totals.topup_micros)),
            ("adjust", show(self.totals.adjust_micros)),
            ("hold", show(self.totals.hold_micros)),
            ("capture", show(self.totals.capture_micros)),
            ("release", show(self.totals.release_micros)),
        ]);
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow_id = match &args.workflow {
        Some(name) => Some(ctx.workflow(&account, name).await?.workflow_id),
        None => None,
    };
    let filter = LedgerFilter {
        kind: args.kind,
        workflow_id,
        since: args.since,
        after: args.after,
        limit: args.limit,
    };
    let pool = ctx.pool().await?;
    let entries = ledger::list(pool, account.account_id, &filter).await?;
    let totals = ledger::totals(pool, account.account_id).await?;
    out.data(&Ledger { account: account.name, currency: account.currency, entries, totals })?;
    Ok(Exit::Done)
}
