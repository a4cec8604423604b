//! `dripline delivery requeue`.

use chrono::{DateTime, Utc};
use dripline_domain::ids::DeliveryId;
use dripline_domain::money::Micros;
use dripline_store::account::Account;
use dripline_store::listing::failed::{self, FailedDelivery, FailedFilter};

use super::requeue_plan::{self, Plan};
use super::requeue_report::RequeueReport;
use super::requeueing;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, refuse, usage};
use crate::money;
use crate::output::Output;
use crate::output::words::{count, shell_word};

/// Failed deliveries read at a time.
const PAGE: i64 = 2_000;

/// Send what has failed once more, and what was to come after it.
///
/// A failed message ended its contact's way through the workflow, and what was not sent was given
/// back; that stays so. Requeueing enrols the contact anew, beginning at the step that failed: the
/// price of that step and of all later ones is held again. --dry-run shows the exact price and
/// requeues nothing. Repeating the command is safe: a failed message is requeued at most once.
///
/// Left out, with the reason, is who is in a workflow again, has opted out, or was in a workflow that
/// was edited or deleted since.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these, by id.
    #[arg(value_name = "DELIVERY")]
    deliveries: Vec<DeliveryId>,
    /// Only of this workflow.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only with this reason, such as `connect` or `twilio:30006`.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only those that failed then or later, such as 2026-03-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    #[command(flatten)]
    confirm: confirm::Args,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let filter = filter(&args, ctx, &account).await?;
    let failed = read_all(ctx, &account, &filter).await?;
    check_named(&args.deliveries, &failed)?;
    let plan = requeue_plan::make(ctx, &account, failed).await?;
    let mut report = RequeueReport::new(args.confirm.is_dry_run(), &account, &plan);
    if let Some(failure) = obstacle(&plan, &account) {
        out.data(&report)?;
        return Err(failure.into());
    }
    if plan.is_empty() {
        out.note("nothing is to be requeued");
        out.data(&report)?;
        return Ok(Exit::Done);
    }
    let question = format!(
        "Requeue {} and hold {}?",
        count(plan.deliveries(), "failed message"),
        money::show(plan.needed(), &account.currency),
    );
    let Some(confirmed) = args.confirm.ask(out, &report, &question)? else {
        return Ok(Exit::Done);
    };
    report.requeued = Some(requeueing::requeue(ctx, &account, plan, confirmed).await?);
    out.data(&report)?;
    Ok(Exit::Done)
}

async fn filter(args: &Args, ctx: &Context, account: &Account) -> anyhow::Result<FailedFilter> {
    let named = (!args.deliveries.is_empty()).then(|| args.deliveries.clone());
    if named.is_none() && args.workflow.is_none() && args.reason.is_none() && args.since.is_none() {
        return Err(usage("say which failed messages: by id, --workflow, --reason or --since")
            .hint("`dripline delivery list --state failed` lists them")
            .into());
    }
    let workflow_id = match &args.workflow {
        Some(name) => Some(ctx.workflow(account, name).await?.workflow_id),
        None => None,
    };
    Ok(FailedFilter {
        workflow_id,
        reason_code: args.reason.clone(),
        since: args.since,
        delivery_ids: named,
    })
}

async fn read_all(
    ctx: &Context,
    account: &Account,
    filter: &FailedFilter,
) -> anyhow::Result<Vec<FailedDelivery>> {
    let pool = ctx.pool().await?;
    let mut all = Vec::new();
    loop {
        let after = all.last().map(|failed: &FailedDelivery| failed.delivery_id);
        let page = failed::page(pool, account.account_id, filter, after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Whoever names a message means that very one.
fn check_named(named: &[DeliveryId], found: &[FailedDelivery]) -> Result<(), Failure> {
    let missing = named.iter().find(|id| !found.iter().any(|failed| failed.delivery_id == **id));
    match missing {
        None => Ok(()),
        Some(id) => Err(refuse(format!("nothing was requeued: there is no failed delivery {id}"))
            .hint(format!("`dripline delivery show {id}` shows what became of it"))),
    }
}

fn obstacle(plan: &Plan, account: &Account) -> Option<Failure> {
    let missing = plan.missing();
    if missing == Micros::ZERO {
        return None;
    }
    let show = |amount| money::show(amount, &account.currency);
    Some(
        refuse(format!(
            "nothing was requeued: {} needed, {} available, {} missing",
            show(plan.needed()),
            show(plan.available),
            show(missing),
        ))
        .hint(format!(
            "`dripline account topup {} {missing}` puts in what is missing",
            shell_word(&account.name),
        )),
    )
}
