//! `dripline account balance`.

use anyhow::Context as _;
use dripline_domain::ledger::Balance;
use dripline_store::account::{self, Account};
use dripline_store::ledger::{self, LedgerTotals};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::money::{self, BalanceMicros};
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Show what is available, held and spent.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The account; without it the one all commands act for.
    name: Option<String>,
}

#[derive(Serialize)]
struct BalanceReport {
    account: String,
    currency: String,
    balance: BalanceMicros,
    totals: LedgerTotals,
}

impl Report for BalanceReport {
    fn lay_out(&self, page: &mut Page) {
        let show = |amount| money::show(amount, &self.currency);
        page.pairs([
            ("account", self.account.clone()),
            ("available", show(self.balance.available_micros)),
            ("held", show(self.balance.held_micros)),
            ("spent", show(self.balance.spent_micros)),
            ("put in", show(self.totals.topup_micros)),
            ("adjusted", show(self.totals.adjust_micros)),
        ]);
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = match args.name {
        Some(name) => ctx.account_named(&name).await?,
        None => ctx.account().await?,
    };
    let totals = ledger::totals(ctx.pool().await?, account.account_id).await?;
    let balance = read_balance(ctx, &account).await?.into();
    out.data(&BalanceReport {
        account: account.name,
        currency: account.currency,
        balance,
        totals,
    })?;
    Ok(Exit::Done)
}

/// What is on an account's balance.
pub(crate) async fn read_balance(ctx: &Context, account: &Account) -> anyhow::Result<Balance> {
    account::balance(ctx.pool().await?, account.account_id)
        .await?
        .with_context(|| format!("account `{}` has lost its balance", account.name))
}
