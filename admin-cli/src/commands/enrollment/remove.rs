//! `dripline enrollment remove`.

use std::time::Duration;

use dripline_domain::ids::{ContactId, EnrollmentId, OperationId};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use dripline_store::account::Account;
use dripline_store::listing::enrollments::{self, EnrollmentFilter, EnrollmentListing};
use dripline_store::ops::{Removal, RemoveContactError, remove_contact};
use dripline_store::plan::{self, InFlight, RemovalPlan};
use serde::Serialize;

use super::choice;
use super::remove_chosen::{self, Manner};
use crate::commands::operation::waiting::Waiting;
use crate::commands::workflow::taken::Taken;
use crate::confirm::{self, Confirmed};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{refuse, usage};
use crate::money;
use crate::output::page::{Column, Page};
use crate::output::words::{count, shell_word};
use crate::output::{Output, Report};

/// Take contacts out of a workflow; refund what was not sent. Everybody else goes on.
///
/// With enrollment ids, or with --contact, each contact is one operation. With --workflow and --all,
/// --phone, --file, --from-operation, --where or enrollment ids, all of them are one operation: exactly
/// those whom the plan shows are removed, less who has left by then, and it goes on whatever becomes of
/// this command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The enrollments, by id.
    #[arg(conflicts_with = "contact")]
    enrollments: Vec<EnrollmentId>,
    /// A contact, by phone number or id, instead of an enrollment. Can be repeated.
    #[arg(long, value_name = "CONTACT", allow_hyphen_values = true)]
    contact: Vec<String>,
    /// Out of which workflow the contacts are taken; needed when they are chosen by anything but
    /// their ids, and when a contact is in several.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    #[command(flatten)]
    choice: choice::Args,
    /// Why, kept with the operation.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait until what is in flight has an outcome, at most so many seconds (60). Afterwards the
    /// list of what is in flight is empty, or names each message whose outcome only the carrier
    /// knows. Ctrl-C ends the waiting; what was begun goes on.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60")]
    wait: Option<u64>,
    #[command(flatten)]
    confirm: confirm::Args,
}

#[derive(Serialize)]
struct RemoveReport {
    dry_run: bool,
    currency: String,
    /// What was shown before anything happened.
    plan: Vec<PlanLine>,
    /// What really happened; empty before.
    removed: Vec<Removed>,
}

#[derive(Serialize)]
struct PlanLine {
    enrollment_id: EnrollmentId,
    contact_id: ContactId,
    phone: Phone,
    workflow: String,
    position: i64,
    steps: i64,
    messages: u64,
    segments: u64,
    refund_micros: Micros,
    in_flight: Vec<InFlight>,
}

impl From<RemovalPlan> for PlanLine {
    fn from(plan: RemovalPlan) -> Self {
        Self {
            enrollment_id: plan.enrollment_id,
            contact_id: plan.contact_id,
            phone: plan.phone,
            workflow: plan.workflow,
            position: plan.position.into(),
            steps: plan.steps.into(),
            messages: plan.messages,
            segments: plan.segments,
            refund_micros: plan.micros,
            in_flight: plan.in_flight,
        }
    }
}

#[derive(Serialize)]
struct Removed {
    enrollment_id: EnrollmentId,
    phone: String,
    workflow: String,
    operation_id: Option<OperationId>,
    messages: u64,
    segments: u64,
    refund_micros: Micros,
    in_flight: Vec<InFlight>,
}

impl Report for RemoveReport {
    fn lay_out(&self, page: &mut Page) {
        if self.removed.is_empty() {
            self.lay_out_plan(page);
        } else {
            self.lay_out_receipt(page);
        }
    }
}

