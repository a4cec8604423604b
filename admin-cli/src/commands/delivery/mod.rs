//! Deliveries: single messages.

mod list;
mod requeue;
mod requeue_plan;
mod requeue_report;
mod requeueing;
mod resolve;
mod show;

use dripline_domain::ids::DeliveryId;
use dripline_store::account::Account;
use dripline_store::listing::deliveries::{self, DeliveryDetail, DeliveryFilter};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::Output;

/// Deliveries: single messages.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Resolve(resolve::Args),
    Requeue(requeue::Args),
    Show(show::Args),
}

/// Runs one of them.
pub(crate) async fn run(command: Command, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => list::run(args, ctx, out).await,
        Command::Resolve(args) => resolve::run(args, ctx, out).await,
        Command::Requeue(args) => requeue::run(args, ctx, out).await,
        Command::Show(args) => show::run(args, ctx, out).await,
    }
}

/// The account's delivery with that id.
async fn find(ctx: &Context, account: &Account, id: DeliveryId) -> anyhow::Result<DeliveryDetail> {
    let pool = ctx.pool().await?;
    // Lists go backwards and begin behind a number, so the one wanted comes first.
    let behind = Some(DeliveryId(id.0.saturating_add(1)));
    let first = DeliveryFilter { after: behind, limit: 1, ..DeliveryFilter::default() };
    let first = deliveries::list(pool, account.account_id, &first).await?.pop();
    let found = match first {
        Some(first) if first.delivery_id == id => deliveries::show(pool, id).await?,
        _ => None,
    };
    found.ok_or_else(|| {
        refuse(format!("there is no delivery {id} in account `{}`", account.name))
            .hint("`dripline delivery list` lists them")
            .into()
    })
}
