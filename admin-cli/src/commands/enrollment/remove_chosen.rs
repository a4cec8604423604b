//! `dripline enrollment remove` of chosen contacts out of one workflow: one operation for all of them.

use std::time::Duration;

use dripline_domain::ids::{EnrollmentId, OperationId};
use dripline_domain::phone::Phone;
use dripline_store::account::Account;
use dripline_store::ops::{Removals, begin_removal};
use dripline_store::plan::{self, PlannedRemoval, RemovalsPlan};
use dripline_store::workflow::Workflow;
use serde::Serialize;
use uuid::Uuid;

use super::choice::Choice;
use crate::commands::operation::show::enrol_again;
use crate::commands::operation::waiting::Waiting;
use crate::commands::workflow::taken::Taken;
use crate::confirm::{self, Confirmed};
use crate::contact_csv::{self, BadRow};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::{Column, Page};
use crate::output::words::count;
use crate::output::{Output, Report};

/// How a removal is to be done.
#[derive(Debug)]
pub(super) struct Manner {
    /// Why, kept with the operation.
    pub(super) reason: Option<String>,
    /// How long to wait for what is in flight.
    pub(super) wait: Option<Duration>,
    /// Whether bad rows and unknown numbers keep the others in.
    pub(super) partial: bool,
    pub(super) confirm: confirm::Args,
}

#[derive(Serialize)]
struct ChosenReport {
    dry_run: bool,
    workflow_id: i64,
    workflow: String,
    currency: String,
    /// How they were chosen.
    selection: String,
    unknown_phones: Vec<Phone>,
    bad_rows: Vec<BadRow>,
    /// What was shown before anything happened.
    plan: Taken,
    /// Whom the plan means; only of a dry run.
    contacts: Vec<PlannedRemoval>,
    /// The recorded operation, once it happened.
    operation_id: Option<OperationId>,
    /// What really happened: contacts may have left between the plan and the deed.
    receipt: Option<Taken>,
    /// The command that enrols the same people again.
    enrol_again: Option<String>,
}

/// How many contacts are listed one by one; JSON has them all.
const LISTED: usize = 50;

impl Report for ChosenReport {
    fn lay_out(&self, page: &mut Page) {
        match (&self.receipt, self.operation_id) {
            (Some(receipt), Some(operation)) => self.lay_out_receipt(receipt, operation, page),
            _ => self.lay_out_plan(page),
        }
    }
}

impl ChosenReport {
    fn lay_out_plan(&self, page: &mut Page) {
        contact_csv::lay_out_bad_rows(&self.bad_rows, page);
        for phone in &self.unknown_phones {
            page.line(format_args!("{phone}: no contact of this account has this number"));
        }
        page.gap();
        if !self.contacts.is_empty() {
            let columns = [
                Column::Number("ENROLLMENT"),
                Column::Text("PHONE"),
                Column::Text("STEP"),
                Column::Number("MESSAGES"),
                Column::Number("SEGMENTS"),
                Column::Number("REFUND"),
            ];
            let rows = self.contacts.iter().take(LISTED).map(|planned| {
                vec![
                    planned.enrollment_id.to_string(),
                    planned.phone.to_string(),
                    format!("{} of {}", planned.position, planned.steps),
                    planned.messages.to_string(),
                    planned.segments.to_string(),
                    planned.micros.to_string(),
                ]
            });
            page.table(&columns, rows, "");
            if self.contacts.len() > LISTED {
                page.line(format_args!("and {} more", self.contacts.len() - LISTED));
            }
            page.gap();
        }
        page.line(format_args!("removing from `{}` ({}) will", self.workflow, self.selection));
        self.plan.lay_out("remove", "cancel", "refund", &self.currency, page);
        page.line("everybody else goes on");
    }

