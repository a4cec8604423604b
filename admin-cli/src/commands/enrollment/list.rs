//! `dripline enrollment list`.

use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{EnrollmentId, OperationId};
use dripline_store::listing::enrollments::{self, EnrollmentFilter, EnrollmentListing};
use serde::Serialize;

use super::{condition, rows};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::words::time;
use crate::output::{Output, Report};

/// List enrollments, newest first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of this workflow.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only of this contact, by phone number or id.
    #[arg(long, value_name = "CONTACT", allow_hyphen_values = true)]
    contact: Option<String>,
    /// Only live ones (true) or ended ones (false).
    #[arg(long, value_name = "BOOL")]
    live: Option<bool>,
    /// Only those that ended for this cause, for example `workflow_paused`.
    #[arg(long, value_name = "CAUSE")]
    cause: Option<ExitCause>,
    /// Only those that this pause, deletion or removal ended.
    #[arg(long, value_name = "ID")]
    operation: Option<OperationId>,
    #[command(flatten)]
    conditions: condition::Args,
    /// Continue the list after the enrollment with this id.
    #[arg(long, value_name = "ID")]
    after: Option<EnrollmentId>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

#[derive(Serialize)]
struct Enrollments {
    enrollments: Vec<EnrollmentListing>,
}

impl Report for Enrollments {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Number("ID"),
            Column::Text("WORKFLOW"),
            Column::Text("PHONE"),
            Column::Text("STEP"),
            Column::Text("STATE"),
            Column::Text("ENROLLED"),
            Column::Number("HELD"),
            Column::Number("SPENT"),
            Column::Number("REFUNDED"),
        ];
        let rows = self.enrollments.iter().map(|enrollment| {
            let state = match &enrollment.exit {
                Some(exit) => exit.cause.to_string(),
                None => rows::next_message(enrollment),
            };
            vec![
                enrollment.enrollment_id.to_string(),
                enrollment.workflow.clone(),
                enrollment.phone.to_string(),
                rows::step(enrollment),
                state,
                time(enrollment.enrolled_at),
                enrollment.held_micros.to_string(),
                enrollment.captured_micros.to_string(),
                enrollment.released_micros.to_string(),
            ]
        });
        page.table(&columns, rows, "no enrollments");
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow_id = match &args.workflow {
        Some(name) => Some(ctx.workflow(&account, name).await?.workflow_id),
        None => None,
    };
    let contact_id = match &args.contact {
        Some(contact) => Some(ctx.contact(&account, contact).await?.contact_id),
        None => None,
    };
    let filter = EnrollmentFilter {
        workflow_id,
        contact_id,
        live: args.live,
        cause: args.cause,
        operation_id: args.operation,
        conditions: args.conditions.read(),
        after: args.after,
        limit: args.limit,
    };
    let enrollments = enrollments::list(ctx.pool().await?, account.account_id, &filter).await?;
    out.data(&Enrollments { enrollments })?;
    Ok(Exit::Done)
}
