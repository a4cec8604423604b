//! `dripline delivery resolve`: an operator decides about messages of which nobody knows whether the
//! carrier took them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dripline_domain::clock::Clock as _;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::DeliveryId;
use dripline_domain::money::Micros;
use dripline_domain::retry::RetryPolicy;
use dripline_store::Pool;
use dripline_store::account::Account;
use dripline_store::listing::deliveries::{self, DeliveryDetail};
use dripline_store::ops::{Finished, Resolution, Resolved, resolve_unknown};
use dripline_store::plan::{self, ResolvePlan, Then, UnknownFilter};
use serde::Serialize;
use uuid::Uuid;

use super::find;
use crate::confirm::{self, Confirmed};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{refuse, usage};
use crate::money;
use crate::output::page::{Column, Page};
use crate::output::words::{count, time};
use crate::output::{Output, Report};

/// Deliveries that one transaction decides about.
const BATCH: usize = 1_000;

/// Decide about messages of which nobody knows whether the carrier took them.
///
/// One by its id, or with `--state unknown` all that fit. What was decided is never decided again; what
/// is said later, by the carrier for one, is recorded beside it. Only who says that a message was sent which
/// waits to be sent again is believed, so that nobody gets it twice.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("finding").required(true).args(["sent", "resend"])))]
#[command(group(clap::ArgGroup::new("which").required(true).args(["delivery", "state"])))]
pub(crate) struct Args {
    /// The delivery's id.
    delivery: Option<DeliveryId>,
    /// The carrier took it: its price is taken, and the contact goes on.
    #[arg(long)]
    sent: bool,
    /// The carrier did not take it: it is queued again, or released where that is not possible. The contact
    /// may get it twice if the carrier took it after all.
    #[arg(long)]
    resend: bool,
    /// Why, kept with the evidence.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// All that are in this state, which can only be `unknown`.
    #[arg(long, value_name = "STATE")]
    state: Option<DeliveryState>,
    /// Only of this workflow.
    #[arg(long, value_name = "WORKFLOW", requires = "state")]
    workflow: Option<String>,
    /// Only those of which nobody has known for so long, such as `24h`.
    #[arg(long, value_name = "TIME", requires = "state", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    #[command(flatten)]
    confirm: confirm::Args,
}

#[derive(Serialize)]
struct ResolveReport {
    dry_run: bool,
    currency: String,
    finding: &'static str,
    /// What was shown before anything happened.
    plan: Vec<ResolvePlan>,
    /// How many of them a contact may get twice.
    may_be_sent_twice: usize,
    /// What really happened; empty before.
    resolved: Vec<ResolvedLine>,
}

#[derive(Serialize)]
struct ResolvedLine {
    delivery_id: DeliveryId,
    /// What the delivery is now; none when a worker has it on the wire.
    state: Option<DeliveryState>,
    /// Whether this command decided it, rather than somebody who was quicker.
    decided: bool,
    captured_micros: Micros,
    released_micros: Micros,
}

impl Report for ResolveReport {
    fn lay_out(&self, page: &mut Page) {
        if self.resolved.is_empty() {
            self.lay_out_plan(page);
        } else {
            self.lay_out_receipt(page);
        }
    }
}

