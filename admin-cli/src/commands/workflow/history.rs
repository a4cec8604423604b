//! `dripline workflow history`.

use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{EnrollmentId, WorkflowId};
use dripline_store::listing::enrollments::{self, EnrollmentFilter, EnrollmentListing};
use serde::Serialize;

use super::show::{CauseCount, count_causes, lay_out_causes};
use crate::commands::enrollment::rows;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// List who left a workflow, why, when, and what was refunded.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflow, by name or id (also of a deleted one); without one, all of the account's.
    workflow: Option<String>,
    /// Only those who left for this cause, for example `finished` or `workflow_paused`.
    #[arg(long, value_name = "CAUSE")]
    cause: Option<ExitCause>,
    /// Continue the list after the enrollment with this id.
    #[arg(long, value_name = "ID")]
    after: Option<EnrollmentId>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

#[derive(Serialize)]
struct History {
    /// How many left for each cause, of all, not only of this page.
    causes: Vec<CauseCount>,
    exits: Vec<EnrollmentListing>,
}

impl Report for History {
    fn lay_out(&self, page: &mut Page) {
        lay_out_causes(&self.causes, page);
        page.gap();
        rows::exits_table(&self.exits, page);
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow_id = match &args.workflow {
        // A deleted workflow has no name any more, and its id still has a history.
        Some(text) => match (ctx.workflow(&account, text).await, text.parse()) {
            (Ok(workflow), _) => Some(workflow.workflow_id),
            (Err(_), Ok(id)) => Some(WorkflowId(id)),
            (Err(error), Err(_)) => return Err(error),
        },
        None => None,
    };
    let filter = EnrollmentFilter {
        workflow_id,
        live: Some(false),
        cause: args.cause,
        after: args.after,
        limit: args.limit,
        ..EnrollmentFilter::default()
    };
    let pool = ctx.pool().await?;
    let causes = count_causes(ctx, &account, workflow_id).await?;
    let exits = enrollments::list(pool, account.account_id, &filter).await?;
    out.data(&History { causes, exits })?;
    Ok(Exit::Done)
}
