//! `dripline operation show`.

use dripline_domain::ids::{EnrollmentId, OperationId};
use dripline_store::listing::enrollments::{self, EnrollmentFilter, EnrollmentListing};
use dripline_store::listing::operations::Operation;
use serde::Serialize;

use crate::commands::enrollment::rows;
use crate::context::Context;
use crate::exit::Exit;
use crate::money;
use crate::output::page::Page;
use crate::output::words::{count, shell_word, time};
use crate::output::{Output, Report};

/// Show one receipt: who was removed, from which step, what came back.
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

#[derive(Serialize)]
struct Receipt {
    operation: Operation,
    currency: String,
    removed: Vec<EnrollmentListing>,
}

impl Report for Receipt {
    fn lay_out(&self, page: &mut Page) {
        lay_out(&self.operation, &self.currency, page);
        page.gap();
        rows::exits_table(&self.removed, page);
        page.line(format_args!("{} of {}", self.removed.len(), self.operation.removed_enrollments));
    }
}

/// What an operation took back.
fn lay_out(operation: &Operation, currency: &str, page: &mut Page) {
    let mut pairs = vec![
        ("operation", operation.operation_id.to_string()),
        ("kind", operation.kind.clone()),
        ("workflow", operation.workflow.clone()),
        ("by", operation.actor.clone()),
        ("begun", time(operation.started_at)),
        ("finished", operation.finished_at.map_or_else(|| "not yet; it goes on".to_owned(), time)),
        ("removed", count(operation.removed_enrollments, "contact")),
        ("cancelled", count(operation.cancelled_deliveries, "message")),
        (
            "refunded",
            format!(
                "{} ({})",
                money::show(operation.released_micros, currency),
                count(operation.released_segments, "segment"),
            ),
        ),
    ];
    pairs.extend(operation.reason.clone().map(|reason| ("reason", reason)));
    if operation.kind != "delete" {
        pairs.push(("enrol them again", enrol_again(&operation.workflow, operation.operation_id)));
    }
    page.pairs(pairs);
}

/// The command that enrols the same people again.
pub(crate) fn enrol_again(workflow: &str, operation: OperationId) -> String {
    format!("dripline enrollment add {} --from-operation {operation}", shell_word(workflow))
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let operation = ctx.operation(&account, args.operation).await?;
    let filter = EnrollmentFilter {
        operation_id: Some(args.operation),
        after: args.after,
        limit: args.limit,
        ..EnrollmentFilter::default()
    };
    let removed = enrollments::list(ctx.pool().await?, account.account_id, &filter).await?;
    out.data(&Receipt { operation, currency: account.currency, removed })?;
    Ok(Exit::Done)
}
