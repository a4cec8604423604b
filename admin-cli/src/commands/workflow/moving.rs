//! `dripline workflow move`.

use dripline_domain::workflow::{Place, ReorderError};
use dripline_store::account::Account;
use dripline_store::ops::{MoveWorkflowError, Moved, move_workflow};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Give a workflow another place in the order; all others keep theirs among themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflow, by name or id.
    workflow: String,
    #[command(flatten)]
    place: PlaceArgs,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a flag, and the group allows one")]
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct PlaceArgs {
    /// To the first place.
    #[arg(long)]
    top: bool,
    /// To the last place.
    #[arg(long)]
    bottom: bool,
    /// One place up.
    #[arg(long)]
    up: bool,
    /// One place down.
    #[arg(long)]
    down: bool,
    /// To the place with this number, from 1.
    #[arg(long, value_name = "POSITION")]
    to: Option<u32>,
    /// Right before another workflow.
    #[arg(long, value_name = "WORKFLOW")]
    before: Option<String>,
    /// Right after another workflow.
    #[arg(long, value_name = "WORKFLOW")]
    after: Option<String>,
}

#[derive(Serialize)]
struct MovedReport {
    workflow: String,
    #[serde(flatten)]
    moved: Moved,
}

impl Report for MovedReport {
    fn lay_out(&self, page: &mut Page) {
        let Self { workflow, moved: Moved { from, to } } = self;
        if from == to {
            page.line(format_args!("`{workflow}` stays at place {to}"));
        } else {
            page.line(format_args!("moved `{workflow}` from place {from} to place {to}"));
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow = ctx.workflow(&account, &args.workflow).await?;
    let place = args.place.resolve(ctx, &account).await?;
    let pool = ctx.pool().await?;
    let moved = move_workflow(pool, &ctx.clock, workflow.workflow_id, place, &ctx.actor)
        .await
        .map_err(|error| match error {
            MoveWorkflowError::Store(error) => {
                anyhow::Error::new(error).context(format!("move workflow `{}`", workflow.name))
            }
            MoveWorkflowError::NoSuchPlace(ReorderError::ToItself(_)) => {
                refuse(format!("`{}` cannot be moved before or after itself", workflow.name)).into()
            }
            refused => refuse(refused.to_string()).into(),
        })?;
    out.data(&MovedReport { workflow: workflow.name, moved })?;
    Ok(Exit::Done)
}

impl PlaceArgs {
    async fn resolve(self, ctx: &Context, account: &Account) -> anyhow::Result<Place> {
        Ok(match self {
            Self { before: Some(name), .. } => {
                Place::Before(ctx.workflow(account, &name).await?.workflow_id)
            }
            Self { after: Some(name), .. } => {
                Place::After(ctx.workflow(account, &name).await?.workflow_id)
            }
            Self { to: Some(position), .. } => Place::Position(position),
            Self { top: true, .. } => Place::Top,
            Self { bottom: true, .. } => Place::Bottom,
            Self { up: true, .. } => Place::Up,
            // The group requires one of them, so this is the one that is left.
            _ => Place::Down,
        })
    }
}
