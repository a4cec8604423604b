//! Requeues failed deliveries: their contacts are enrolled anew, each at the step that failed.
//!
//! A failed delivery is over, and what was released for it stays released. What is requeued is a new
//! enrollment that begins at its step; the price of that step and of all later ones is held anew.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::{ContactId, DeliveryId, LedgerEntryId, WorkflowId};
use dripline_domain::ledger::{EntryKind, Hold};
use dripline_domain::money::Micros;
use dripline_domain::timing::Timing;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::{self, hold as amount, segments};
use super::enroll::{
    self, Candidates, EnrollChunk, EnrollError, PricedContact, SkipReason, Workflow,
};
use super::situation::{self, Timings, read_zone};
use crate::crash::{Commit, commit};
use crate::ledger;
use crate::listing::failed::RequeueObstacle;
use crate::queue::{self, Ticket};
use crate::retries::Retries;
use crate::{Pool, StoreError, row};

/// Failed deliveries of one workflow, to be requeued in one transaction: best 2,000 to 10,000.
#[derive(Clone, Debug)]
pub struct RequeueChunk {
    /// Of which workflow.
    pub workflow_id: WorkflowId,
    /// The revision whose texts were priced.
    pub revision: i64,
    /// Names this chunk, so that running it twice enrols and holds once.
    pub batch_id: Uuid,
    /// Who requeues them.
    pub actor: String,
    /// Which, each with the price of every step for its contact. What stands before the failed step is
    /// not held.
    pub deliveries: Vec<(DeliveryId, PricedContact)>,
    /// What this chunk and all that are still to come need together. Nothing is requeued when less is
    /// available.
    pub required: Micros,
}

/// What a chunk did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requeued {
    /// The failed deliveries that were taken up, by id.
    pub requeued: Vec<DeliveryId>,
    /// Those that were not, and why.
    pub skipped: Vec<(DeliveryId, RequeueObstacle)>,
    /// Segments held.
    pub segments: u64,
    /// Money held.
    pub held: Micros,
}

/// Requeues a chunk in one transaction, all that can be. Each contact is enrolled anew with the failed
/// step as the first one, due at once as far as its time of day and its days allow; one entry holds the
/// price of that step and the later ones. Running it again with the same `batch_id` gives what it did the
/// first time, and with another one requeues nothing twice.
pub async fn requeue(
    pool: &Pool,
    clock: &dyn Clock,
    chunk: &RequeueChunk,
) -> Result<Requeued, EnrollError> {
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, chunk).await {
            Err(EnrollError::Store(error)) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    chunk: &RequeueChunk,
) -> Result<Requeued, EnrollError> {
    let mut tx = pool.begin().await?;
    situation::share_workflows(&mut tx, &[chunk.workflow_id]).await?;
    let workflow = enroll::read_workflow(&mut tx, chunk.workflow_id).await?;
    let account_id = workflow.account_id;
    let before = ledger::find_batch(&mut tx, chunk.batch_id, account_id, EntryKind::Hold).await?;
    let (failed, mut skipped) = sort_out_deliveries(&mut tx, &workflow, chunk, before).await?;
    if let Some(entry_id) = before {
        let (_, refused) = enroll::sort_out(&mut tx, &workflow, failed.keys()).await?;
        skip(&failed, refused, &mut skipped);
        return done_before(&mut tx, chunk, entry_id, skipped).await;
    }
    let enrolment = enrolment(chunk);
    workflow.check(&mut tx, enrolment.revision).await?;
    workflow.check_steps(&enroll::by_contact(&enrolment).0)?;
    workflow.check_balance(&mut tx, enrolment.required).await?;
    enroll::share_contacts(&mut tx, failed.keys()).await?;
    let (candidates, refused) = enroll::sort_out(&mut tx, &workflow, failed.keys()).await?;
    skip(&failed, refused, &mut skipped);
    let now = clock.now();
    let timings = situation::read_timings(&mut tx, &[chunk.workflow_id]).await?;
    let rows = Rows::new(&candidates, &failed, &workflow, &timings, now)?;
    let entry_id = books::reserve_entry(&mut tx).await?;
    let tickets = rows.insert(&mut tx, &workflow, entry_id, &chunk.actor, now).await?;
    queue::push(&mut tx, &tickets.values().cloned().collect::<Vec<_>>()).await?;
    let slipped: Vec<ContactId> =
        candidates.keys().filter(|id| !tickets.contains_key(id)).copied().collect();
    if !slipped.is_empty() {
        let (still, refused) = enroll::sort_out(&mut tx, &workflow, slipped.iter()).await?;
        skip(&failed, refused, &mut skipped);
        // Who could be enrolled all the same was kept out by the delivery: somebody has requeued it.
        skipped.extend(
            still.keys().map(|id| (failed[id].delivery_id, RequeueObstacle::AlreadyRequeued)),
        );
    }
    let requeued: Vec<DeliveryId> = tickets.keys().map(|id| failed[id].delivery_id).collect();
    let held: Hold = tickets.keys().map(|id| failed[id].total()).sum();
    if !requeued.is_empty() {
        enroll::hold(&mut tx, &enrolment, &workflow, entry_id, requeued.len(), held, now).await?;
    }
    commit(tx, Commit::Requeue).await?;
    Ok(Requeued::new(requeued, skipped, held))
}