impl RemoveReport {
    fn lay_out_plan(&self, page: &mut Page) {
        let columns = [
            Column::Number("ENROLLMENT"),
            Column::Text("PHONE"),
            Column::Text("WORKFLOW"),
            Column::Text("AT STEP"),
            Column::Number("MESSAGES"),
            Column::Number("SEGMENTS"),
            Column::Number("REFUND"),
        ];
        let rows = self.plan.iter().map(|plan| {
            vec![
                plan.enrollment_id.to_string(),
                plan.phone.to_string(),
                plan.workflow.clone(),
                format!("{} of {}", plan.position, plan.steps),
                plan.messages.to_string(),
                plan.segments.to_string(),
                plan.refund_micros.to_string(),
            ]
        });
        page.table(&columns, rows, "nobody");
        page.gap();
        page.line("removing them will");
        let total = Taken {
            contacts: self.plan.len() as u64,
            messages: self.plan.iter().map(|plan| plan.messages).sum(),
            segments: self.plan.iter().map(|plan| plan.segments).sum(),
            refund_micros: self.plan.iter().map(|plan| plan.refund_micros).sum(),
            in_flight: self.plan.iter().flat_map(|plan| plan.in_flight.clone()).collect(),
        };
        total.lay_out("remove", "cancel", "refund", &self.currency, page);
    }

