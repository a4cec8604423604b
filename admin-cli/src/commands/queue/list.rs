//! `dripline queue list`.

use dripline_domain::delivery::DeliveryState;
use dripline_store::listing::queue::{self, QueueFilter, QueueListing};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::words::time;
use crate::output::{Output, Report};

/// List the account's messages that are not settled, in the order they are due.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of this workflow.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only in this state: queued, sending or unknown.
    #[arg(long, value_name = "STATE")]
    state: Option<DeliveryState>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

#[derive(Serialize)]
struct QueueReport {
    queue: Vec<QueueListing>,
}

impl Report for QueueReport {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Text("DUE"),
            Column::Number("DELIVERY"),
            Column::Text("WORKFLOW"),
            Column::Number("STEP"),
            Column::Text("PHONE"),
            Column::Text("STATE"),
            Column::Number("ATTEMPT"),
            Column::Text("TICKET"),
        ];
        let rows = self.queue.iter().map(|row| {
            vec![
                time(row.due_at),
                row.delivery_id.to_string(),
                row.workflow.clone(),
                row.position.to_string(),
                row.phone.to_string(),
                row.state.to_string(),
                row.attempt.to_string(),
                ticket(row),
            ]
        });
        page.table(&columns, rows, "nothing waits");
    }
}

fn ticket(row: &QueueListing) -> String {
    match (&row.ticket, row.state) {
        (Some(ticket), _) => match &ticket.worker {
            Some(worker) => format!("{} by {worker}", ticket.status),
            None => ticket.status.clone(),
        },
        (None, DeliveryState::Queued) => "lost; a sweep replaces it".to_owned(),
        (None, _) => String::new(),
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow_id = match &args.workflow {
        Some(name) => Some(ctx.workflow(&account, name).await?.workflow_id),
        None => None,
    };
    let filter = QueueFilter { workflow_id, state: args.state, after: None, limit: args.limit };
    let queue = queue::list(ctx.pool().await?, account.account_id, &filter).await?;
    out.data(&QueueReport { queue })?;
    Ok(Exit::Done)
}