impl Requeued {
    fn new(
        mut requeued: Vec<DeliveryId>,
        mut skipped: Vec<(DeliveryId, RequeueObstacle)>,
        held: Hold,
    ) -> Self {
        requeued.sort_unstable();
        skipped.sort_unstable_by_key(|(id, _)| *id);
        Self { requeued, skipped, segments: held.segments, held: held.micros }
    }
}

/// The chunk as an enrolment of its contacts, for what both have to obey.
fn enrolment(chunk: &RequeueChunk) -> EnrollChunk {
    EnrollChunk {
        workflow_id: chunk.workflow_id,
        revision: chunk.revision,
        batch_id: chunk.batch_id,
        actor: chunk.actor.clone(),
        contacts: chunk.deliveries.iter().map(|(_, priced)| priced.clone()).collect(),
        required: chunk.required,
    }
}

/// A failed delivery that can be taken up, as far as it depends on the delivery.
struct Failed<'a> {
    delivery_id: DeliveryId,
    /// The step that failed, from 1.
    position: u32,
    priced: &'a PricedContact,
}

impl Failed<'_> {
    fn first(&self) -> usize {
        usize::try_from(self.position).unwrap_or(usize::MAX).saturating_sub(1)
    }

    /// Of a step, from 0; nothing before the failed one.
    fn step(&self, index: usize) -> Hold {
        if index < self.first() {
            return Hold::NONE;
        }
        Hold {
            segments: u64::from(self.priced.step_segments[index]),
            micros: self.priced.step_micros[index],
        }
    }

    fn total(&self) -> Hold {
        (0..self.priced.step_micros.len()).map(|index| self.step(index)).sum()
    }
}

type ByContact<'a> = BTreeMap<ContactId, Failed<'a>>;

/// Parts the deliveries that can be taken up from those that cannot. They are locked against whoever says that one was
/// sent after all; nothing else of a failed delivery ever changes. Of several of one contact the latest is taken.
async fn sort_out_deliveries<'a>(
    conn: &mut PgConnection,
    workflow: &Workflow,
    chunk: &'a RequeueChunk,
    before: Option<LedgerEntryId>,
) -> Result<(ByContact<'a>, Vec<(DeliveryId, RequeueObstacle)>), StoreError> {
    let ids: Vec<i64> = chunk.deliveries.iter().map(|(id, _)| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT d.delivery_id, d.contact_id, d.position, e.revision,
                  (SELECT r.hold_entry_id FROM enrollments r
                   WHERE r.requeued_delivery_id = d.delivery_id) AS requeued_by,
                  d.said_sent
           FROM deliveries d JOIN enrollments e USING (enrollment_id)
           WHERE d.delivery_id = ANY ($1) AND d.workflow_id = $2 AND d.state = 'failed'
           ORDER BY d.delivery_id
           FOR SHARE OF d"#,
        &ids,
        workflow.workflow_id.0,
    )
    .fetch_all(conn)
    .await?;
    let mut found: BTreeMap<i64, _> = rows.into_iter().map(|row| (row.delivery_id, row)).collect();
    let mut failed = ByContact::new();
    let mut skipped = Vec::new();
    let mut latest_first: Vec<_> = chunk.deliveries.iter().collect();
    latest_first.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    for (delivery_id, priced) in latest_first {
        let obstacle = match found.remove(&delivery_id.0) {
            None => RequeueObstacle::NotFailed,
            Some(row) if row.contact_id != priced.contact_id.0 => RequeueObstacle::NotFailed,
            Some(row) if row.requeued_by.is_some() => {
                if row.requeued_by == before.map(|entry| entry.0) {
                    continue;
                }
                RequeueObstacle::AlreadyRequeued
            }
            Some(row) if row.said_sent => RequeueObstacle::SaidSent,
            Some(row) if row.revision != Some(workflow.revision) => RequeueObstacle::WorkflowEdited,
            Some(_) if failed.contains_key(&priced.contact_id) => RequeueObstacle::AlreadyEnrolled,
            Some(row) => {
                let position = row::ordinal(row.position);
                let delivery_id = *delivery_id;
                failed.insert(priced.contact_id, Failed { delivery_id, position, priced });
                continue;
            }
        };
        skipped.push((*delivery_id, obstacle));
    }
    Ok((failed, skipped))
}

fn skip(
    failed: &ByContact<'_>,
    refused: Vec<(ContactId, SkipReason)>,
    skipped: &mut Vec<(DeliveryId, RequeueObstacle)>,
) {
    for (contact_id, reason) in refused {
        let obstacle = match reason {
            SkipReason::AlreadyEnrolled => RequeueObstacle::AlreadyEnrolled,
            SkipReason::InOtherWorkflow { name } => {
                RequeueObstacle::InOtherWorkflow { workflow: name }
            }
            // Contacts are never removed, and a delivery's contact is of its account.
            SkipReason::OptedOut | SkipReason::NotFound => RequeueObstacle::OptedOut,
        };
        skipped.push((failed[&contact_id].delivery_id, obstacle));
    }
}

