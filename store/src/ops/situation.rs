//! Where deliveries stand, as a batch reads it before it decides.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{AccountId, ContactId, DeliveryId, EnrollmentId, StepId, WorkflowId};
use dripline_domain::ledger::{Hold, Settlement};
use dripline_domain::retry::RetryPolicy;
use dripline_domain::timing::Timing;
use sqlx::PgConnection;

use super::books::hold;
use super::settle::{Changes, DeliveryChange, DeliveryTo, EnrollmentChange, EnrollmentTo, Owner};
use crate::{StoreError, advisory, row, step};

/// One delivery with all that a decision about it depends on.
#[derive(Debug)]
pub(super) struct Situation {
    pub(super) owner: Owner,
    pub(super) delivery_id: DeliveryId,
    pub(super) position: i32,
    pub(super) state: DeliveryState,
    pub(super) attempt: i32,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) held: Hold,
    /// The segments of the text that its last attempt handed over.
    pub(super) attempt_segments: Option<u32>,
    /// How many attempts its last one repeats under the same key. What became of it says nothing about
    /// those unless the carrier took it; and together they are one try.
    pub(super) repeats: i32,
    /// The epoch of its enrollment.
    pub(super) epoch: i64,
    /// Whether no pause has closed that epoch.
    pub(super) open: bool,
    /// Whether its enrollment has no exit, and stands at this very step.
    pub(super) enrolled: bool,
    /// What its enrollment still holds for later steps.
    pub(super) remaining: Hold,
    /// What was held for the next step; `None` after the last.
    pub(super) next: Option<Hold>,
    pub(super) opted_out: bool,
    pub(super) time_zone: String,
    /// What somebody says was sent, so that this need not be sent any more.
    pub(super) said_sent: Option<SaidSent>,
}

/// A message of which somebody says that it was sent, when it was to be sent once more already.
#[derive(Clone, Debug)]
pub(super) enum SaidSent {
    /// This delivery's own, by an earlier attempt.
    Here(Taken),
    /// That of the failed delivery which this one takes up again.
    Before,
}

/// An attempt that the carrier has taken, though it had been decided otherwise.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) attempt: i32,
    /// Of its text.
    pub(super) segments: u32,
    /// The carrier's own id of the message, where that is known.
    pub(super) carrier_reference: Option<String>,
}

/// Enters the gates of the deliveries' workflows and locks their rows against a pause.
pub(super) async fn lock_workflows(
    conn: &mut PgConnection,
    deliveries: &[i64],
) -> Result<Vec<WorkflowId>, StoreError> {
    let workflows = sqlx::query_scalar!(
        "SELECT DISTINCT workflow_id FROM deliveries WHERE delivery_id = ANY ($1) ORDER BY 1",
        deliveries,
    )
    .fetch_all(&mut *conn)
    .await?;
    let workflows: Vec<WorkflowId> = workflows.into_iter().map(WorkflowId).collect();
    share_workflows(conn, &workflows).await?;
    Ok(workflows)
}

