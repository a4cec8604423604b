//! What resolving unknown deliveries would do.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::evidence::Finding;
use dripline_domain::ids::{AccountId, ContactId, DeliveryId, WorkflowId};
use dripline_domain::ledger::Settlement;
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use dripline_domain::retry::RetryPolicy;
use serde::Serialize;

use crate::{Pool, StoreError, row};

/// Which unknown deliveries.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnknownFilter {
    /// Only this one.
    pub delivery_id: Option<DeliveryId>,
    /// Only of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Only those of which nobody has known since then.
    pub unknown_since: Option<DateTime<Utc>>,
}

/// What would become of one unknown delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvePlan {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name.
    pub workflow: String,
    /// Which step, from 1.
    pub position: u32,
    /// How many steps the workflow had when the contact was enrolled.
    pub steps: u32,
    /// To whom.
    pub contact_id: ContactId,
    /// The contact's number.
    pub phone: Phone,
    /// Hand-overs so far.
    pub attempt: u32,
    /// Since when nobody knows.
    pub unknown_since: DateTime<Utc>,
    /// What is not known.
    pub reason: Option<Reason>,
    /// What is held for it, in segments.
    pub held_segments: u64,
    /// The same in micros.
    pub held_micros: Micros,
    /// What the delivery would become.
    pub becomes: DeliveryState,
    /// What would be taken.
    pub captured_micros: Micros,
    /// What would come back, with the contact's later messages where their enrollment would end.
    pub released_micros: Micros,
    /// What becomes of the contact.
    pub then: Then,
    /// Until when the carrier keeps a key of it, so that it cannot take the message twice.
    pub key_expires_at: Option<DateTime<Utc>>,
}

/// What becomes of the contact's way through the workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It goes on, to the next step or with this one again.
    GoesOn,
    /// It ends.
    Ends,
    /// It has ended already.
    HasEnded,
}

/// What the finding would do to every unknown delivery that fits, in the order of their ids. One that is named by
/// its id may also wait to be sent again, where the finding is that it was sent.
pub async fn resolve(
    pool: &Pool,
    account_id: AccountId,
    filter: &UnknownFilter,
    finding: Finding,
    policy: &RetryPolicy,
    now: DateTime<Utc>,
) -> Result<Vec<ResolvePlan>, StoreError> {
    let rows = sqlx::query_file_as!(
        Row,
        "queries/plan/resolve.sql",
        account_id.0,
        filter.delivery_id.map(|id| id.0),
        filter.workflow_id.map(|id| id.0),
        filter.unknown_since,
        finding == Finding::Sent,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| row.plan(finding, policy, now)).collect()
}

struct Row {
    delivery_id: i64,
    workflow_id: i64,
    workflow: String,
    contact_id: i64,
    phone: String,
    position: i32,
    attempt: i32,
    expires_at: Option<DateTime<Utc>>,
    held_segments: i64,
    held_micros: i64,
    segments: i32,
    reason_code: Option<String>,
    reason_text: Option<String>,
    since: DateTime<Utc>,
    live: bool,
    opted_out: bool,
    steps: i32,
    repeats: i64,
    remaining_segments: i64,
    remaining_micros: i64,
    key_expires_at: Option<DateTime<Utc>>,
    /// Somebody says that its message was sent before: by an earlier attempt with so many segments, or else by the
    /// failed delivery that it takes up again.
    said_sent: bool,
    taken_segments: Option<i32>,
}

impl Row {
    fn plan(
        self,
        finding: Finding,
        policy: &RetryPolicy,
        now: DateTime<Utc>,
    ) -> Result<ResolvePlan, StoreError> {
        let held = crate::ops::hold(self.held_segments, self.held_micros);
        let remaining = crate::ops::hold(self.remaining_segments, self.remaining_micros);
        let becomes = self.becomes(finding, policy, now);
        let ends = self.live
            && match becomes {
                DeliveryState::Queued => false,
                DeliveryState::Sent => self.is_last(),
                // Its enrollment goes on all the same.
                DeliveryState::Cancelled if self.said_sent => self.is_last(),
                _ => true,
            };
        let settlement = match becomes {
            DeliveryState::Sent => {
                let segments = self.taken_segments.filter(|_| finding != Finding::Sent);
                Settlement::sent(held, row::ordinal(segments.unwrap_or(self.segments)))
            }
            DeliveryState::Queued => Settlement::unsent(dripline_domain::ledger::Hold::NONE),
            _ => Settlement::unsent(held),
        };
        let later = if ends { remaining.micros } else { Micros::ZERO };
        let reason =
            self.reason_code.map(|code| Reason::new(code, self.reason_text.unwrap_or_default()));
        Ok(ResolvePlan {
            delivery_id: self.delivery_id.into(),
            workflow_id: self.workflow_id.into(),
            workflow: self.workflow,
            position: row::ordinal(self.position),
            steps: row::ordinal(self.steps),
            contact_id: self.contact_id.into(),
            phone: row::phone(&self.phone, self.contact_id)?,
            attempt: row::ordinal(self.attempt),
            unknown_since: self.since,
            reason,
            held_segments: held.segments,
            held_micros: held.micros,
            becomes,
            captured_micros: settlement.captured.micros,
            released_micros: settlement.released.micros + later,
            then: match (self.live, ends) {
                (false, _) => Then::HasEnded,
                (true, true) => Then::Ends,
                (true, false) => Then::GoesOn,
            },
            key_expires_at: self.key_expires_at.filter(|end| *end > now),
        })
    }

    /// Whether the enrollment ends with this step, as far as it was sent.
    fn is_last(&self) -> bool {
        self.opted_out || self.position == self.steps
    }

    /// As [`crate::ops::resolve_unknown()`] decides it, in its own transaction.
    fn becomes(&self, finding: Finding, policy: &RetryPolicy, now: DateTime<Utc>) -> DeliveryState {
        // What was repeated under one key counts as one try.
        let tries = u64::from(row::ordinal(self.attempt)) - row::count(self.repeats);
        if finding == Finding::Sent || self.taken_segments.is_some() {
            DeliveryState::Sent
        } else if self.said_sent || !self.live || self.opted_out {
            DeliveryState::Cancelled
        } else if tries >= u64::from(policy.max_attempts) {
            DeliveryState::Failed
        } else if self.expires_at.is_some_and(|expires_at| expires_at < now) {
            DeliveryState::Expired
        } else {
            DeliveryState::Queued
        }
    }
}
