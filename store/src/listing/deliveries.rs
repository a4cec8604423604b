//! Messages: where each stands, what it cost, and how often it was tried.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::ids::{
    AccountId, ContactId, DeliveryId, EnrollmentId, LedgerEntryId, WorkflowId,
};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use serde::Serialize;

use super::evidence::{self, EvidenceListing, ReceiptListing};
use crate::{Pool, StoreError, row};

/// One step for one enrollment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryListing {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name, also when it was deleted since.
    pub workflow: String,
    /// The enrollment.
    pub enrollment_id: EnrollmentId,
    /// The contact.
    pub contact_id: ContactId,
    /// The contact's number.
    pub phone: Phone,
    /// Which step, from 1.
    pub position: u32,
    /// Where it stands.
    pub state: DeliveryState,
    /// Hand-overs so far.
    pub attempt: u32,
    /// When it is due, or was.
    pub due_at: DateTime<Utc>,
    /// Until when it may be sent.
    pub expires_at: Option<DateTime<Utc>>,
    /// What is or was held for it, in segments.
    pub held_segments: u64,
    /// The same in micros.
    pub held_micros: Micros,
    /// What was taken, in segments.
    pub captured_segments: u64,
    /// The same in micros.
    pub captured_micros: Micros,
    /// What came back, in segments.
    pub released_segments: u64,
    /// The same in micros.
    pub released_micros: Micros,
    /// The carrier's own id of the message.
    pub carrier_reference: Option<String>,
    /// Why it failed, or what is not known.
    pub reason: Option<Reason>,
    /// When it was queued first.
    pub created_at: DateTime<Utc>,
    /// When it reached its end.
    pub settled_at: Option<DateTime<Utc>>,
}

/// A delivery with its attempts and the entries that moved its money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryListing,
    /// Its ticket in the queue, while it is queued.
    pub ticket_id: Option<String>,
    /// The entry that held its money when the contact was enrolled.
    pub hold_entry_id: LedgerEntryId,
    /// The entry that took money for it.
    pub capture_entry_id: Option<LedgerEntryId>,
    /// The entry that gave money back for it.
    pub release_entry_id: Option<LedgerEntryId>,
    /// Its hand-overs, first one first.
    pub attempts: Vec<Attempt>,
    /// What was said about hand-overs of which nobody knew, first piece first.
    pub evidence: Vec<EvidenceListing>,
    /// What the carrier has reported on it.
    pub receipts: Vec<ReceiptListing>,
}

/// One hand-over of a delivery to a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Which one, from 1.
    pub attempt: u32,
    /// The worker that marked it, by name.
    pub worker: Option<String>,
    /// The route that it went over, by name.
    pub route: Option<String>,
    /// The segments of the text.
    pub segments: u32,
    /// What a longer text added to the hold, in micros.
    pub extra_micros: Micros,
    /// When it was marked.
    pub started_at: DateTime<Utc>,
    /// `accepted`, `refused`, `not_sent` or `unknown`; `presumed_sent` when no evidence came in time,
    /// `repeated` when a later attempt under the same key decides for it. `None`: nobody knows yet.
    pub outcome: Option<String>,
    /// When its outcome was written down.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why.
    pub reason: Option<Reason>,
}

/// Which deliveries to list.
#[derive(Clone, Debug)]
pub struct DeliveryFilter {
    /// Only of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Only to this contact.
    pub contact_id: Option<ContactId>,
    /// Only of this enrollment.
    pub enrollment_id: Option<EnrollmentId>,
    /// Only in this state.
    pub state: Option<DeliveryState>,
    /// Only those about which later evidence contradicts what was decided.
    pub contradicted: bool,
    /// Only with this reason code.
    pub reason_code: Option<String>,
    /// Continue the list after this one.
    pub after: Option<DeliveryId>,
    /// At most so many.
    pub limit: i64,
}

impl Default for DeliveryFilter {
    fn default() -> Self {
        Self {
            workflow_id: None,
            contact_id: None,
            enrollment_id: None,
            state: None,
            contradicted: false,
            reason_code: None,
            after: None,
            limit: 100,
        }
    }
}

/// The deliveries in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StateCount {
    /// The state.
    pub state: DeliveryState,
    /// How many.
    pub deliveries: u64,
    /// What is or was held for them, in segments.
    pub held_segments: u64,
    /// What was taken, in segments.
    pub captured_segments: u64,
    /// The same in micros.
    pub captured_micros: Micros,
    /// What came back, in segments.
    pub released_segments: u64,
    /// The same in micros.
    pub released_micros: Micros,
}

