//! Changes a workflow that nobody is in.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, OperationId, WorkflowId};
use dripline_domain::workflow::{InvalidWorkflow, WorkflowDraft};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::create_workflow::{NAMES_ARE_UNIQUE, RouteNotFound, find_routes};
use crate::crash::{Commit, commit};
use crate::plan::{self, PausePlan};
use crate::retries::Retries;
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, advisory, row, step, workflow};

/// A change of a workflow: everything that it shall be afterwards.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Which one.
    pub workflow_id: WorkflowId,
    /// What it shall be. Another name renames it.
    pub draft: WorkflowDraft,
    /// The revision that the change was made from; refuses when there is a later one.
    pub expected_revision: Option<i64>,
    /// Who changes it.
    pub actor: String,
}

/// A changed workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Edited {
    /// Its revision now.
    pub revision: i64,
}

/// Why an active workflow cannot be changed, and what it would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActiveWorkflow {
    /// Its name.
    pub name: String,
    /// How many contacts are in it.
    pub contacts: u64,
    /// When the first of them was enrolled.
    pub since: DateTime<Utc>,
    /// What a pause would do.
    pub pause: PausePlan,
}

/// Why a workflow was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditWorkflowError {
    /// No such workflow, or it was deleted.
    #[error("workflow {0} does not exist")]
    NotFound(WorkflowId),
    /// Contacts are in it.
    #[error("workflow `{}` is active: {} contacts are in it since {}", .0.name, .0.contacts, .0.since)]
    Active(Box<ActiveWorkflow>),
    /// A pause has begun and is still taking contacts out.
    #[error(
        "workflow `{name}` is being paused by operation {operation_id}, which has not finished"
    )]
    PurgeUnfinished {
        /// Its name.
        name: String,
        /// The operation.
        operation_id: OperationId,
    },
    /// Somebody changed it since it was read.
    #[error("the workflow is at revision {found}, not {expected}; somebody changed it meanwhile")]
    Changed {
        /// What the caller had read.
        expected: i64,
        /// What stands there now.
        found: i64,
    },
    /// The account has another one of that name.
    #[error("a workflow named `{0}` exists already")]
    NameTaken(String),
    /// A step's route does not exist.
    #[error(transparent)]
    RouteNotFound(#[from] RouteNotFound),
    /// The draft cannot be a workflow.
    #[error(transparent)]
    Invalid(#[from] InvalidWorkflow),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for EditWorkflowError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Changes the workflow. The check that nobody is in it and the change are one transaction under
/// the workflow's lock, which every enrolment shares: none can slip in between, and one that was
/// priced before is refused by its revision.
pub async fn edit_workflow(
    pool: &Pool,
    clock: &dyn Clock,
    edit: &Edit,
) -> Result<Edited, EditWorkflowError> {
    edit.draft.validate()?;
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, edit).await {
            // Two that take each other's names wait for each other.
            Err(EditWorkflowError::Store(error)) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn run(pool: &Pool, clock: &dyn Clock, edit: &Edit) -> Result<Edited, EditWorkflowError> {
    let Edit { workflow_id, draft, .. } = edit;
    let now = clock.now();
    let mut tx = pool.begin().await?;
    advisory::close_gate(&mut tx, *workflow_id).await?;
    let before = sqlx::query!(
        "SELECT account_id, name, revision FROM workflows
         WHERE workflow_id = $1 AND deleted_at IS NULL FOR UPDATE",
        workflow_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(EditWorkflowError::NotFound(*workflow_id))?;
    if let Some(expected) = edit.expected_revision
        && expected != before.revision
    {
        return Err(EditWorkflowError::Changed { expected, found: before.revision });
    }
    refuse_if_active(&mut tx, *workflow_id, &before.name).await?;
    let account_id = AccountId(before.account_id);
    let routes = find_routes(&mut tx, account_id, &draft.steps).await??;
    let revision = sqlx::query_scalar!(
        "UPDATE workflows
         SET name = $2, surplus_policy = $3, revision = revision + 1, updated_at = $4
         WHERE workflow_id = $1 RETURNING revision",
        workflow_id.0,
        draft.name,
        draft.surplus_policy.as_str(),
        now,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| {
        if row::breaks(&error, NAMES_ARE_UNIQUE) {
            EditWorkflowError::NameTaken(draft.name.clone())
        } else {
            error.into()
        }
    })?;
    step::remove_all(&mut tx, *workflow_id).await?;
    step::insert_all(&mut tx, *workflow_id, &draft.steps, &routes).await?;
    let deed = Deed {
        account_id: Some(account_id),
        actor: &edit.actor,
        action: "workflow.edit",
        subject: &draft.name,
        detail: json!({
            "workflow_id": workflow_id,
            "revision": revision,
            "name_before": before.name,
            "steps": draft.steps.len(),
        }),
        at: now,
    };
    trail::record(&mut tx, &deed).await?;
    commit(tx, Commit::EditWorkflow).await?;
    Ok(Edited { revision })
}

/// Needs the workflow's lock, taken in a statement before, so that this one sees every enrolment
/// that came first.
async fn refuse_if_active(
    conn: &mut PgConnection,
    workflow_id: WorkflowId,
    name: &str,
) -> Result<(), EditWorkflowError> {
    let name = name.to_owned();
    let unfinished = sqlx::query_scalar!(
        "SELECT operation_id FROM operations WHERE workflow_id = $1 AND finished_at IS NULL
           AND closed_epoch IS NOT NULL
         ORDER BY operation_id LIMIT 1",
        workflow_id.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(operation_id) = unfinished {
        return Err(EditWorkflowError::PurgeUnfinished { name, operation_id: operation_id.into() });
    }
    let Some(active) = workflow::active(conn, workflow_id).await? else { return Ok(()) };
    let pause = plan::pause_in(conn, workflow_id).await?;
    Err(EditWorkflowError::Active(Box::new(ActiveWorkflow {
        name,
        contacts: active.contacts,
        since: active.since,
        pause,
    })))
}
