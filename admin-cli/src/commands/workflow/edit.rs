//! `dripline workflow edit`.

use std::path::PathBuf;

use dripline_domain::workflow::WorkflowDraft;
use dripline_store::account::Account;
use dripline_store::ops::{ActiveWorkflow, Edit, EditWorkflowError, edit_workflow};
use dripline_store::plan;
use dripline_store::workflow::WorkflowDetail;
use serde::Serialize;

use super::editor::{self, Edited};
use super::{checking, refusal};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::{Output, Report};
use crate::source::Source;
use crate::workflow_file;

/// Change an inactive workflow, by a file or in your editor. An active one refuses every change.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflow, by name or id.
    workflow: String,
    /// TOML file that says what it shall be; `-` is stdin. Without it, $VISUAL or $EDITOR opens.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only check the change.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Change {
    dry_run: bool,
    workflow_id: i64,
    name: String,
    changed: bool,
    revision: i64,
}

impl Report for Change {
    fn lay_out(&self, page: &mut Page) {
        let Self { name, revision, .. } = self;
        match (self.changed, self.dry_run) {
            (false, _) => page.line(format_args!("workflow `{name}` stays as it is")),
            (true, true) => page.line(format_args!("workflow `{name}` can be changed to this")),
            (true, false) => {
                page.line(format_args!("changed workflow `{name}` (revision {revision})"));
            }
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let detail = ctx.workflow_detail(&account, &args.workflow).await?;
    refuse_if_active(ctx, &detail, &account).await?;
    let (draft, session) = match &args.file {
        Some(path) => (Some(read(ctx, &account, &Source::open(path)?).await?), None),
        None => edit_in_editor(ctx, &account, &detail).await?,
    };
    let changed = draft.filter(|draft| *draft != detail.to_draft());
    let change = match (apply(ctx, &account, &detail, changed, args.dry_run).await, session) {
        (Err(error), Some(session)) => return Err(session.keep_after(error)?),
        (change, _) => change?,
    };
    out.data(&change)?;
    Ok(Exit::Done)
}

async fn apply(
    ctx: &Context,
    account: &Account,
    detail: &WorkflowDetail,
    draft: Option<WorkflowDraft>,
    dry_run: bool,
) -> anyhow::Result<Change> {
    let workflow = &detail.workflow;
    let mut change = Change {
        dry_run,
        workflow_id: workflow.workflow_id.0,
        name: workflow.name.clone(),
        changed: draft.is_some(),
        revision: workflow.revision,
    };
    if let Some(draft) = draft
        && !dry_run
    {
        change.name.clone_from(&draft.name);
        let edit = Edit {
            workflow_id: workflow.workflow_id,
            draft,
            expected_revision: Some(workflow.revision),
            actor: ctx.actor.clone(),
        };
        let edited = edit_workflow(ctx.pool().await?, &ctx.clock, &edit).await;
        let explain = |error| refusal::edit(error, &workflow.name, &account.currency);
        change.revision = edited.map_err(explain)?.revision;
    }
    Ok(change)
}

async fn read(ctx: &Context, account: &Account, source: &Source) -> anyhow::Result<WorkflowDraft> {
    let file = workflow_file::read(source)?;
    checking::check(ctx, account, source, &file).await?;
    Ok(file.draft)
}

/// Lets the operator edit until the text is right or they give up. `None`: nothing was changed.
async fn edit_in_editor(
    ctx: &Context,
    account: &Account,
    detail: &WorkflowDetail,
) -> anyhow::Result<(Option<WorkflowDraft>, Option<editor::Session>)> {
    let mut session = editor::Session::begin(&workflow_file::write(&detail.to_draft()))?;
    loop {
        let Edited::Text(source) = session.edit()? else { return Ok((None, None)) };
        match read(ctx, account, &source).await {
            Ok(draft) => return Ok((Some(draft), Some(session))),
            Err(error) => session.ask_to_go_on(&error)?,
        }
    }
}

/// Refuses before anybody writes a text for nothing. The change itself checks again, under lock.
async fn refuse_if_active(
    ctx: &Context,
    detail: &WorkflowDetail,
    account: &Account,
) -> anyhow::Result<()> {
    let workflow = &detail.workflow;
    if let Some(operation_id) = workflow.purged_by {
        let name = workflow.name.clone();
        let error = EditWorkflowError::PurgeUnfinished { name, operation_id };
        return Err(refusal::edit(error, &workflow.name, &account.currency));
    }
    let Some(activity) = workflow.active else { return Ok(()) };
    let active = ActiveWorkflow {
        name: workflow.name.clone(),
        contacts: activity.contacts,
        since: activity.since,
        pause: plan::pause(ctx.pool().await?, workflow.workflow_id).await?,
    };
    Err(refusal::active(&active, &account.currency).into())
}