/// Enters the gates of these workflows and locks their rows against a pause.
pub(super) async fn share_workflows(
    conn: &mut PgConnection,
    workflows: &[WorkflowId],
) -> Result<(), StoreError> {
    advisory::enter_gates(conn, workflows).await?;
    let ids: Vec<i64> = workflows.iter().map(|id| id.0).collect();
    sqlx::query!(
        "SELECT workflow_id FROM workflows WHERE workflow_id = ANY ($1)
         ORDER BY workflow_id FOR SHARE",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Reads where the deliveries stand. Their workflows must be locked, in a statement before.
pub(super) async fn read(
    conn: &mut PgConnection,
    deliveries: &[i64],
) -> Result<HashMap<DeliveryId, Situation>, StoreError> {
    let rows =
        sqlx::query_file!("queries/delivery/situation.sql", deliveries).fetch_all(conn).await?;
    let mut situations = HashMap::with_capacity(rows.len());
    for row in rows {
        let delivery_id = DeliveryId(row.delivery_id);
        let attempt_segments = row.attempt_segments.map(u32::try_from).transpose();
        let taken = row.taken_attempt.zip(row.taken_segments).map(|(attempt, segments)| Taken {
            attempt,
            segments: u32::try_from(segments).unwrap_or(0),
            carrier_reference: row.taken_reference,
        });
        let situation = Situation {
            owner: Owner {
                account_id: AccountId(row.account_id),
                workflow_id: WorkflowId(row.workflow_id),
                contact_id: ContactId(row.contact_id),
                enrollment_id: EnrollmentId(row.enrollment_id),
            },
            delivery_id,
            position: row.position,
            state: row::read(&row.state, "deliveries", "state", delivery_id)?,
            attempt: row.attempt,
            expires_at: row.expires_at,
            held: hold(row.held_segments, row.held_micros),
            attempt_segments: attempt_segments.map_err(|_| StoreError::Unreadable {
                table: "attempts",
                key: delivery_id.to_string(),
                column: "segments",
            })?,
            repeats: i32::try_from(row.repeats).unwrap_or(i32::MAX),
            epoch: row.epoch,
            open: row.open,
            enrolled: row.enrolled && row.enrolled_at_position == row.position,
            remaining: hold(row.remaining_segments, row.remaining_micros),
            next: row.next_segments.zip(row.next_micros).map(|(s, m)| hold(i64::from(s), m)),
            opted_out: row.opted_out,
            time_zone: row.time_zone,
            said_sent: row.said_sent.then(|| taken.map_or(SaidSent::Before, SaidSent::Here)),
        };
        situations.insert(delivery_id, situation);
    }
    Ok(situations)
}

/// The timing of the workflows' steps, by workflow and position.
pub(super) type Timings = HashMap<(WorkflowId, i32), Timing>;

/// Reads the timing of every step of these workflows.
pub(super) async fn read_timings(
    conn: &mut PgConnection,
    workflows: &[WorkflowId],
) -> Result<Timings, StoreError> {
    let ids: Vec<i64> = workflows.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "SELECT step_id, workflow_id, position, after_seconds, at_local, days, expires_after_seconds
         FROM steps WHERE workflow_id = ANY ($1)",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let timings = rows.into_iter().map(|row| {
        let timing = step::read_timing(
            StepId(row.step_id),
            row.after_seconds,
            row.at_local,
            row.days,
            row.expires_after_seconds,
        )?;
        Ok(((WorkflowId(row.workflow_id), row.position), timing))
    });
    timings.collect()
}

impl Situation {
    /// Whether the enrollment goes on: nothing has ended it and no pause has closed its epoch. What
    /// a pause has closed is left to its purge.
    pub(super) fn live(&self) -> bool {
        self.enrolled && self.open
    }

    /// A change of the delivery, read as it stands here.
    pub(super) fn change(&self, to: DeliveryTo, reason: Option<Reason>) -> DeliveryChange {
        DeliveryChange {
            owner: self.owner,
            delivery_id: self.delivery_id,
            was_queued: self.state == DeliveryState::Queued,
            said_sent: Some(self.said_sent.is_some()),
            attempt: self.attempt,
            attempt_after: self.attempt,
            to,
            reason,
            outcome: None,
        }
    }

    /// The delivery's end with everything given back.
    pub(super) fn unsent(&self, state: DeliveryState) -> DeliveryTo {
        DeliveryTo::Settled {
            state,
            settlement: Settlement::unsent(self.held),
            carrier_reference: None,
        }
    }

