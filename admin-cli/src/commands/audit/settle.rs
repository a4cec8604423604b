//! `dripline audit settle`.

use dripline_domain::ids::{AuditBreakId, LedgerEntryId};
use dripline_domain::money::Micros;
use dripline_store::audit::breaks::{self, AuditBreak};
use dripline_store::ops::{
    AdjustError, BreakSettlement, SettleBreakError, SettledBy, settle_break,
};
use serde::Serialize;
use uuid::Uuid;

use crate::confirm::{self, Confirmed};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::money;
use crate::output::page::Page;
use crate::output::words::time;
use crate::output::{Output, Report};

/// Settle something that an audit found to be wrong.
///
/// With an adjust entry that makes good what was owed, new or booked before, or with the word that
/// nothing is owed. Later audits excuse the break as long as it is the same.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("by").required(true))]
pub(super) struct Args {
    /// The break, as `audit list` numbers it.
    #[arg(value_name = "BREAK")]
    id: AuditBreakId,
    /// Book an adjust entry of this much, in the account's currency; with a minus sign it takes out.
    #[arg(long, value_name = "AMOUNT", group = "by", allow_negative_numbers = true)]
    amount: Option<Micros>,
    /// It was settled by this adjust entry, which `account adjust` has booked.
    #[arg(long, value_name = "ENTRY", group = "by")]
    entry: Option<LedgerEntryId>,
    /// No money is owed to anybody.
    #[arg(long, group = "by")]
    no_money: bool,
    /// Why that settles it, kept with the break and the ledger entry.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    confirm: confirm::Args,
}

#[derive(Serialize)]
struct Plan {
    dry_run: bool,
    #[serde(rename = "break")]
    found: AuditBreak,
    account: Option<String>,
    amount_micros: Option<Micros>,
    ledger_entry_id: Option<LedgerEntryId>,
    reason: String,
    #[serde(skip)]
    currency: String,
}

impl Report for Plan {
    fn lay_out(&self, page: &mut Page) {
        let by = match (self.amount_micros, self.ledger_entry_id) {
            (Some(amount), _) => {
                let account = self.account.as_deref().unwrap_or_default();
                format!("an adjustment of {} for `{account}`", money::show(amount, &self.currency))
            }
            (None, Some(entry)) => format!("ledger entry {entry}"),
            (None, None) => "no money is owed".to_owned(),
        };
        page.pairs([
            ("break", self.found.audit_break_id.to_string()),
            ("row", self.found.subject.clone()),
            ("problem", self.found.problem.clone()),
            ("first found", time(self.found.first_seen_at)),
            ("last found", time(self.found.last_seen_at)),
            ("settled by", by),
            ("reason", self.reason.clone()),
        ]);
    }
}

#[derive(Serialize)]
struct Settled {
    audit_break_id: AuditBreakId,
    ledger_entry_id: Option<LedgerEntryId>,
}

impl Report for Settled {
    fn lay_out(&self, page: &mut Page) {
        let entry = self.ledger_entry_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        page.pairs([("settled", self.audit_break_id.to_string()), ("ledger entry", entry)]);
    }
}

pub(super) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let pool = ctx.pool().await?;
    let found = breaks::find(pool, args.id).await?;
    let found = found.ok_or_else(|| explain(SettleBreakError::NotFound(args.id)))?;
    let mut plan = Plan {
        dry_run: args.confirm.is_dry_run(),
        found,
        account: None,
        amount_micros: args.amount,
        ledger_entry_id: args.entry,
        reason: args.reason.clone(),
        currency: String::new(),
    };
    let by = match (args.amount, args.entry) {
        (Some(amount), _) => {
            let account = ctx.account().await?;
            (plan.account, plan.currency) = (Some(account.name), account.currency);
            let batch_id = Uuid::new_v4();
            SettledBy::Adjustment { account_id: account.account_id, amount, batch_id }
        }
        (None, Some(entry)) => SettledBy::Entry(entry),
        (None, None) => SettledBy::NoMoney,
    };
    let question = format!("Settle break {}?", args.id);
    let Some(confirmed) = args.confirm.ask(out, &plan, &question)? else {
        return Ok(Exit::Done);
    };
    let settlement = BreakSettlement {
        audit_break_id: args.id,
        by,
        actor: ctx.actor.clone(),
        reason: args.reason,
    };
    let ledger_entry_id = settle(ctx, &settlement, confirmed).await?;
    out.data(&Settled { audit_break_id: args.id, ledger_entry_id })?;
    Ok(Exit::Done)
}

async fn settle(
    ctx: &Context,
    settlement: &BreakSettlement,
    _: Confirmed,
) -> anyhow::Result<Option<LedgerEntryId>> {
    settle_break(ctx.pool().await?, &ctx.clock, settlement).await.map_err(explain)
}

fn explain(error: SettleBreakError) -> anyhow::Error {
    match error {
        SettleBreakError::Store(error) | SettleBreakError::Adjust(AdjustError::Store(error)) => {
            anyhow::Error::new(error).context("settle the break")
        }
        error @ SettleBreakError::NotFound(_) => {
            refuse(error.to_string()).hint("`dripline audit list` lists them").into()
        }
        refused => refuse(refused.to_string()).into(),
    }
}