/// The account's deliveries, latest first.
pub async fn list(
    pool: &Pool,
    account_id: AccountId,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliveryListing>, StoreError> {
    let rows = sqlx::query_file_as!(
        Row,
        "queries/delivery/list.sql",
        account_id.0,
        filter.workflow_id.map(|id| id.0),
        filter.contact_id.map(|id| id.0),
        filter.enrollment_id.map(|id| id.0),
        filter.state.map(DeliveryState::as_str),
        filter.after.map(|id| id.0),
        filter.limit,
        filter.contradicted,
        filter.reason_code.as_deref(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

/// The account's deliveries by state, of one workflow if it is named. Reads all of them.
pub async fn counts(
    pool: &Pool,
    account_id: AccountId,
    workflow_id: Option<WorkflowId>,
) -> Result<Vec<StateCount>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT state, count(*) AS "deliveries!",
                  sum(held_segments)::BIGINT AS "held_segments!",
                  sum(captured_segments)::BIGINT AS "captured_segments!",
                  sum(captured_micros)::BIGINT AS "captured_micros!",
                  sum(released_segments)::BIGINT AS "released_segments!",
                  sum(released_micros)::BIGINT AS "released_micros!"
           FROM deliveries
           WHERE account_id = $1 AND ($2::BIGINT IS NULL OR workflow_id = $2)
           GROUP BY state
           ORDER BY state"#,
        account_id.0,
        workflow_id.map(|id| id.0),
    )
    .fetch_all(pool)
    .await?;
    let counts = rows.into_iter().map(|r| {
        Ok(StateCount {
            state: row::read(&r.state, "deliveries", "state", "of any id")?,
            deliveries: row::count(r.deliveries),
            held_segments: row::count(r.held_segments),
            captured_segments: row::count(r.captured_segments),
            captured_micros: r.captured_micros.into(),
            released_segments: row::count(r.released_segments),
            released_micros: r.released_micros.into(),
        })
    });
    counts.collect()
}

/// The delivery with its attempts.
pub async fn show(
    pool: &Pool,
    delivery_id: DeliveryId,
) -> Result<Option<DeliveryDetail>, StoreError> {
    let found = sqlx::query!(
        "SELECT d.account_id, d.enrollment_id, d.ticket_id, e.hold_entry_id, d.capture_entry_id,
                d.release_entry_id
         FROM deliveries d JOIN enrollments e USING (enrollment_id)
         WHERE d.delivery_id = $1",
        delivery_id.0,
    )
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let only = DeliveryFilter {
        enrollment_id: Some(found.enrollment_id.into()),
        // The list goes on behind a number, so the one wanted is the first behind the next one.
        after: Some(DeliveryId(delivery_id.0 + 1)),
        limit: 1,
        ..DeliveryFilter::default()
    };
    let Some(delivery) = list(pool, found.account_id.into(), &only).await?.pop() else {
        return Ok(None);
    };
    Ok(Some(DeliveryDetail {
        delivery,
        ticket_id: found.ticket_id,
        hold_entry_id: found.hold_entry_id.into(),
        capture_entry_id: found.capture_entry_id.map(LedgerEntryId),
        release_entry_id: found.release_entry_id.map(LedgerEntryId),
        attempts: attempts(pool, delivery_id).await?,
        evidence: evidence::of_delivery(pool, delivery_id).await?,
        receipts: evidence::receipts(pool, delivery_id).await?,
    }))
}

async fn attempts(pool: &Pool, delivery_id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT a.attempt, w.name AS "worker?", r.name AS "route?", a.segments, a.extra_micros, a.started_at,
                  a.outcome, a.finished_at, a.reason_code, a.reason_text
           FROM attempts a
           LEFT JOIN workers w USING (worker_id)
           LEFT JOIN routes r ON r.route_id = a.route_id
           WHERE a.delivery_id = $1
           ORDER BY a.attempt"#,
        delivery_id.0,
    )
    .fetch_all(pool)
    .await?;
    let attempts = rows.into_iter().map(|r| Attempt {
        attempt: row::ordinal(r.attempt),
        worker: r.worker,
        route: r.route,
        segments: row::ordinal(r.segments),
        extra_micros: r.extra_micros.into(),
        started_at: r.started_at,
        outcome: r.outcome,
        finished_at: r.finished_at,
        reason: reason(r.reason_code, r.reason_text),
    });
    Ok(attempts.collect())
}

fn reason(code: Option<String>, text: Option<String>) -> Option<Reason> {
    Some(Reason { code: code?, text: text.unwrap_or_default() })
}

struct Row {
    delivery_id: i64,
    workflow_id: WorkflowId,
    workflow: String,
    enrollment_id: EnrollmentId,
    contact_id: i64,
    phone: String,
    position: i32,
    state: String,
    attempt: i32,
    due_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    held_segments: i64,
    held_micros: Micros,
    captured_segments: i64,
    captured_micros: Micros,
    released_segments: i64,
    released_micros: Micros,
    carrier_reference: Option<String>,
    reason_code: Option<String>,
    reason_text: Option<String>,
    created_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

impl Row {
    fn read(self) -> Result<DeliveryListing, StoreError> {
        Ok(DeliveryListing {
            delivery_id: self.delivery_id.into(),
            workflow_id: self.workflow_id,
            workflow: self.workflow,
            enrollment_id: self.enrollment_id,
            contact_id: self.contact_id.into(),
            phone: row::phone(&self.phone, self.contact_id)?,
            position: row::ordinal(self.position),
            state: row::read(&self.state, "deliveries", "state", self.delivery_id)?,
            attempt: row::ordinal(self.attempt),
            due_at: self.due_at,
            expires_at: self.expires_at,
            held_segments: row::count(self.held_segments),
            held_micros: self.held_micros,
            captured_segments: row::count(self.captured_segments),
            captured_micros: self.captured_micros,
            released_segments: row::count(self.released_segments),
            released_micros: self.released_micros,
            carrier_reference: self.carrier_reference,
            reason: reason(self.reason_code, self.reason_text),
            created_at: self.created_at,
            settled_at: self.settled_at,
        })
    }
}
