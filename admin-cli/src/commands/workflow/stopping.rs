//! Pause and delete: what they will take back, the question, what they took back.

use std::time::Duration;

use dripline_domain::ids::OperationId;
use dripline_store::account::Account;
use dripline_store::ops::{CloseWorkflowError, Closing, Fenced, fence_deleted, fence_workflow};
use dripline_store::plan;
use dripline_store::workflow::Workflow;
use serde::Serialize;

use super::taken::Taken;
use crate::commands::operation::show::enrol_again;
use crate::commands::operation::waiting::Waiting;
use crate::confirm::{self, Confirmed};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// What pause and delete ask for.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The workflow, by name or id.
    workflow: String,
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

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stop {
    Pause,
    Delete,
}

#[derive(Serialize)]
struct StopReport {
    dry_run: bool,
    action: Stop,
    workflow_id: i64,
    workflow: String,
    currency: String,
    /// What was shown before anything happened.
    plan: Taken,
    /// The recorded operation, once it happened.
    operation_id: Option<OperationId>,
    /// What really happened: contacts may have moved on between the plan and the deed.
    receipt: Option<Taken>,
    /// The command that enrols the same people again.
    enrol_again: Option<String>,
}

impl Report for StopReport {
    fn lay_out(&self, page: &mut Page) {
        match (&self.receipt, self.operation_id) {
            (Some(receipt), Some(operation)) => self.lay_out_receipt(receipt, operation, page),
            _ => self.lay_out_plan(page),
        }
    }
}

impl StopReport {
    fn lay_out_plan(&self, page: &mut Page) {
        let name = &self.workflow;
        if self.action == Stop::Pause && self.plan.contacts == 0 {
            return page.line(format_args!("`{name}` is inactive: there is nothing to pause"));
        }
        match self.action {
            Stop::Pause => page.line(format_args!("pausing `{name}` will")),
            Stop::Delete => page.line(format_args!("deleting `{name}` will")),
        }
        self.plan.lay_out("remove", "cancel", "refund", &self.currency, page);
        if self.action == Stop::Delete {
            page.line("its texts and timing will be gone for good; there is no undo");
        } else {
            page.line("nobody keeps a place: contacts enrolled again begin at message 1");
        }
    }

    fn lay_out_receipt(&self, receipt: &Taken, operation: OperationId, page: &mut Page) {
        let name = &self.workflow;
        match self.action {
            Stop::Pause => page.line(format_args!("paused `{name}` by operation {operation}")),
            Stop::Delete => page.line(format_args!("deleted `{name}` by operation {operation}")),
        }
        receipt.lay_out("removed", "cancelled", "refunded", &self.currency, page);
        if receipt.contacts > 0 {
            page.line(format_args!("who was removed: dripline operation show {operation}"));
        }
        if let Some(command) = &self.enrol_again {
            page.line(format_args!("enrol the same people again: {command}"));
        }
    }
}

pub(super) async fn run(
    args: Args,
    stop: Stop,
    ctx: &Context,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow = ctx.workflow(&account, &args.workflow).await?;
    let plan = Taken::from(plan::pause(ctx.pool().await?, workflow.workflow_id).await?);
    let mut report = new_report(&args, stop, &account, &workflow, plan);
    if stop == Stop::Pause && workflow.active.is_none() {
        out.data(&report)?;
        return Ok(Exit::Done);
    }
    let question = match stop {
        Stop::Pause => format!("Pause `{}`?", workflow.name),
        Stop::Delete => format!("Delete `{}` for good?", workflow.name),
    };
    let Some(confirmed) = args.confirm.ask(out, &report, &question)? else {
        return Ok(Exit::Done);
    };
    let mut waiting = Waiting::begin()?;
    let fenced = close(ctx, &workflow, stop, args.reason, confirmed).await?;
    let id = fenced.operation_id;
    let done = waiting.until_finished(ctx, id).await?;
    let in_flight = match args.wait {
        Some(seconds) => waiting.until_settled(ctx, id, Some(Duration::from_secs(seconds))).await?,
        None => fenced.in_flight,
    };
    report.operation_id = Some(id);
    let again = stop == Stop::Pause && done.removed_enrollments > 0;
    report.enrol_again = again.then(|| enrol_again(&workflow.name, id));
    report.receipt = Some(Taken::by(&done, in_flight));
    out.data(&report)?;
    Ok(Exit::Done)
}

fn new_report(
    args: &Args,
    stop: Stop,
    account: &Account,
    workflow: &Workflow,
    plan: Taken,
) -> StopReport {
    StopReport {
        dry_run: args.confirm.is_dry_run(),
        action: stop,
        workflow_id: workflow.workflow_id.0,
        workflow: workflow.name.clone(),
        currency: account.currency.clone(),
        plan,
        operation_id: None,
        receipt: None,
        enrol_again: None,
    }
}

/// The fence, after which nothing more can leave. The purge goes on from whichever process.
async fn close(
    ctx: &Context,
    workflow: &Workflow,
    stop: Stop,
    reason: Option<String>,
    _: Confirmed,
) -> anyhow::Result<Fenced> {
    let pool = ctx.pool().await?;
    let closing = Closing { workflow_id: workflow.workflow_id, actor: ctx.actor.clone(), reason };
    let closed = match stop {
        Stop::Pause => fence_workflow(pool, &ctx.clock, &closing).await,
        Stop::Delete => fence_deleted(pool, &ctx.clock, &closing).await,
    };
    closed.map_err(|error| match error {
        CloseWorkflowError::NotFound(_) => {
            refuse(format!("workflow `{}` was deleted just now", workflow.name)).into()
        }
        CloseWorkflowError::Store(error) => {
            anyhow::Error::new(error).context(format!("close workflow `{}`", workflow.name))
        }
    })
}
