//! `dripline workflow create`.

use std::path::PathBuf;

use dripline_store::ops::{CreateWorkflowError, CreatedWorkflow, create_workflow};
use serde::Serialize;

use super::checking;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::words::{count, shell_word};
use crate::output::{Output, Report};
use crate::source::Source;
use crate::workflow_file;

/// Create a workflow from a file; it is placed last. Routes, plugins and templates are checked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TOML file; `-` is stdin. `workflow export` writes one.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Only check the file.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Created {
    dry_run: bool,
    name: String,
    steps: usize,
    #[serde(flatten)]
    created: Option<CreatedWorkflow>,
}

impl Report for Created {
    fn lay_out(&self, page: &mut Page) {
        let Self { name, steps, .. } = self;
        let steps = count(u64::try_from(*steps).unwrap_or(u64::MAX), "step");
        match self.created {
            Some(CreatedWorkflow { position, workflow_id }) => page.line(format_args!(
                "created workflow `{name}` (id {workflow_id}) with {steps} at place {position}"
            )),
            None => page.line(format_args!("workflow `{name}` with {steps} is right")),
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let source = Source::open(&args.file)?;
    let file = workflow_file::read(&source)?;
    let account = ctx.account().await?;
    checking::check(ctx, &account, &source, &file).await?;
    let draft = file.draft;
    let created = if args.dry_run {
        None
    } else {
        let pool = ctx.pool().await?;
        let created =
            create_workflow(pool, &ctx.clock, account.account_id, &draft, &ctx.actor).await;
        Some(created.map_err(|error| explain(error, &draft.name))?)
    };
    let steps = draft.steps.len();
    out.data(&Created { dry_run: args.dry_run, name: draft.name, steps, created })?;
    Ok(Exit::Done)
}

fn explain(error: CreateWorkflowError, name: &str) -> anyhow::Error {
    match error {
        CreateWorkflowError::Store(error) => {
            anyhow::Error::new(error).context(format!("create workflow `{name}`"))
        }
        CreateWorkflowError::NameTaken(_) => refuse(error.to_string())
            .hint(format!("`dripline workflow edit {}` changes it", shell_word(name)))
            .into(),
        refused => refuse(refused.to_string()).into(),
    }
}
