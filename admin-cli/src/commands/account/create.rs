//! `dripline account create`.

use dripline_store::account::Account;
use dripline_store::ops::{CreateAccountError, NewAccount, create_account};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Create an account.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The account's name, unique in this installation.
    name: String,
    /// ISO 4217 code of its currency, for example EUR. It never changes.
    #[arg(long, value_name = "CODE")]
    currency: String,
    /// Let a contact be in several live workflows of this account at a time.
    #[arg(long)]
    many_workflows_per_contact: bool,
}

#[derive(Serialize)]
struct Created {
    account: Account,
}

impl Report for Created {
    fn lay_out(&self, page: &mut Page) {
        let Account { name, currency, .. } = &self.account;
        page.line(format_args!("created account `{name}` in {currency}"));
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let new = NewAccount {
        name: args.name,
        currency: args.currency.to_ascii_uppercase(),
        one_live_workflow_per_contact: !args.many_workflows_per_contact,
        actor: ctx.actor.clone(),
    };
    let account = create_account(ctx.pool().await?, &ctx.clock, &new).await.map_err(explain)?;
    out.data(&Created { account })?;
    Ok(Exit::Done)
}

fn explain(error: CreateAccountError) -> anyhow::Error {
    match error {
        CreateAccountError::Store(error) => anyhow::Error::new(error).context("create the account"),
        CreateAccountError::NameTaken(_) => {
            refuse(error.to_string()).hint("`dripline account list` lists the accounts").into()
        }
        refused => refuse(refused.to_string()).into(),
    }
}