/// The answer of a chunk that was committed before.
async fn done_before(
    conn: &mut PgConnection,
    chunk: &RequeueChunk,
    entry_id: LedgerEntryId,
    skipped: Vec<(DeliveryId, RequeueObstacle)>,
) -> Result<Requeued, EnrollError> {
    let ids: Vec<i64> = chunk.deliveries.iter().map(|(id, _)| id.0).collect();
    let requeued = sqlx::query_scalar!(
        r#"SELECT requeued_delivery_id AS "id!" FROM enrollments
           WHERE requeued_delivery_id = ANY ($1) AND hold_entry_id = $2"#,
        &ids,
        entry_id.0,
    )
    .fetch_all(&mut *conn)
    .await?;
    let held = sqlx::query!(
        "SELECT segments, amount_micros FROM ledger_entries WHERE ledger_entry_id = $1",
        entry_id.0,
    )
    .fetch_one(conn)
    .await?;
    let requeued = requeued.into_iter().map(DeliveryId).collect();
    Ok(Requeued::new(requeued, skipped, amount(held.segments, held.amount_micros)))
}

/// The rows of a chunk, by column.
#[derive(Default)]
struct Rows {
    failed: Vec<i64>,
    contacts: Vec<i64>,
    positions: Vec<i32>,
    held_segments: Vec<i64>,
    held_micros: Vec<i64>,
    remaining_segments: Vec<i64>,
    remaining_micros: Vec<i64>,
    due_at: Vec<DateTime<Utc>>,
    expires_at: Vec<Option<DateTime<Utc>>>,
    ticket_ids: Vec<String>,
    /// All steps of all contacts.
    step_segments: Vec<i32>,
    step_micros: Vec<i64>,
}

impl Rows {
    fn new(
        candidates: &Candidates,
        failed: &ByContact<'_>,
        workflow: &Workflow,
        timings: &Timings,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let mut rows = Self::default();
        for (contact_id, time_zone) in candidates {
            let failed = &failed[contact_id];
            let position = i32::try_from(failed.position).unwrap_or(i32::MAX);
            let timing = timings.get(&(workflow.workflow_id, position)).ok_or_else(|| {
                StoreError::Unreadable {
                    table: "steps",
                    key: format!("{}/{position}", workflow.workflow_id),
                    column: "position",
                }
            })?;
            // The wait behind the step before is over; its time of day and its days still count.
            let timing = Timing { after: Duration::ZERO, ..*timing };
            let due_at = timing.due(now, read_zone(time_zone, *contact_id)?);
            let first = failed.step(failed.first());
            let all = failed.total();
            rows.failed.push(failed.delivery_id.0);
            rows.contacts.push(contact_id.0);
            rows.positions.push(position);
            rows.held_segments.push(segments(first));
            rows.held_micros.push(first.micros.0);
            rows.remaining_segments.push(segments(all) - segments(first));
            rows.remaining_micros.push((all.micros - first.micros).0);
            rows.due_at.push(due_at);
            rows.expires_at.push(timing.expires(due_at));
            rows.ticket_ids.push(queue::new_ticket_id());
            for index in 0..failed.priced.step_micros.len() {
                let step = failed.step(index);
                rows.step_segments.push(i32::try_from(step.segments).unwrap_or(i32::MAX));
                rows.step_micros.push(step.micros.0);
            }
        }
        Ok(rows)
    }

    /// Gives the ticket of each contact who is enrolled.
    async fn insert(
        &self,
        conn: &mut PgConnection,
        workflow: &Workflow,
        entry_id: LedgerEntryId,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<ContactId, Ticket>, StoreError> {
        if self.contacts.is_empty() {
            return Ok(BTreeMap::new());
        }
        let inserted = sqlx::query_file!(
            "queries/enrollment/requeue.sql",
            &self.failed,
            &self.contacts,
            &self.positions,
            &self.held_segments,
            &self.held_micros,
            &self.remaining_segments,
            &self.remaining_micros,
            &self.due_at,
            &self.expires_at as &[Option<DateTime<Utc>>],
            &self.ticket_ids,
            workflow.account_id.0,
            i64::try_from(workflow.steps).unwrap_or(i64::MAX),
            workflow.workflow_id.0,
            workflow.epoch,
            workflow.exclusive,
            &self.step_segments,
            &self.step_micros,
            workflow.revision,
            entry_id.0,
            actor,
            now,
        )
        .fetch_all(conn)
        .await?;
        let tickets = inserted.into_iter().map(|row| {
            let ticket = Ticket {
                ticket_id: row.ticket_id,
                delivery_id: DeliveryId(row.delivery_id),
                run_at: row.due_at,
            };
            (ContactId(row.contact_id), ticket)
        });
        Ok(tickets.collect())
    }
}
