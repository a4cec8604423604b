//! `dripline operation show`.

use dripline_domain::ids::{EnrollmentId, OperationId};
use dripline_domain::money::Micros;
use dripline_store::listing::enrollments::{self, EnrollmentFilter, EnrollmentListing};
use dripline_store::listing::operations::Operation;
use dripline_store::plan::{self, InFlight};
use serde::Serialize;

use crate::commands::enrollment::rows;
use crate::commands::workflow::taken::lay_out_in_flight;
use crate::context::Context;
use crate::exit::Exit;
use crate::money;
use crate::output::page::Page;
use crate::output::words::{count, shell_word, time};
use crate::output::{Output, Report};

/// Show one receipt: what there was to do, how far it is, who was removed, from which step, what came
/// back, and what is still in flight.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The operation's id.
    operation: OperationId,
    /// Continue the list of people after the enrollment with this id.
    #[arg(long, value_name = "ID")]
    after: Option<EnrollmentId>,
    /// At most so many people.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
}

/// An operation with what it could not cancel and, where they were asked for, its people.
#[derive(Serialize)]
pub(super) struct Receipt {
    pub(super) operation: Operation,
    pub(super) currency: String,
    pub(super) in_flight: Vec<InFlight>,
    /// Who was removed.
    #[serde(rename = "removed", skip_serializing_if = "Option::is_none")]
    pub(super) people: Option<Vec<EnrollmentListing>>,
}

impl Report for Receipt {
    fn lay_out(&self, page: &mut Page) {
        lay_out(&self.operation, &self.currency, page);
        lay_out_in_flight(&self.in_flight, page);
        let Some(people) = self.people.as_ref().filter(|_| self.operation.kind != "enrol") else {
            return;
        };
        page.gap();
        rows::exits_table(people, page);
        page.line(format_args!("{} of {}", people.len(), self.operation.removed_enrollments));
    }
}

/// What an operation found and what it has done.
fn lay_out(operation: &Operation, currency: &str, page: &mut Page) {
    let money = |micros: Micros| money::show(micros, currency);
    let mut pairs = vec![
        ("operation", operation.operation_id.to_string()),
        ("kind", operation.kind.clone()),
        ("workflow", operation.workflow.clone()),
    ];
    pairs.extend(operation.selection.clone().map(|selection| ("chosen", selection)));
    pairs.push(("by", operation.actor.clone()));
    pairs.push(("begun", time(operation.started_at)));
    let finished = operation.finished_at.map_or_else(|| "not yet; it goes on".to_owned(), time);
    pairs.push(("finished", finished));
    if let Some(preview) = &operation.preview {
        let in_flight = match preview.in_flight {
            0 => String::new(),
            n => format!("; {} in flight", count(n, "message")),
        };
        let found = format!(
            "{}, {} ({}), {}{in_flight}",
            count(preview.contacts, "contact"),
            count(preview.messages, "message"),
            count(preview.segments, "segment"),
            money(preview.micros),
        );
        pairs.push(("at its begin", found));
    }
    if operation.kind == "enrol" {
        pairs.push(("enrolled", count(operation.enrolled_enrollments, "contact")));
        if operation.finished_at.is_none() {
            pairs.push(("still reserved", money(operation.reserved_micros)));
        }
        pairs.push(("given back", given_back(operation, currency)));
    } else {
        pairs.push(("removed", count(operation.removed_enrollments, "contact")));
        pairs.push(("cancelled", count(operation.cancelled_deliveries, "message")));
        pairs.push(("refunded", given_back(operation, currency)));
        if let Some(left) = left_by_themselves(operation) {
            pairs.push(("left by themselves", count(left, "contact")));
        }
    }
    pairs.extend(operation.reason.clone().map(|reason| ("reason", reason)));
    if matches!(operation.kind.as_str(), "pause" | "remove") {
        pairs.push(("enrol them again", enrol_again(&operation.workflow, operation.operation_id)));
    }
    page.pairs(pairs);
}

fn given_back(operation: &Operation, currency: &str) -> String {
    format!(
        "{} ({})",
        money::show(operation.released_micros, currency),
        count(operation.released_segments, "segment"),
    )
}

/// Whom the operation was to take out and needed not, since they had left before it came to them.
fn left_by_themselves(operation: &Operation) -> Option<u64> {
    let preview = operation.preview.filter(|_| operation.finished_at.is_some())?;
    Some(preview.contacts.saturating_sub(operation.removed_enrollments)).filter(|left| *left > 0)
}

/// The command that enrols the same people again.
pub(crate) fn enrol_again(workflow: &str, operation: OperationId) -> String {
    format!("dripline enrollment add {} --from-operation {operation}", shell_word(workflow))
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let operation = ctx.operation(&account, args.operation).await?;
    let filter = EnrollmentFilter {
        workflow_id: Some(operation.workflow_id),
        operation_id: Some(args.operation),
        after: args.after,
        limit: args.limit,
        ..EnrollmentFilter::default()
    };
    let pool = ctx.pool().await?;
    let people = enrollments::list(pool, account.account_id, &filter).await?;
    let in_flight = plan::still_in_flight(pool, args.operation).await?;
    out.data(&Receipt { operation, currency: account.currency, in_flight, people: Some(people) })?;
    Ok(Exit::Done)
}
