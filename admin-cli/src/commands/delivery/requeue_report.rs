//! What requeueing will cost, and what it did.

use dripline_domain::ids::DeliveryId;
use dripline_domain::money::Micros;
use dripline_store::account::Account;
use serde::Serialize;

use super::requeue_plan::{Plan, Refused};
use crate::money;
use crate::output::Report;
use crate::output::page::{Column, Page};
use crate::output::words::count;

#[derive(Debug, Serialize)]
pub(super) struct RequeueReport {
    dry_run: bool,
    currency: String,
    /// Failed messages to be requeued.
    deliveries: u64,
    /// Messages to be paid for: these and all that come after them.
    messages: u64,
    segments: u64,
    needed_micros: Micros,
    available_micros: Micros,
    missing_micros: Micros,
    workflows: Vec<WorkflowLine>,
    refused: Vec<Refused>,
    pub(super) requeued: Option<Requeued>,
}

#[derive(Debug, Serialize)]
struct WorkflowLine {
    workflow: String,
    deliveries: u64,
    messages: u64,
    segments: u64,
    needed_micros: Micros,
}

/// What happened.
#[derive(Debug, Default, Serialize)]
pub(super) struct Requeued {
    pub(super) deliveries: u64,
    pub(super) segments: u64,
    pub(super) held_micros: Micros,
    /// What could not be requeued any more, though the plan had it.
    pub(super) skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    pub(super) delivery_id: DeliveryId,
    pub(super) reason: String,
}

/// How many refusals are listed one by one.
const LISTED: usize = 50;

impl RequeueReport {
    pub(super) fn new(dry_run: bool, account: &Account, plan: &Plan) -> Self {
        let workflows: Vec<_> = plan
            .workflows
            .iter()
            .map(|workflow| WorkflowLine {
                workflow: workflow.workflow.clone(),
                deliveries: workflow.deliveries.len() as u64,
                messages: workflow.messages,
                segments: workflow.segments(),
                needed_micros: workflow.needed(),
            })
            .collect();
        Self {
            dry_run,
            currency: account.currency.clone(),
            deliveries: plan.deliveries(),
            messages: workflows.iter().map(|workflow| workflow.messages).sum(),
            segments: workflows.iter().map(|workflow| workflow.segments).sum(),
            needed_micros: plan.needed(),
            available_micros: plan.available,
            missing_micros: plan.missing(),
            workflows,
            refused: plan.refused.clone(),
            requeued: None,
        }
    }

    fn lay_out_plan(&self, page: &mut Page) {
        for Refused { delivery_id, phone, reason } in self.refused.iter().take(LISTED) {
            page.line(format_args!("delivery {delivery_id} to {phone}: {reason}"));
        }
        if self.refused.len() > LISTED {
            let more = self.refused.len() - LISTED;
            page.line(format_args!("and {more} more; --output json lists all"));
        }
        page.gap();
        if self.workflows.len() > 1 {
            let columns = [
                Column::Text("WORKFLOW"),
                Column::Number("FAILED"),
                Column::Number("MESSAGES"),
                Column::Number("SEGMENTS"),
                Column::Number("PRICE"),
            ];
            let rows = self.workflows.iter().map(|line| {
                vec![
                    line.workflow.clone(),
                    line.deliveries.to_string(),
                    line.messages.to_string(),
                    line.segments.to_string(),
                    line.needed_micros.to_string(),
                ]
            });
            page.table(&columns, rows, "");
            page.gap();
        }
        let show = |amount| money::show(amount, &self.currency);
        let mut pairs = vec![];
        if let [only] = &self.workflows[..] {
            pairs.push(("workflow", only.workflow.clone()));
        }
        pairs.push(("to requeue", count(self.deliveries, "failed message")));
        pairs.push((
            "to hold",
            format!(
                "{} for {} ({})",
                show(self.needed_micros),
                count(self.messages, "message"),
                count(self.segments, "segment"),
            ),
        ));
        pairs.push(("available", show(self.available_micros)));
        if self.missing_micros > Micros::ZERO {
            pairs.push(("missing", show(self.missing_micros)));
        }
        if !self.refused.is_empty() {
            pairs.push(("left out", self.refused.len().to_string()));
        }
        page.pairs(pairs);
    }
}

impl Report for RequeueReport {
    fn lay_out(&self, page: &mut Page) {
        let Some(done) = &self.requeued else { return self.lay_out_plan(page) };
        page.line(format_args!(
            "requeued {}; {} held for {}",
            count(done.deliveries, "failed message"),
            money::show(done.held_micros, &self.currency),
            count(done.segments, "segment"),
        ));
        for Skipped { delivery_id, reason } in &done.skipped {
            page.line(format_args!("left out delivery {delivery_id}: {reason}"));
        }
    }
}
