//! `dripline account topup`.

use dripline_domain::money::Micros;
use dripline_store::ops::{TopUp, TopUpError, top_up};
use uuid::Uuid;

use super::booking::Booking;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::Output;

/// Put money in.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The account.
    name: String,
    /// How much, in the account's currency, for example 12.50.
    #[arg(allow_negative_numbers = true)]
    amount: Micros,
    /// What for, kept with the ledger entry.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Names this payment, so that a script which runs twice pays once.
    #[arg(long, value_name = "UUID")]
    payment_id: Option<Uuid>,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account_named(&args.name).await?;
    let payment = TopUp {
        account_id: account.account_id,
        amount: args.amount,
        batch_id: args.payment_id.unwrap_or_else(Uuid::new_v4),
        actor: ctx.actor.clone(),
        reason: args.reason,
    };
    let booked = top_up(ctx.pool().await?, &ctx.clock, &payment).await.map_err(explain)?;
    out.data(&Booking::new(account, args.amount, booked))?;
    Ok(Exit::Done)
}

fn explain(error: TopUpError) -> anyhow::Error {
    match error {
        TopUpError::Store(error) => anyhow::Error::new(error).context("put the money in"),
        TopUpError::NotPositive(amount) => refuse(format!("a top-up of {amount} puts nothing in"))
            .hint("`dripline account adjust` takes out, with a reason")
            .into(),
        refused => refuse(refused.to_string()).into(),
    }
}
