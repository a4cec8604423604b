//! What an enrolment will cost, and what it did.

use std::collections::BTreeMap;

use dripline_domain::ids::{ContactId, OperationId};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use dripline_store::account::Account;
use dripline_store::workflow::Workflow;
use serde::Serialize;

use super::pricing::{PriceLine, Skipped, Unpriced};
use crate::contact_csv::{self, BadRow};
use crate::money;
use crate::output::Report;
use crate::output::page::{Column, Page};
use crate::output::words::{count, shell_word};

#[derive(Debug, Serialize)]
pub(super) struct AddReport {
    dry_run: bool,
    workflow_id: i64,
    workflow: String,
    revision: i64,
    currency: String,
    pub(super) plan: Plan,
    /// What each contact costs; only of a dry run.
    pub(super) prices: Vec<PriceLine>,
    pub(super) enrolled: Option<Enrolled>,
}

/// What will happen.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    /// Who is to be enrolled.
    pub(super) contacts: u64,
    pub(super) messages: u64,
    pub(super) segments: u64,
    pub(super) needed_micros: Micros,
    pub(super) available_micros: Micros,
    pub(super) missing_micros: Micros,
    pub(super) skipped: Skipped,
    pub(super) unpriced: Vec<Unpriced>,
    pub(super) unknown_phones: Vec<Phone>,
    pub(super) bad_rows: Vec<BadRow>,
}

/// What happened.
#[derive(Debug, Default, Serialize)]
pub(super) struct Enrolled {
    /// The recorded operation, of more contacts than one transaction takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operation_id: Option<OperationId>,
    pub(super) contacts: u64,
    pub(super) segments: u64,
    pub(super) held_micros: Micros,
    /// Who could not be enrolled any more, though the plan had them.
    pub(super) skipped: Vec<SkippedContact>,
}

#[derive(Debug, Serialize)]
pub(super) struct SkippedContact {
    pub(super) contact_id: ContactId,
    pub(super) reason: String,
}

/// How many contacts are listed one by one before prices are grouped.
const LISTED: usize = 50;

impl AddReport {
    pub(super) fn new(dry_run: bool, workflow: &Workflow, account: &Account, plan: Plan) -> Self {
        Self {
            dry_run,
            workflow_id: workflow.workflow_id.0,
            workflow: workflow.name.clone(),
            revision: workflow.revision,
            currency: account.currency.clone(),
            plan,
            prices: vec![],
            enrolled: None,
        }
    }

    fn lay_out_plan(&self, page: &mut Page) {
        let plan = &self.plan;
        contact_csv::lay_out_bad_rows(&plan.bad_rows, page);
        for phone in &plan.unknown_phones {
            page.line(format_args!("{phone}: no contact of this account has this number"));
        }
        for unpriced in &plan.unpriced {
            let Unpriced { phone, step, reason, .. } = unpriced;
            page.line(format_args!("{phone}: step {step} cannot be rendered: {reason}"));
        }
        page.gap();
        if !self.prices.is_empty() {
            self.lay_out_prices(page);
            page.gap();
        }
        let show = |amount| money::show(amount, &self.currency);
        let mut pairs = vec![
            ("workflow", self.workflow.clone()),
            ("to enrol", count(plan.contacts, "contact")),
            (
                "to hold",
                format!(
                    "{} for {} ({})",
                    show(plan.needed_micros),
                    count(plan.messages, "message"),
                    count(plan.segments, "segment"),
                ),
            ),
            ("available", show(plan.available_micros)),
        ];
        if plan.missing_micros > Micros::ZERO {
            pairs.push(("missing", show(plan.missing_micros)));
        }
        let Skipped { already_enrolled, in_other_workflow, opted_out } = plan.skipped;
        let skipped = [
            ("already in it", already_enrolled),
            ("in another workflow", in_other_workflow),
            ("opted out", opted_out),
        ];
        let skipped = skipped.into_iter().filter(|(_, number)| *number > 0);
        pairs.extend(skipped.map(|(why, number)| (why, format!("{number}, skipped"))));
        page.pairs(pairs);
    }

    fn lay_out_prices(&self, page: &mut Page) {
        if self.prices.len() <= LISTED {
            let columns =
                [Column::Text("PHONE"), Column::Text("SEGMENTS"), Column::Number("PRICE")];
            let rows = self.prices.iter().map(|line| {
                vec![line.phone.to_string(), sum(&line.segments), line.total_micros.to_string()]
            });
            return page.table(&columns, rows, "");
        }
        let mut groups: BTreeMap<(Micros, &[u32]), u64> = BTreeMap::new();
        for line in &self.prices {
            *groups.entry((line.total_micros, &line.segments)).or_default() += 1;
        }
        let columns = [
            Column::Number("CONTACTS"),
            Column::Text("SEGMENTS EACH"),
            Column::Number("PRICE EACH"),
        ];
        let rows = groups.iter().map(|((price, segments), contacts)| {
            vec![contacts.to_string(), sum(segments), price.to_string()]
        });
        page.table(&columns, rows, "");
        page.line("--output json lists every contact");
    }
}

/// `1 + 1 + 2`.
fn sum(segments: &[u32]) -> String {
    segments.iter().map(u32::to_string).collect::<Vec<_>>().join(" + ")
}

impl Report for AddReport {
    fn lay_out(&self, page: &mut Page) {
        let Some(done) = &self.enrolled else { return self.lay_out_plan(page) };
        page.line(format_args!(
            "enrolled {} in `{}`; {} held for {}",
            count(done.contacts, "contact"),
            self.workflow,
            money::show(done.held_micros, &self.currency),
            count(done.segments, "segment"),
        ));
        for skipped in &done.skipped {
            page.line(format_args!("skipped contact {}: {}", skipped.contact_id, skipped.reason));
        }
        page.line(format_args!("watch it: dripline workflow show {}", shell_word(&self.workflow)));
    }
}
