//! `dripline account list`.

use dripline_store::account::{self, Account};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::money::BalanceMicros;
use crate::output::page::{Column, Page};
use crate::output::{Output, Report};

/// List the accounts with their balances.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Accounts {
    accounts: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    account: Account,
    balance: BalanceMicros,
}

impl Report for Accounts {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Text("NAME"),
            Column::Number("AVAILABLE"),
            Column::Number("HELD"),
            Column::Number("SPENT"),
            Column::Text("CURRENCY"),
        ];
        let rows = self.accounts.iter().map(|Row { account, balance }| {
            vec![
                account.name.clone(),
                balance.available_micros.to_string(),
                balance.held_micros.to_string(),
                balance.spent_micros.to_string(),
                account.currency.clone(),
            ]
        });
        page.table(&columns, rows, "no accounts yet");
    }
}

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let listing = account::list(ctx.pool().await?).await?;
    let accounts = listing
        .into_iter()
        .map(|listing| Row { account: listing.account, balance: listing.balance.into() })
        .collect();
    out.data(&Accounts { accounts })?;
    Ok(Exit::Done)
}
