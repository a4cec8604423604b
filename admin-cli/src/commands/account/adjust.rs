//! `dripline account adjust`.

use dripline_domain::money::Micros;
use dripline_store::ops::{AdjustError, Adjustment, Booked, adjust};
use serde::Serialize;
use uuid::Uuid;

use super::balance::read_balance;
use super::booking::Booking;
use crate::confirm::{self, Confirmed};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::money;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Correct a balance by an entry that gives its reason. Entries are never changed or removed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The account.
    name: String,
    /// How much to add, or with a minus sign to take out, in the account's currency.
    #[arg(allow_negative_numbers = true)]
    amount: Micros,
    /// Why, kept with the ledger entry.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Names this correction, so that a script which runs twice corrects once.
    #[arg(long, value_name = "UUID")]
    adjustment_id: Option<Uuid>,
    #[command(flatten)]
    confirm: confirm::Args,
}

#[derive(Serialize)]
struct Plan {
    dry_run: bool,
    account: String,
    currency: String,
    amount_micros: Micros,
    available_before_micros: Micros,
    available_after_micros: Micros,
}

impl Report for Plan {
    fn lay_out(&self, page: &mut Page) {
        let show = |amount| money::show(amount, &self.currency);
        page.pairs([
            ("account", self.account.clone()),
            ("adjustment", show(self.amount_micros)),
            ("available now", show(self.available_before_micros)),
            ("available after", show(self.available_after_micros)),
        ]);
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account_named(&args.name).await?;
    if args.reason.trim().is_empty() {
        return Err(refuse("an adjustment gives its reason, and this one is blank").into());
    }
    if args.amount == Micros::ZERO {
        return Err(refuse("an adjustment of 0.00 corrects nothing").into());
    }
    let available = read_balance(ctx, &account).await?.available;
    let after = available.0.checked_add(args.amount.0).filter(|after| *after >= 0);
    let Some(after) = after else {
        let available = money::show(available, &account.currency);
        return Err(refuse(format!(
            "an adjustment of {} is more than the {available} that are available",
            money::show(args.amount, &account.currency),
        ))
        .into());
    };
    let plan = Plan {
        dry_run: args.confirm.is_dry_run(),
        account: account.name.clone(),
        currency: account.currency.clone(),
        amount_micros: args.amount,
        available_before_micros: available,
        available_after_micros: Micros(after),
    };
    let question = format!("Adjust the balance of `{}`?", account.name);
    let Some(confirmed) = args.confirm.ask(out, &plan, &question)? else {
        return Ok(Exit::Done);
    };
    let adjustment = Adjustment {
        account_id: account.account_id,
        amount: args.amount,
        batch_id: args.adjustment_id.unwrap_or_else(Uuid::new_v4),
        actor: ctx.actor.clone(),
        reason: args.reason,
    };
    let booked = book(ctx, &adjustment, confirmed).await?;
    out.data(&Booking::new(account, args.amount, booked))?;
    Ok(Exit::Done)
}

async fn book(ctx: &Context, adjustment: &Adjustment, _: Confirmed) -> anyhow::Result<Booked> {
    adjust(ctx.pool().await?, &ctx.clock, adjustment).await.map_err(|error| match error {
        AdjustError::Store(error) => anyhow::Error::new(error).context("adjust the balance"),
        refused => refuse(refused.to_string()).into(),
    })
}
