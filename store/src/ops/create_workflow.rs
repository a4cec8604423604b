//! Creates a workflow at the end of its account's order.

use std::collections::BTreeMap;

use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, RouteId, WorkflowId};
use dripline_domain::workflow::{InvalidWorkflow, StepDraft, WorkflowDraft};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use crate::crash::{Commit, commit};
use crate::trail::{self, Deed};
use crate::{Pool, StoreError, advisory, position, route, row, step};

/// A new workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CreatedWorkflow {
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Its place in the account's order: the last.
    pub position: u32,
}

/// A step names a route that the account does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {position} names the route `{name}`, which does not exist")]
pub struct RouteNotFound {
    /// The step, from 1.
    pub position: usize,
    /// The name.
    pub name: String,
}

/// Why no workflow was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateWorkflowError {
    /// No such account.
    #[error("account {0} does not exist")]
    AccountNotFound(AccountId),
    /// The account has one of that name.
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

impl From<sqlx::Error> for CreateWorkflowError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Creates the workflow. Its templates have been checked by their renderers before.
pub async fn create_workflow(
    pool: &Pool,
    clock: &dyn Clock,
    account_id: AccountId,
    draft: &WorkflowDraft,
    actor: &str,
) -> Result<CreatedWorkflow, CreateWorkflowError> {
    draft.validate()?;
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let workflow_id = sqlx::query_scalar!(
        "INSERT INTO workflows (account_id, name, surplus_policy, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $4) RETURNING workflow_id",
        account_id.0,
        draft.name,
        draft.surplus_policy.as_str(),
        now,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| {
        if row::breaks(&error, NAMES_ARE_UNIQUE) {
            CreateWorkflowError::NameTaken(draft.name.clone())
        } else if row::breaks(&error, "workflows_account_id_fkey") {
            CreateWorkflowError::AccountNotFound(account_id)
        } else {
            error.into()
        }
    })?;
    let workflow_id = WorkflowId(workflow_id);
    let routes = find_routes(&mut tx, account_id, &draft.steps).await??;
    step::insert_all(&mut tx, workflow_id, &draft.steps, &routes).await?;
    // After the name is taken: whoever waited for it holds nothing that others wait for.
    advisory::lock_order(&mut tx, account_id).await?;
    let position = position::append(&mut tx, account_id, workflow_id).await?;
    let deed = Deed {
        account_id: Some(account_id),
        actor,
        action: "workflow.create",
        subject: &draft.name,
        detail: json!({ "workflow_id": workflow_id, "steps": draft.steps.len() }),
        at: now,
    };
    trail::record(&mut tx, &deed).await?;
    commit(tx, Commit::CreateWorkflow).await?;
    Ok(CreatedWorkflow { workflow_id, position: row::ordinal(position) })
}

/// The index that keeps the names of an account's workflows apart.
pub(super) const NAMES_ARE_UNIQUE: &str = "workflow_names_are_unique_in_an_account";

/// The ids of the routes that the steps name, or the first name that has none.
pub(super) async fn find_routes(
    conn: &mut PgConnection,
    account_id: AccountId,
    steps: &[StepDraft],
) -> Result<Result<BTreeMap<String, RouteId>, RouteNotFound>, StoreError> {
    let names: Vec<String> = steps.iter().map(|step| step.route.clone()).collect();
    let routes = route::ids_by_name(conn, account_id, &names).await?;
    let missing = (1..).zip(names).find(|(_, name)| !routes.contains_key(name));
    Ok(match missing {
        Some((position, name)) => Err(RouteNotFound { position, name }),
        None => Ok(routes),
    })
}
