//! `dripline delivery list`.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::{DeliveryId, EnrollmentId};
use dripline_store::listing::deliveries::{self, DeliveryFilter, DeliveryListing, StateCount};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::words::time;
use crate::output::{Output, Report};

/// List messages, newest first, with how many there are in each state.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of this workflow.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only to this contact, by phone number or id.
    #[arg(long, value_name = "CONTACT", allow_hyphen_values = true)]
    contact: Option<String>,
    /// Only of this enrollment.
    #[arg(long, value_name = "ID")]
    enrollment: Option<EnrollmentId>,
    /// Only in this state: queued, sending, unknown, sent, failed, cancelled or expired.
    #[arg(long, value_name = "STATE")]
    state: Option<DeliveryState>,
    /// Only those about which later evidence contradicts what was decided.
    #[arg(long)]
    contradicted: bool,
    /// Only with this reason, such as `connect` or `twilio:30006`.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Continue the list after the delivery with this id.
    #[arg(long, value_name = "ID")]
    after: Option<DeliveryId>,
    /// At most so many; 0 for only the counts.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
}

#[derive(Serialize)]
struct Deliveries {
    /// Of the account, or of the workflow that was named; the other filters do not count.
    states: Vec<StateCount>,
    deliveries: Vec<DeliveryListing>,
}

impl Report for Deliveries {
    fn lay_out(&self, page: &mut Page) {
        lay_out_states(&self.states, page);
        page.gap();
        let columns = [
            Column::Number("ID"),
            Column::Text("WORKFLOW"),
            Column::Number("STEP"),
            Column::Text("PHONE"),
            Column::Text("STATE"),
            Column::Number("ATTEMPT"),
            Column::Text("DUE"),
            Column::Number("HELD"),
            Column::Number("TAKEN"),
            Column::Number("GIVEN BACK"),
            Column::Text("REASON"),
        ];
        let rows = self.deliveries.iter().map(|delivery| {
            vec![
                delivery.delivery_id.to_string(),
                delivery.workflow.clone(),
                delivery.position.to_string(),
                delivery.phone.to_string(),
                delivery.state.to_string(),
                delivery.attempt.to_string(),
                time(delivery.due_at),
                delivery.held_micros.to_string(),
                delivery.captured_micros.to_string(),
                delivery.released_micros.to_string(),
                delivery.reason.as_ref().map(|reason| reason.code.clone()).unwrap_or_default(),
            ]
        });
        page.table(&columns, rows, "no messages");
    }
}

fn lay_out_states(states: &[StateCount], page: &mut Page) {
    let columns = [
        Column::Text("STATE"),
        Column::Number("MESSAGES"),
        Column::Number("SEGMENTS"),
        Column::Number("TAKEN"),
        Column::Number("GIVEN BACK"),
    ];
    let rows = states.iter().map(|count| {
        vec![
            count.state.to_string(),
            count.deliveries.to_string(),
            count.held_segments.to_string(),
            count.captured_micros.to_string(),
            count.released_micros.to_string(),
        ]
    });
    page.table(&columns, rows, "");
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
    let filter = DeliveryFilter {
        workflow_id,
        contact_id,
        enrollment_id: args.enrollment,
        state: args.state,
        contradicted: args.contradicted,
        reason_code: args.reason,
        after: args.after,
        limit: args.limit,
    };
    let pool = ctx.pool().await?;
    let states = deliveries::counts(pool, account.account_id, workflow_id).await?;
    let deliveries = deliveries::list(pool, account.account_id, &filter).await?;
    out.data(&Deliveries { states, deliveries })?;
    Ok(Exit::Done)
}
