//! `dripline enrollment add`.

use dripline_domain::money::Micros;
use dripline_store::account::Account;

use super::choice::{self, Choice};
use super::enrolling;
use super::pricing::{self, Priced};
use super::report::{AddReport, Plan};
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, refuse, usage};
use crate::money;
use crate::output::Output;
use crate::output::words::{count, shell_word};

/// Enrol contacts: price every message for every contact, hold the sum, begin.
///
/// The whole sequence is paid now: every step is rendered for each contact, its segments are counted,
/// and the sum is held. --dry-run shows the exact price and enrols nobody. When the balance does not
/// cover it, nobody is enrolled. Repeating the command is safe: who is in the workflow is skipped.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflow, by name or id.
    workflow: String,
    #[command(flatten)]
    choice: choice::Args,
    #[command(flatten)]
    confirm: confirm::Args,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    if args.choice.is_empty() {
        return Err(usage("say whom to enrol")
            .hint("--all, --phone, --file or --from-operation, and --where for some of them")
            .into());
    }
    let account = ctx.account().await?;
    let detail = ctx.workflow_detail(&account, &args.workflow).await?;
    let workflow = &detail.workflow;
    if let Some(operation) = workflow.purged_by {
        return Err(refuse(format!(
            "operation {operation} is still taking contacts out of `{}`",
            workflow.name,
        ))
        .hint(format!("`dripline operation show {operation}` shows how far it is"))
        .into());
    }
    let partial = args.choice.partial;
    let choice = args.choice.read(ctx, &account).await?;
    if !choice.audience.conditions.enrollment.is_empty() {
        return Err(usage("`step` and `enrolled` speak of contacts who are in a workflow").into());
    }
    let priced = pricing::price(ctx, &account, &detail, &choice.audience).await?;
    let plan = make_plan(ctx, &account, &choice, &priced).await?;
    let dry_run = args.confirm.is_dry_run();
    let mut report = AddReport::new(dry_run, workflow, &account, plan);
    if dry_run {
        report.prices = priced.lines();
    }
    if let Some(failure) = obstacle(&report, &account, partial) {
        out.data(&report)?;
        return Err(failure.into());
    }
    if priced.contacts.is_empty() {
        out.note("nobody is to be enrolled");
        out.data(&report)?;
        return Ok(Exit::Done);
    }
    let question = format!(
        "Enrol {} in `{}` and hold {}?",
        count(report.plan.contacts, "contact"),
        workflow.name,
        money::show(report.plan.needed_micros, &account.currency),
    );
    let Some(confirmed) = args.confirm.ask(out, &report, &question)? else {
        return Ok(Exit::Done);
    };
    let done = enrolling::enrol(ctx, &detail, &account, priced, confirmed).await?;
    report.enrolled = Some(done);
    out.data(&report)?;
    Ok(Exit::Done)
}

async fn make_plan(
    ctx: &Context,
    account: &Account,
    choice: &Choice,
    priced: &Priced,
) -> anyhow::Result<Plan> {
    let balance = crate::commands::account::balance::read_balance(ctx, account).await?;
    let needed = priced.total();
    let missing =
        if needed > balance.available { needed - balance.available } else { Micros::ZERO };
    Ok(Plan {
        contacts: priced.contacts.len() as u64,
        messages: priced.messages(),
        segments: priced.segments(),
        needed_micros: needed,
        available_micros: balance.available,
        missing_micros: missing,
        skipped: priced.skipped,
        unpriced: priced.unpriced.clone(),
        unknown_phones: choice.unknown_phones.clone(),
        bad_rows: choice.bad_rows.clone(),
    })
}

/// What stands in the way of the whole enrolment.
fn obstacle(report: &AddReport, account: &Account, partial: bool) -> Option<Failure> {
    let plan = &report.plan;
    let wrong = plan.bad_rows.len() + plan.unknown_phones.len() + plan.unpriced.len();
    if wrong > 0 && !partial {
        let mut parts = Vec::new();
        let mut part = |number: usize, noun: &str, what: &str| {
            if number > 0 {
                parts.push(format!("{} {what}", count(number as u64, noun)));
            }
        };
        part(plan.bad_rows.len(), "bad row", "in the file");
        part(plan.unknown_phones.len(), "number", "that no contact has");
        part(plan.unpriced.len(), "contact", "whose messages cannot be rendered");
        return Some(
            refuse(format!("nobody was enrolled: {}", parts.join(", ")))
                .hint("correct them, or pass --partial to enrol the others"),
        );
    }
    if plan.missing_micros > Micros::ZERO {
        let show = |amount| money::show(amount, &account.currency);
        return Some(
            refuse(format!(
                "nobody was enrolled: {} needed, {} available, {} missing",
                show(plan.needed_micros),
                show(plan.available_micros),
                show(plan.missing_micros),
            ))
            .hint(format!(
                "`dripline account topup {} {}` puts in what is missing",
                shell_word(&account.name),
                plan.missing_micros,
            )),
        );
    }
    None
}
