//! `dripline operation wait`.

use std::time::Duration;

use dripline_domain::ids::OperationId;

use super::show::Receipt;
use super::waiting::{self, Waiting};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::Output;
use crate::output::words::count;

/// Wait for an operation until it is done and nothing of it is being sent any more.
///
/// Whoever waits also works: it goes on even where no worker runs. At the end the list of what is in
/// flight is empty or names each message whose outcome only the carrier knows. Ctrl-C ends the waiting;
/// the operation goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The operation's id.
    operation: OperationId,
    /// Give up waiting for what is being sent after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let id = ctx.operation(&account, args.operation).await?.operation_id;
    let mut waiting = Waiting::begin()?;
    let operation = waiting.until_finished(ctx, id).await?;
    let limit = args.timeout.map(Duration::from_secs);
    let in_flight = waiting.until_settled(ctx, id, limit).await?;
    let sending = waiting::sending(&in_flight);
    out.data(&Receipt { operation, currency: account.currency, in_flight, people: None })?;
    if sending > 0 {
        return Err(refuse(format!("{} still being sent", count(sending, "message")))
            .hint(format!("`dripline operation wait {id}` waits for it again"))
            .into());
    }
    Ok(Exit::Done)
}
