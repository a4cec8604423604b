//! Failed deliveries, and which of them can be requeued.

use chrono::{DateTime, Utc};
use dripline_domain::contact::Fields;
use dripline_domain::delivery::Reason;
use dripline_domain::ids::{AccountId, ContactId, DeliveryId, WorkflowId};
use dripline_domain::phone::Phone;
use serde::Serialize;
use sqlx::types::Json;

use crate::{Pool, StoreError, row};

/// A failed delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedDelivery {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name, also when it was deleted since.
    pub workflow: String,
    /// The contact.
    pub contact_id: ContactId,
    /// The contact's number.
    pub phone: Phone,
    /// What templates can use.
    #[serde(skip)]
    pub fields: Fields,
    /// Which step failed, from 1.
    pub position: u32,
    /// When.
    pub failed_at: DateTime<Utc>,
    /// Why.
    pub reason: Reason,
    /// Why it cannot be requeued now. `None`: it can.
    pub obstacle: Option<RequeueObstacle>,
}

/// Why a failed delivery cannot be requeued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequeueObstacle {
    /// It has not failed, or is not of this workflow.
    NotFailed,
    /// It was requeued before; what came of that is another delivery.
    AlreadyRequeued,
    /// Somebody says that it was sent after all.
    SaidSent,
    /// Its workflow is deleted.
    WorkflowDeleted,
    /// Its workflow was edited since the contact was enrolled, so that its steps are other ones.
    WorkflowEdited,
    /// The contact asked to hear nothing more.
    OptedOut,
    /// The contact is in this workflow.
    AlreadyEnrolled,
    /// The contact is in another workflow, and the account allows one at a time.
    InOtherWorkflow {
        /// The other workflow's name.
        workflow: String,
    },
}

/// Which failed deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedFilter {
    /// Only of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Only with this reason code.
    pub reason_code: Option<String>,
    /// Only those that failed then or later.
    pub since: Option<DateTime<Utc>>,
    /// Only these.
    pub delivery_ids: Option<Vec<DeliveryId>>,
}

/// A page of the account's failed deliveries, latest first. `after` continues behind that one.
pub async fn page(
    pool: &Pool,
    account_id: AccountId,
    filter: &FailedFilter,
    after: Option<DeliveryId>,
    limit: i64,
) -> Result<Vec<FailedDelivery>, StoreError> {
    let ids = filter.delivery_ids.as_ref();
    let ids: Option<Vec<i64>> = ids.map(|ids| ids.iter().map(|id| id.0).collect());
    let rows = sqlx::query_file!(
        "queries/delivery/failed.sql",
        account_id.0,
        filter.workflow_id.map(|id| id.0),
        filter.reason_code.as_deref(),
        filter.since,
        ids.as_deref(),
        after.map(|id| id.0),
        limit,
    )
    .fetch_all(pool)
    .await?;
    let failed = rows.into_iter().map(|r| {
        let obstacle = if r.requeued {
            Some(RequeueObstacle::AlreadyRequeued)
        } else if r.said_sent {
            Some(RequeueObstacle::SaidSent)
        } else if r.deleted {
            Some(RequeueObstacle::WorkflowDeleted)
        } else if !r.unedited {
            Some(RequeueObstacle::WorkflowEdited)
        } else if r.opted_out {
            Some(RequeueObstacle::OptedOut)
        } else if r.enrolled {
            Some(RequeueObstacle::AlreadyEnrolled)
        } else {
            r.other_workflow.map(|workflow| RequeueObstacle::InOtherWorkflow { workflow })
        };
        Ok(FailedDelivery {
            delivery_id: r.delivery_id.into(),
            workflow_id: r.workflow_id.into(),
            workflow: r.workflow,
            contact_id: r.contact_id.into(),
            phone: row::phone(&r.phone, r.contact_id)?,
            fields: r.fields.0,
            position: row::ordinal(r.position),
            failed_at: r.failed_at,
            reason: Reason::new(r.reason_code, r.reason_text.unwrap_or_default()),
            obstacle,
        })
    });
    failed.collect()
}