impl ResolveReport {
    fn lay_out_plan(&self, page: &mut Page) {
        let columns = [
            Column::Number("DELIVERY"),
            Column::Text("WORKFLOW"),
            Column::Text("STEP"),
            Column::Text("PHONE"),
            Column::Number("ATTEMPT"),
            Column::Text("UNKNOWN SINCE"),
            Column::Text("REASON"),
            Column::Text("BECOMES"),
            Column::Number("HELD"),
            Column::Number("TAKE"),
            Column::Number("GIVE BACK"),
        ];
        let rows = self.plan.iter().map(|plan| {
            vec![
                plan.delivery_id.to_string(),
                plan.workflow.clone(),
                format!("{} of {}", plan.position, plan.steps),
                plan.phone.to_string(),
                plan.attempt.to_string(),
                time(plan.unknown_since),
                plan.reason.as_ref().map(|reason| reason.code.clone()).unwrap_or_default(),
                plan.becomes.to_string(),
                plan.held_micros.to_string(),
                plan.captured_micros.to_string(),
                plan.released_micros.to_string(),
            ]
        });
        page.table(&columns, rows, "nothing is unknown");
        page.gap();
        let sum = |of: fn(&ResolvePlan) -> Micros| {
            money::show(self.plan.iter().map(of).sum(), &self.currency)
        };
        let ends = self.plan.iter().filter(|plan| plan.then == Then::Ends).count() as u64;
        page.pairs([
            ("messages", self.plan.len().to_string()),
            ("take", sum(|plan| plan.captured_micros)),
            ("give back", sum(|plan| plan.released_micros)),
            ("contacts that will leave", ends.to_string()),
        ]);
        if self.may_be_sent_twice > 0 {
            let many = count(self.may_be_sent_twice as u64, "message");
            page.line(format_args!(
                "warning: {many} may have been sent, and whoever got one gets it again"
            ));
        }
        let keyed = self.plan.iter().filter(|plan| is_repeated_safely(plan)).count() as u64;
        if keyed > 0 {
            page.line(format_args!(
                "{} cannot be taken twice: the carrier still keeps the key",
                count(keyed, "message"),
            ));
        }
    }

    fn lay_out_receipt(&self, page: &mut Page) {
        let decided: Vec<_> = self.resolved.iter().filter(|line| line.decided).collect();
        for line in self.resolved.iter().filter(|line| !line.decided) {
            page.line(match line.state {
                Some(state) => format!(
                    "delivery {} was decided by somebody else: it is {state}",
                    line.delivery_id
                ),
                None => format!("delivery {} is on the wire again", line.delivery_id),
            });
        }
        let many = count(decided.len() as u64, "message");
        let sum = |of: fn(&ResolvedLine) -> Micros| {
            money::show(decided.iter().map(|line| of(line)).sum(), &self.currency)
        };
        page.line(format_args!(
            "resolved {many}: {} taken, {} given back",
            sum(|line| line.captured_micros),
            sum(|line| line.released_micros),
        ));
        for state in DeliveryState::ALL {
            let these = decided.iter().filter(|line| line.state == Some(*state)).count();
            if these > 0 {
                page.line(format_args!("{these} {state}"));
            }
        }
    }
}

/// The carrier keeps its key, and so would not take it twice. Only for what goes back into the queue.
fn is_repeated_safely(plan: &ResolvePlan) -> bool {
    plan.becomes == DeliveryState::Queued && plan.key_expires_at.is_some()
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let finding = if args.sent { Finding::Sent } else { Finding::NotSent };
    let policy = ctx.settings.worker.retry.policy();
    let now = ctx.clock.now();
    let filter = filter(&args, ctx, &account, now).await?;
    let pool = ctx.pool().await?;
    let plan = plan::resolve(pool, account.account_id, &filter, finding, &policy, now).await?;
    if let (Some(id), true) = (args.delivery, plan.is_empty()) {
        let delivery = find(ctx, &account, id).await?;
        return Err(not_unknown(&delivery));
    }
    let twice =
        |plan: &&ResolvePlan| plan.becomes == DeliveryState::Queued && !is_repeated_safely(plan);
    let mut report = ResolveReport {
        dry_run: args.confirm.is_dry_run(),
        currency: account.currency,
        finding: if args.sent { "sent" } else { "not_sent" },
        may_be_sent_twice: plan.iter().filter(twice).count(),
        plan,
        resolved: vec![],
    };
    if report.plan.is_empty() {
        out.data(&report)?;
        return Ok(Exit::Done);
    }
    let many = count(report.plan.len() as u64, "message");
    let question = match finding {
        Finding::Sent => format!("Take {many} for sent?"),
        Finding::NotSent => format!("Send {many} again?"),
    };
    let Some(confirmed) = args.confirm.ask(out, &report, &question)? else {
        return Ok(Exit::Done);
    };
    let evidence = Evidence::Operator(finding);
    resolve(ctx, &mut report, &policy, evidence, args.reason, confirmed).await?;
    out.data(&report)?;
    Ok(Exit::Done)
}

