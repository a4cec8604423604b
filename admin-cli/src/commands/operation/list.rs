//! `dripline operation list`.

use dripline_domain::ids::OperationId;
use dripline_store::listing::operations::{self, Operation};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::words::time;
use crate::output::{Output, Report};

/// List recorded pauses, deletions, removals and large enrolments, newest first.
///
/// An enrolment is recorded when it takes more than one transaction: more than 5,000 contacts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of this workflow.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Continue the list after the operation with this id.
    #[arg(long, value_name = "ID")]
    after: Option<OperationId>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

#[derive(Serialize)]
struct Operations {
    operations: Vec<Operation>,
}

impl Report for Operations {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Number("ID"),
            Column::Text("KIND"),
            Column::Text("WORKFLOW"),
            Column::Text("BY"),
            Column::Text("BEGUN"),
            Column::Text("FINISHED"),
            Column::Number("CONTACTS"),
            Column::Number("MESSAGES"),
            Column::Number("REFUNDED"),
            Column::Text("REASON"),
        ];
        let rows = self.operations.iter().map(|operation| {
            vec![
                operation.operation_id.to_string(),
                operation.kind.clone(),
                operation.workflow.clone(),
                operation.actor.clone(),
                time(operation.started_at),
                operation.finished_at.map_or_else(|| "goes on".to_owned(), time),
                (operation.removed_enrollments + operation.enrolled_enrollments).to_string(),
                operation.cancelled_deliveries.to_string(),
                operation.released_micros.to_string(),
                operation.reason.clone().unwrap_or_default(),
            ]
        });
        page.table(&columns, rows, "no operations yet");
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow_id = match &args.workflow {
        Some(name) => Some(ctx.workflow(&account, name).await?.workflow_id),
        None => None,
    };
    let pool = ctx.pool().await?;
    let operations =
        operations::list(pool, account.account_id, workflow_id, args.after, args.limit).await?;
    out.data(&Operations { operations })?;
    Ok(Exit::Done)
}
