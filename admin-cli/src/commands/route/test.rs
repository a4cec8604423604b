//! `dripline route test`.

use crate::commands::plugin::try_out;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

/// Test a route: that its carrier is there, its settings fit, its secrets can be read, and by which exact request a
/// message would leave.
///
/// With --live the message is really sent, after a question, and the answer is shown with what the carrier makes of it.
/// That message is in no ledger and belongs to no workflow; where the route's senders are throttled it counts as one of
/// theirs, and is not sent before its turn. A paused route can be tested, too.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The route.
    name: String,
    /// To whom: a number in its international form.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    to: String,
    /// What the message says.
    #[arg(long, value_name = "TEXT", default_value = "This is a test.")]
    text: String,
    /// Really send it.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    confirm: confirm::Args,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let Args { name, to, text, live, confirm } = args;
    let account = ctx.account().await?;
    let carrier = ctx.route(&account, &name).await?.carrier;
    let trial = try_out::Args::over_route(carrier, name, to, text, live, confirm);
    try_out::run(trial, ctx, out).await
}
