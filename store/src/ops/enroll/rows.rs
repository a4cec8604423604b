//! The rows of one chunk, as one statement inserts them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use dripline_domain::ids::{ContactId, DeliveryId, LedgerEntryId};
use dripline_domain::ledger::Hold;
use sqlx::PgConnection;

use super::{Candidates, Contacts, Workflow, total};
use crate::StoreError;
use crate::ops::books;
use crate::ops::situation::read_zone;
use crate::queue::{self, Ticket};

/// The rows of a chunk, by column.
#[derive(Default)]
pub(super) struct Rows {
    contacts: Vec<i64>,
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
    pub(super) fn new(
        candidates: &Candidates,
        contacts: &Contacts<'_>,
        workflow: &Workflow,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let mut rows = Self::default();
        for (contact_id, time_zone) in candidates {
            let contact = contacts[contact_id];
            let zone = read_zone(time_zone, *contact_id)?;
            let due_at = workflow.first.due(now, zone);
            let first = Hold {
                segments: u64::from(contact.step_segments[0]),
                micros: contact.step_micros[0],
            };
            let all = total(contact);
            rows.contacts.push(contact_id.0);
            rows.held_segments.push(books::segments(first));
            rows.held_micros.push(first.micros.0);
            rows.remaining_segments.push(books::segments(all) - books::segments(first));
            rows.remaining_micros.push((all.micros - first.micros).0);
            rows.due_at.push(due_at);
            rows.expires_at.push(workflow.first.expires(due_at));
            rows.ticket_ids.push(queue::new_ticket_id());
            let narrow = |segments: &u32| i32::try_from(*segments).unwrap_or(i32::MAX);
            rows.step_segments.extend(contact.step_segments.iter().map(narrow));
            rows.step_micros.extend(contact.step_micros.iter().map(|micros| micros.0));
        }
        Ok(rows)
    }

    /// Gives the ticket of each contact who is enrolled.
    pub(super) async fn insert(
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
            "queries/enrollment/insert.sql",
            &self.contacts,
            &self.held_segments,
            &self.held_micros,
            &self.remaining_segments,
            &self.remaining_micros,
            &self.due_at,
            &self.expires_at as &[Option<DateTime<Utc>>],
            &self.ticket_ids,
            workflow.account_id.0,
            workflow.workflow_id.0,
            workflow.epoch,
            i64::try_from(workflow.steps).unwrap_or(i64::MAX),
            workflow.exclusive,
            &self.step_segments,
            &self.step_micros,
            entry_id.0,
            actor,
            now,
            workflow.revision,
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
