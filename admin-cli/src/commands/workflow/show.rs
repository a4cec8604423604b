//! `dripline workflow show`.

use chrono::{DateTime, Utc};
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::WorkflowId;
use dripline_domain::timing::WeekdaySet;
use dripline_store::account::Account;
use dripline_store::listing::enrollments;
use dripline_store::plan;
use dripline_store::step::Step;
use dripline_store::workflow::WorkflowDetail;
use serde::Serialize;

use super::list::state;
use super::taken::Taken;
use crate::context::Context;
use crate::exit::Exit;
use crate::money;
use crate::output::page::{Column, Page};
use crate::output::words::{count, time};
use crate::output::{Output, Report};
use crate::workflow_file::duration;

/// Show one workflow: its steps, its contacts, how contacts left it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflow, by name or id.
    workflow: String,
}

#[derive(Serialize)]
struct OneWorkflow {
    workflow: WorkflowDetail,
    currency: String,
    /// What a pause would do now.
    pause: Taken,
    /// How many contacts left, for each cause.
    exits: Vec<CauseCount>,
}

impl Report for OneWorkflow {
    fn lay_out(&self, page: &mut Page) {
        let WorkflowDetail { workflow, steps } = &self.workflow;
        let mut pairs = vec![
            ("workflow", workflow.name.clone()),
            ("id", workflow.workflow_id.to_string()),
            ("place", workflow.position.to_string()),
            ("state", state(workflow)),
            ("surplus", workflow.surplus_policy.to_string()),
            ("revision", workflow.revision.to_string()),
            ("changed", time(workflow.updated_at)),
        ];
        if workflow.active.is_some() {
            let plan = &self.pause;
            pairs.push((
                "waiting",
                format!("{}, {}", count(plan.messages, "message"), count(plan.segments, "segment")),
            ));
            pairs.push(("in flight", plan.in_flight.len().to_string()));
            pairs.push(("a pause refunds", money::show(plan.refund_micros, &self.currency)));
        }
        page.pairs(pairs);
        for step in steps {
            page.gap();
            lay_out_step(step, &self.currency, page);
        }
        page.gap();
        lay_out_causes(&self.exits, page);
    }
}

fn lay_out_step(step: &Step, currency: &str, page: &mut Page) {
    let timing = &step.timing;
    let mut pairs = vec![
        ("step", step.position.to_string()),
        ("route", format!("{} ({})", step.route, step.carrier)),
        ("price per segment", money::show(step.price_micros_per_segment, currency)),
        ("renderer", step.renderer.clone()),
        ("after", duration(timing.after)),
    ];
    pairs.extend(timing.at.map(|at| ("at", at.to_string())));
    if timing.days != WeekdaySet::EVERY_DAY {
        pairs.push(("days", timing.days.to_string()));
    }
    pairs.extend(timing.expires_after.map(|expires| ("expires after", duration(expires))));
    page.pairs(pairs);
    for line in step.template.lines() {
        page.line(format_args!("  | {line}"));
    }
}

/// How many contacts left for a cause.
#[derive(Debug, Serialize)]
pub(super) struct CauseCount {
    cause: ExitCause,
    contacts: u64,
    /// The last of these exits.
    last_at: DateTime<Utc>,
}

/// How contacts left a workflow, or all workflows of the account.
pub(super) async fn count_causes(
    ctx: &Context,
    account: &Account,
    workflow_id: Option<WorkflowId>,
) -> anyhow::Result<Vec<CauseCount>> {
    let exits = enrollments::exits(ctx.pool().await?, account.account_id, workflow_id).await?;
    let causes = exits.into_iter().map(|exit| CauseCount {
        cause: exit.cause,
        contacts: exit.contacts,
        last_at: exit.last_at,
    });
    Ok(causes.collect())
}

/// How many contacts left, for each cause.
pub(super) fn lay_out_causes(exits: &[CauseCount], page: &mut Page) {
    let columns = [Column::Text("LEFT BECAUSE"), Column::Number("CONTACTS"), Column::Text("LAST")];
    let rows = exits
        .iter()
        .map(|exit| vec![exit.cause.to_string(), exit.contacts.to_string(), time(exit.last_at)]);
    page.table(&columns, rows, "nobody has left yet");
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow = ctx.workflow_detail(&account, &args.workflow).await?;
    let workflow_id = workflow.workflow.workflow_id;
    let pool = ctx.pool().await?;
    let pause = plan::pause(pool, workflow_id).await?.into();
    let exits = count_causes(ctx, &account, Some(workflow_id)).await?;
    out.data(&OneWorkflow { workflow, currency: account.currency, pause, exits })?;
    Ok(Exit::Done)
}
