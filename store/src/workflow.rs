//! Workflows in their order, with what is known about who is in them.

use chrono::{DateTime, Utc};
use dripline_domain::ids::{AccountId, OperationId, WorkflowId};
use dripline_domain::workflow::{SurplusPolicy, WorkflowDraft};
use serde::Serialize;
use sqlx::PgConnection;

use crate::step::{self, Step};
use crate::{Pool, StoreError, row};

/// A workflow that has not been deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workflow {
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Its name, unique among the account's workflows.
    pub name: String,
    /// Its place in the account's order, from 1.
    pub position: u32,
    /// What happens when a text has become longer than what was held for it.
    pub surplus_policy: SurplusPolicy,
    /// Raised by every pause.
    pub epoch: i64,
    /// Raised by every edit.
    pub revision: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// How many steps it has.
    pub step_count: u64,
    /// Who is in it. `None`: nobody, so it is inactive.
    pub active: Option<Activity>,
    /// The pause that is still taking contacts out of it.
    pub purged_by: Option<OperationId>,
}

/// Who is in an active workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// How many contacts.
    pub contacts: u64,
    /// When the first of them was enrolled.
    pub since: DateTime<Utc>,
}

/// A workflow with its steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkflowDetail {
    /// The workflow.
    #[serde(flatten)]
    pub workflow: Workflow,
    /// Its messages, in the order in which they are sent.
    pub steps: Vec<Step>,
}

/// What a picker shows of a workflow, in the order of every other list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkflowChoice {
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Its name.
    pub name: String,
    /// Its place in the account's order, from 1.
    pub position: u32,
}

impl WorkflowDetail {
    /// The workflow as its author writes it, for a file.
    pub fn to_draft(&self) -> WorkflowDraft {
        WorkflowDraft {
            name: self.workflow.name.clone(),
            surplus_policy: self.workflow.surplus_policy,
            steps: self.steps.iter().map(Step::to_draft).collect(),
        }
    }
}

/// The account's workflows in their order.
pub async fn list(pool: &Pool, account_id: AccountId) -> Result<Vec<Workflow>, StoreError> {
    select(pool, Some(account_id), None, None).await
}

/// The account's workflows in their order, for choosing one to add contacts to.
pub async fn choices(
    pool: &Pool,
    account_id: AccountId,
) -> Result<Vec<WorkflowChoice>, StoreError> {
    let rows = sqlx::query!(
        "SELECT w.workflow_id, w.name, p.position
         FROM workflow_positions p JOIN workflows w USING (workflow_id)
         WHERE p.account_id = $1 AND w.deleted_at IS NULL
         ORDER BY p.position",
        account_id.0,
    )
    .fetch_all(pool)
    .await?;
    let choices = rows.into_iter().map(|r| WorkflowChoice {
        workflow_id: r.workflow_id.into(),
        name: r.name,
        position: row::ordinal(r.position),
    });
    Ok(choices.collect())
}

/// The workflow with that id, unless it was deleted.
pub async fn load(pool: &Pool, id: WorkflowId) -> Result<Option<Workflow>, StoreError> {
    Ok(select(pool, None, Some(id), None).await?.pop())
}

/// The account's workflow of that name.
pub async fn find(
    pool: &Pool,
    account_id: AccountId,
    name: &str,
) -> Result<Option<Workflow>, StoreError> {
    Ok(select(pool, Some(account_id), None, Some(name)).await?.pop())
}

/// The workflow with its steps, unless it was deleted.
pub async fn show(pool: &Pool, id: WorkflowId) -> Result<Option<WorkflowDetail>, StoreError> {
    let Some(workflow) = load(pool, id).await? else { return Ok(None) };
    let steps = step::list(pool, id).await?;
    Ok(Some(WorkflowDetail { workflow, steps }))
}

async fn select(
    pool: &Pool,
    account_id: Option<AccountId>,
    id: Option<WorkflowId>,
    name: Option<&str>,
) -> Result<Vec<Workflow>, StoreError> {
    let rows = sqlx::query_file!(
        "queries/workflow/select.sql",
        account_id.map(|id| id.0),
        id.map(|id| id.0),
        name,
    )
    .fetch_all(pool)
    .await?;
    let workflows = rows.into_iter().map(|r| {
        let policy = row::read(&r.surplus_policy, "workflows", "surplus_policy", r.workflow_id)?;
        Ok(Workflow {
            workflow_id: r.workflow_id.into(),
            account_id: r.account_id.into(),
            name: r.name,
            position: row::ordinal(r.position),
            surplus_policy: policy,
            epoch: r.epoch,
            revision: r.revision,
            created_at: r.created_at,
            updated_at: r.updated_at,
            step_count: row::count(r.steps),
            active: activity(r.contacts, r.since),
            purged_by: r.purged_by.map(OperationId),
        })
    });
    workflows.collect()
}

/// Who is in the workflow now, as this transaction sees it.
pub async fn active(
    conn: &mut PgConnection,
    id: WorkflowId,
) -> Result<Option<Activity>, StoreError> {
    let sums = sqlx::query!(
        r#"SELECT count(*) AS "contacts!", min(enrolled_at) AS since
           FROM enrollments WHERE workflow_id = $1 AND exit_cause IS NULL"#,
        id.0,
    )
    .fetch_one(conn)
    .await?;
    Ok(activity(sums.contacts, sums.since))
}

fn activity(contacts: i64, since: Option<DateTime<Utc>>) -> Option<Activity> {
    since.map(|since| Activity { contacts: row::count(contacts), since })
}