    fn lay_out_receipt(&self, page: &mut Page) {
        for removed in &self.removed {
            let by = removed.operation_id.map(|id| format!(" by operation {id}"));
            page.line(format_args!(
                "removed {} from `{}`{}: {} cancelled, {} refunded",
                removed.phone,
                removed.workflow,
                by.unwrap_or_default(),
                count(removed.messages, "message"),
                money::show(removed.refund_micros, &self.currency),
            ));
            for attempt in &removed.in_flight {
                page.line(format_args!(
                    "delivery {} is in flight and was not cancelled",
                    attempt.delivery_id
                ));
            }
            page.line(format_args!(
                "enrol again, from message 1: dripline enrollment add {} --phone {}",
                shell_word(&removed.workflow),
                removed.phone,
            ));
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    if !args.choice.is_empty() || (!args.enrollments.is_empty() && args.workflow.is_some()) {
        return chosen(args, ctx, &account, out).await;
    }
    if args.enrollments.is_empty() && args.contact.is_empty() {
        return Err(usage("say whom to remove")
            .hint("enrollment ids, --contact, or --workflow with --where or another choice")
            .into());
    }
    let mut plan: Vec<PlanLine> = Vec::new();
    for id in enrollment_ids(&args, ctx, &account).await? {
        if !plan.iter().any(|plan| plan.enrollment_id == id) {
            plan.push(plan_one(ctx, &account, id).await?.into());
        }
    }
    let mut report = RemoveReport {
        dry_run: args.confirm.is_dry_run(),
        currency: account.currency,
        plan,
        removed: vec![],
    };
    let contacts = count(report.plan.len() as u64, "contact");
    let question = format!("Remove {contacts}?");
    let Some(confirmed) = args.confirm.ask(out, &report, &question)? else {
        return Ok(Exit::Done);
    };
    remove(ctx, &mut report, args.reason, confirmed).await?;
    if let Some(seconds) = args.wait {
        wait(ctx, &mut report, Duration::from_secs(seconds)).await?;
    }
    out.data(&report)?;
    Ok(Exit::Done)
}

/// One operation for all.
async fn chosen(
    args: Args,
    ctx: &Context,
    account: &Account,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let Some(workflow) = &args.workflow else {
        return Err(usage("say out of which workflow to remove them, with --workflow").into());
    };
    if !args.contact.is_empty() {
        return Err(usage("--contact names one contact; use --phone to choose several").into());
    }
    let workflow = ctx.workflow(account, workflow).await?;
    let manner = Manner {
        reason: args.reason,
        wait: args.wait.map(Duration::from_secs),
        partial: args.choice.partial,
        confirm: args.confirm,
    };
    let named = args.choice.names_contacts();
    let mut choice = args.choice.read(ctx, account).await?;
    if !args.enrollments.is_empty() {
        if named {
            return Err(usage("enrollment ids are one choice, and there is another").into());
        }
        choice.among_enrollments(args.enrollments);
    }
    remove_chosen::run(ctx, account, &workflow, choice, manner, out).await
}

/// Keeps in each receipt what has no outcome yet, until nothing of it is being sent.
async fn wait(ctx: &Context, report: &mut RemoveReport, limit: Duration) -> anyhow::Result<()> {
    let mut waiting = Waiting::begin()?;
    for removed in &mut report.removed {
        if let Some(id) = removed.operation_id {
            removed.in_flight = waiting.until_settled(ctx, id, Some(limit)).await?;
        }
    }
    Ok(())
}

async fn enrollment_ids(
    args: &Args,
    ctx: &Context,
    account: &Account,
) -> anyhow::Result<Vec<EnrollmentId>> {
    let workflow_id = match &args.workflow {
        Some(name) => Some(ctx.workflow(account, name).await?.workflow_id),
        None => None,
    };
    let mut ids = args.enrollments.clone();
    for text in &args.contact {
        let contact = ctx.contact(account, text).await?;
        let filter = EnrollmentFilter {
            workflow_id,
            contact_id: Some(contact.contact_id),
            live: Some(true),
            ..EnrollmentFilter::default()
        };
        let live = enrollments::list(ctx.pool().await?, account.account_id, &filter).await?;
        ids.push(only_one(&live, text, args.workflow.as_deref())?);
    }
    Ok(ids)
}

fn only_one(
    live: &[EnrollmentListing],
    contact: &str,
    workflow: Option<&str>,
) -> anyhow::Result<EnrollmentId> {
    match live {
        [one] => Ok(one.enrollment_id),
        [] => {
            let place = match workflow {
                Some(name) => format!("workflow `{name}`"),
                None => "any active workflow".to_owned(),
            };
            Err(refuse(format!("contact `{contact}` is not in {place}"))
                .hint(format!("`dripline contact show {contact}` says where it went"))
                .into())
        }
        several => {
            let names: Vec<_> = several.iter().map(|e| format!("`{}`", e.workflow)).collect();
            Err(refuse(format!("contact `{contact}` is in {}", names.join(", ")))
                .hint("say which one with --workflow")
                .into())
        }
    }
}

async fn plan_one(
    ctx: &Context,
    account: &Account,
    id: EnrollmentId,
) -> anyhow::Result<RemovalPlan> {
    let pool = ctx.pool().await?;
    // Lists go backwards and begin behind a number, so the one wanted comes first.
    let behind = Some(EnrollmentId(id.0.saturating_add(1)));
    let first = EnrollmentFilter { after: behind, limit: 1, ..EnrollmentFilter::default() };
    let found = enrollments::list(pool, account.account_id, &first).await?.pop();
    let Some(found) = found.filter(|found| found.enrollment_id == id) else {
        return Err(refuse(format!("there is no enrollment {id} in account `{}`", account.name))
            .hint("`dripline enrollment list` lists them")
            .into());
    };
    if let Some(exit) = &found.exit {
        return Err(refuse(format!("enrollment {id} has ended already: {}", exit.cause)).into());
    }
    let plan = plan::remove(pool, id).await?;
    plan.ok_or_else(|| refuse(format!("enrollment {id} has ended just now")).into())
}

/// Removes one after another. Who has left meanwhile needs no removal and is left out of the receipt.
async fn remove(
    ctx: &Context,
    report: &mut RemoveReport,
    reason: Option<String>,
    _: Confirmed,
) -> anyhow::Result<()> {
    let pool = ctx.pool().await?;
    for plan in &report.plan {
        let removal = Removal {
            enrollment_id: plan.enrollment_id,
            actor: ctx.actor.clone(),
            reason: reason.clone(),
        };
        match remove_contact(pool, &ctx.clock, &removal).await {
            Ok(done) => report.removed.push(Removed {
                enrollment_id: plan.enrollment_id,
                phone: plan.phone.to_string(),
                workflow: plan.workflow.clone(),
                operation_id: done.operation_id,
                messages: done.cancelled,
                segments: done.segments,
                refund_micros: done.released,
                in_flight: done.in_flight,
            }),
            Err(RemoveContactError::Ended { .. } | RemoveContactError::NotFound(_)) => {}
            Err(RemoveContactError::Store(error)) => {
                let what = format!("remove {} from `{}`", plan.phone, plan.workflow);
                return Err(anyhow::Error::new(error).context(what));
            }
        }
    }
    if report.removed.is_empty() {
        return Err(refuse("all of them have left by themselves meanwhile").into());
    }
    Ok(())
}
