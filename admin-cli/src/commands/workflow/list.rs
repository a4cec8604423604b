//! `dripline workflow list`.

use dripline_store::workflow::{self, Workflow};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::words::{count, time};
use crate::output::{Output, Report};

/// List the account's workflows in their order, the order of every list and picker.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Workflows {
    workflows: Vec<Workflow>,
}

impl Report for Workflows {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Number("#"),
            Column::Text("NAME"),
            Column::Number("STEPS"),
            Column::Text("STATE"),
            Column::Text("SURPLUS"),
            Column::Text("CHANGED"),
        ];
        let rows = self.workflows.iter().map(|workflow| {
            vec![
                workflow.position.to_string(),
                workflow.name.clone(),
                workflow.step_count.to_string(),
                state(workflow),
                workflow.surplus_policy.to_string(),
                time(workflow.updated_at),
            ]
        });
        page.table(&columns, rows, "no workflows yet");
    }
}

/// Whether a workflow is active, as people read it.
pub(super) fn state(workflow: &Workflow) -> String {
    match (workflow.active, workflow.purged_by) {
        (_, Some(operation)) => format!("being paused by operation {operation}"),
        (Some(active), None) => {
            format!("active: {} since {}", count(active.contacts, "contact"), time(active.since))
        }
        (None, None) => "inactive".to_owned(),
    }
}

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflows = workflow::list(ctx.pool().await?, account.account_id).await?;
    out.data(&Workflows { workflows })?;
    Ok(Exit::Done)
}