async fn filter(
    args: &Args,
    ctx: &Context,
    account: &Account,
    now: DateTime<Utc>,
) -> anyhow::Result<UnknownFilter> {
    if let Some(state) = args.state.filter(|state| *state != DeliveryState::Unknown) {
        return Err(
            usage(format!("what is {state} needs no resolving; only `unknown` does")).into()
        );
    }
    let workflow_id = match &args.workflow {
        Some(name) => Some(ctx.workflow(account, name).await?.workflow_id),
        None => None,
    };
    let unknown_since = args.older_than.map(|age| {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC)
    });
    Ok(UnknownFilter { delivery_id: args.delivery, workflow_id, unknown_since })
}

/// Why there is nothing to resolve, and what to do instead.
fn not_unknown(detail: &DeliveryDetail) -> anyhow::Error {
    let delivery = &detail.delivery;
    let id = delivery.delivery_id;
    let refused = match delivery.state {
        DeliveryState::Sending => {
            let worker = detail.attempts.last().and_then(|attempt| attempt.worker.as_deref());
            let worker = worker.map(|name| format!(" `{name}`")).unwrap_or_default();
            refuse(format!(
                "delivery {id} is on the wire: worker{worker} will say what became of it"
            ))
            .hint("when that worker is gone, it becomes unknown and can be resolved")
        }
        DeliveryState::Queued => {
            refuse(format!("delivery {id} is queued: nothing of it is on the wire"))
        }
        state => refuse(format!("delivery {id} is {state} already")),
    };
    refused.hint(format!("`dripline delivery show {id}` shows what is known about it")).into()
}

async fn resolve(
    ctx: &Context,
    report: &mut ResolveReport,
    policy: &RetryPolicy,
    evidence: Evidence,
    reason: Option<String>,
    _: Confirmed,
) -> anyhow::Result<()> {
    let pool = ctx.pool().await?;
    for plans in report.plan.chunks(BATCH) {
        let resolutions: Vec<Resolution> = plans
            .iter()
            .map(|plan| Resolution {
                delivery_id: plan.delivery_id,
                // The one that was shown: a later one is another matter.
                attempt: Some(plan.attempt),
                evidence,
                carrier_reference: None,
                reason: reason.clone(),
            })
            .collect();
        let batch_id = Uuid::now_v7();
        let resolved =
            resolve_unknown(pool, &ctx.clock, policy, &ctx.actor, batch_id, &resolutions).await?;
        for (plan, resolved) in plans.iter().zip(resolved) {
            let (state, decided) = match resolved {
                Resolved::Decided(finished) => (Some(state_of(finished)), true),
                Resolved::Agreed { state } | Resolved::Contradicted { state } => {
                    (Some(state), false)
                }
                Resolved::OnTheWire | Resolved::AlreadyDone | Resolved::NotFound => (None, false),
            };
            let (captured_micros, released_micros) = match state {
                // As it was planned, since all that it depends on is as it was.
                Some(state) if decided && state == plan.becomes => {
                    (plan.captured_micros, plan.released_micros)
                }
                Some(_) if decided => moved(pool, plan.delivery_id).await?,
                _ => (Micros::ZERO, Micros::ZERO),
            };
            report.resolved.push(ResolvedLine {
                delivery_id: plan.delivery_id,
                state,
                decided,
                captured_micros,
                released_micros,
            });
        }
    }
    Ok(())
}

/// What was taken and given back for a delivery.
async fn moved(pool: &Pool, id: DeliveryId) -> anyhow::Result<(Micros, Micros)> {
    let detail = deliveries::show(pool, id).await?;
    Ok(detail.map_or((Micros::ZERO, Micros::ZERO), |detail| {
        (detail.delivery.captured_micros, detail.delivery.released_micros)
    }))
}

fn state_of(finished: Finished) -> DeliveryState {
    match finished {
        Finished::Sent => DeliveryState::Sent,
        Finished::Requeued { .. } => DeliveryState::Queued,
        Finished::Failed => DeliveryState::Failed,
        Finished::Expired => DeliveryState::Expired,
        Finished::Cancelled => DeliveryState::Cancelled,
        Finished::Unknown | Finished::AlreadyDone => DeliveryState::Unknown,
    }
}