    fn lay_out_receipt(&self, receipt: &Taken, operation: OperationId, page: &mut Page) {
        page.line(format_args!("removed from `{}` by operation {operation}", self.workflow));
        receipt.lay_out("removed", "cancelled", "refunded", &self.currency, page);
        if self.plan.contacts > receipt.contacts {
            let left = count(self.plan.contacts - receipt.contacts, "contact");
            page.line(format_args!("{left} had left by themselves before"));
        }
        page.line(format_args!("who was removed: dripline operation show {operation}"));
        if let Some(command) = &self.enrol_again {
            page.line(format_args!("enrol the same people again: {command}"));
        }
    }
}

pub(super) async fn run(
    ctx: &Context,
    account: &Account,
    workflow: &Workflow,
    choice: Choice,
    manner: Manner,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let pool = ctx.pool().await?;
    let plan = plan::removals(pool, account.account_id, workflow.workflow_id, &choice.audience);
    let plan = plan.await?;
    let enrollments: Vec<EnrollmentId> =
        plan.enrollments.iter().map(|planned| planned.enrollment_id).collect();
    let dry_run = manner.confirm.is_dry_run();
    let mut report = new_report(dry_run, account.currency.clone(), workflow, choice, plan);
    refuse_if_wrong(&report, manner.partial, out)?;
    if enrollments.is_empty() {
        out.note("nobody is to be removed");
        out.data(&report)?;
        return Ok(Exit::Done);
    }
    let contacts = count(enrollments.len() as u64, "contact");
    let question = format!("Remove {contacts} from `{}`?", workflow.name);
    let Some(confirmed) = manner.confirm.ask(out, &report, &question)? else {
        return Ok(Exit::Done);
    };
    let removals = Removals {
        account_id: account.account_id,
        workflow_id: workflow.workflow_id,
        enrollments,
        selection: report.selection.clone(),
        batch_id: Uuid::now_v7(),
        actor: ctx.actor.clone(),
        reason: manner.reason,
    };
    let mut waiting = Waiting::begin()?;
    let id = begin(ctx, &removals, confirmed).await?;
    let done = waiting.until_finished(ctx, id).await?;
    let limit = Some(manner.wait.unwrap_or_default());
    let in_flight = waiting.until_settled(ctx, id, limit).await?;
    report.operation_id = Some(id);
    report.contacts = vec![];
    let again = done.removed_enrollments > 0;
    report.enrol_again = again.then(|| enrol_again(&workflow.name, id));
    report.receipt = Some(Taken::by(&done, in_flight));
    out.data(&report)?;
    Ok(Exit::Done)
}

fn new_report(
    dry_run: bool,
    currency: String,
    workflow: &Workflow,
    choice: Choice,
    plan: RemovalsPlan,
) -> ChosenReport {
    ChosenReport {
        dry_run,
        workflow_id: workflow.workflow_id.0,
        workflow: workflow.name.clone(),
        currency,
        selection: choice.description,
        unknown_phones: choice.unknown_phones,
        bad_rows: choice.bad_rows,
        contacts: plan.enrollments.clone(),
        plan: plan.into(),
        operation_id: None,
        receipt: None,
        enrol_again: None,
    }
}

fn refuse_if_wrong(report: &ChosenReport, partial: bool, out: &mut Output) -> anyhow::Result<()> {
    let wrong = report.bad_rows.len() + report.unknown_phones.len();
    if wrong == 0 || partial {
        return Ok(());
    }
    out.data(report)?;
    Err(refuse(format!(
        "nobody was removed: {} in the file, {} that no contact has",
        count(report.bad_rows.len() as u64, "bad row"),
        count(report.unknown_phones.len() as u64, "number"),
    ))
    .hint("correct them, or pass --partial to remove the others")
    .into())
}

/// From here on the operation goes on, whatever becomes of this command.
async fn begin(ctx: &Context, removals: &Removals, _: Confirmed) -> anyhow::Result<OperationId> {
    Ok(begin_removal(ctx.pool().await?, &ctx.clock, removals).await?.operation_id)
}