    /// The delivery's end as sent, in the segments of its last attempt. Adds the enrollment's next step
    /// or its end, where it is live.
    pub(super) fn sent(
        &self,
        changes: &mut Changes,
        timings: &Timings,
        carrier_reference: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<DeliveryTo, StoreError> {
        let segments = self.attempt_segments.ok_or_else(|| StoreError::Unreadable {
            table: "attempts",
            key: format!("{}/{}", self.delivery_id, self.attempt),
            column: "segments",
        })?;
        self.sent_in(segments, changes, timings, carrier_reference, now)
    }

    /// The delivery's end, since its message was sent, as is said. What another delivery sent is given back here, and
    /// its enrollment goes on as if this one had been sent.
    pub(super) fn need_not_be_sent(
        &self,
        said: &SaidSent,
        changes: &mut Changes,
        timings: &Timings,
        now: DateTime<Utc>,
    ) -> Result<DeliveryTo, StoreError> {
        match said {
            SaidSent::Here(taken) => self.sent_after_all(taken, changes, timings, now),
            SaidSent::Before => {
                if self.live() {
                    changes.enrollments.push(self.go_on(timings, now)?);
                }
                Ok(self.unsent(DeliveryState::Cancelled))
            }
        }
    }

    /// The delivery's end as sent by an attempt of which it had been decided that it was not.
    pub(super) fn sent_after_all(
        &self,
        taken: &Taken,
        changes: &mut Changes,
        timings: &Timings,
        now: DateTime<Utc>,
    ) -> Result<DeliveryTo, StoreError> {
        changes.taken_after_all.push((self.delivery_id.0, taken.attempt));
        let reference = taken.carrier_reference.clone();
        self.sent_in(taken.segments, changes, timings, reference, now)
    }

    fn sent_in(
        &self,
        segments: u32,
        changes: &mut Changes,
        timings: &Timings,
        carrier_reference: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<DeliveryTo, StoreError> {
        if self.live() {
            changes.enrollments.push(self.go_on(timings, now)?);
        }
        Ok(DeliveryTo::Settled {
            state: DeliveryState::Sent,
            settlement: Settlement::sent(self.held, segments),
            carrier_reference,
        })
    }

    /// The enrollment's exit. Only for a live one.
    pub(super) fn exit(&self, cause: ExitCause) -> EnrollmentChange {
        EnrollmentChange {
            owner: self.owner,
            position: self.position,
            remaining: self.remaining,
            to: EnrollmentTo::Exit(cause),
        }
    }

    /// The enrollment's next step after this one was sent at `now`, or its end after the last one.
    pub(super) fn go_on(
        &self,
        timings: &Timings,
        now: DateTime<Utc>,
    ) -> Result<EnrollmentChange, StoreError> {
        if self.opted_out {
            return Ok(self.exit(ExitCause::OptedOut));
        }
        let Some(held) = self.next else { return Ok(self.exit(ExitCause::Finished)) };
        // Steps cannot be edited while an enrollment is live, so the next one is there.
        let timing =
            timings.get(&(self.owner.workflow_id, self.position + 1)).ok_or_else(|| {
                StoreError::Unreadable {
                    table: "steps",
                    key: format!("{}/{}", self.owner.workflow_id, self.position + 1),
                    column: "position",
                }
            })?;
        let due_at = timing.due(now, read_zone(&self.time_zone, self.owner.contact_id)?);
        let to = EnrollmentTo::NextStep { held, due_at, expires_at: timing.expires(due_at) };
        Ok(EnrollmentChange {
            owner: self.owner,
            position: self.position,
            remaining: self.remaining,
            to,
        })
    }

    /// What becomes of the delivery after hand-over number `attempt` certainly did not happen: another
    /// try later, or the end of it. Adds the enrollment's exit where that ends it too.
    pub(super) fn try_again(
        &self,
        changes: &mut Changes,
        policy: &RetryPolicy,
        attempt: i32,
        retry_after: Option<std::time::Duration>,
        now: DateTime<Utc>,
    ) -> DeliveryTo {
        if let Some(revoked) = self.revoked(changes) {
            return revoked;
        }
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        let Some(delay) = policy.delay(attempt, &mut rand::rng(), retry_after) else {
            changes.enrollments.push(self.exit(ExitCause::Failed));
            return self.unsent(DeliveryState::Failed);
        };
        let due_at = round_up(now + TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX));
        if self.expires_at.is_some_and(|expires_at| expires_at < due_at) {
            changes.enrollments.push(self.exit(ExitCause::Expired));
            return self.unsent(DeliveryState::Expired);
        }
        DeliveryTo::Queued { due_at }
    }

    /// The cancellation of a delivery that may not be sent any more, if it is so: its workflow closed,
    /// its enrollment ended or its contact opted out. Adds the enrollment's exit in the last case; the
    /// first is the purge's.
    pub(super) fn revoked(&self, changes: &mut Changes) -> Option<DeliveryTo> {
        if self.live() && !self.opted_out {
            return None;
        }
        if self.live() {
            changes.enrollments.push(self.exit(ExitCause::OptedOut));
        }
        Some(self.unsent(DeliveryState::Cancelled))
    }
}

/// The contact's time zone, which was checked when the contact was imported.
pub(super) fn read_zone(name: &str, contact_id: ContactId) -> Result<Tz, StoreError> {
    row::read(name, "contacts", "time_zone", contact_id)
}

/// Tickets have no finer time than seconds.
pub(super) fn round_up(instant: DateTime<Utc>) -> DateTime<Utc> {
    let down = instant.with_nanosecond(0).unwrap_or(instant);
    if down == instant { down } else { down + TimeDelta::seconds(1) }
}
