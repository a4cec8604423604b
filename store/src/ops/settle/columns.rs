//! Changes turned into columns, one array each, as the statements take them.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ledger::{EntryKind, Hold, Settlement};

use super::{DeliveryChange, DeliveryTo, EnrollmentChange, EnrollmentTo, releases};
use crate::ops::books::{Books, segments};
use crate::queue::{self, Ticket};

/// Changes of enrollments.
#[derive(Default)]
pub(super) struct EnrollmentColumns {
    pub(super) ids: Vec<i64>,
    pub(super) positions: Vec<i32>,
    pub(super) positions_after: Vec<i32>,
    pub(super) remaining_segments: Vec<i64>,
    pub(super) remaining_micros: Vec<i64>,
    pub(super) exit_causes: Vec<Option<&'static str>>,
    pub(super) released_segments: Vec<i64>,
    pub(super) released_micros: Vec<i64>,
    pub(super) release_entries: Vec<Option<i64>>,
}

impl EnrollmentColumns {
    pub(super) fn push(&mut self, change: &EnrollmentChange, books: &Books<'_>) {
        let (position_after, remaining, cause, released) = match &change.to {
            EnrollmentTo::NextStep { held, .. } => {
                let remaining = Hold {
                    segments: change.remaining.segments - held.segments,
                    micros: change.remaining.micros - held.micros,
                };
                (change.position + 1, remaining, None, Hold::NONE)
            }
            EnrollmentTo::Exit(cause) => {
                (change.position, Hold::NONE, Some(cause.as_str()), change.remaining)
            }
        };
        let entry = (released != Hold::NONE)
            .then(|| books.entry(EntryKind::Release, change.owner.account_id));
        self.ids.push(change.owner.enrollment_id.0);
        self.positions.push(change.position);
        self.positions_after.push(position_after);
        self.remaining_segments.push(segments(remaining));
        self.remaining_micros.push(remaining.micros.0);
        self.exit_causes.push(cause);
        self.released_segments.push(segments(released));
        self.released_micros.push(released.micros.0);
        self.release_entries.push(entry.flatten());
    }
}

/// Changes of deliveries.
#[derive(Default)]
pub(super) struct DeliveryColumns<'a> {
    pub(super) ids: Vec<i64>,
    pub(super) was_queued: Vec<bool>,
    pub(super) said_sent: Vec<Option<bool>>,
    pub(super) attempts: Vec<i32>,
    pub(super) states: Vec<&'static str>,
    pub(super) attempts_after: Vec<i32>,
    pub(super) due_at: Vec<Option<DateTime<Utc>>>,
    pub(super) ticket_ids: Vec<Option<String>>,
    pub(super) captured_segments: Vec<i64>,
    pub(super) captured_micros: Vec<i64>,
    pub(super) capture_entries: Vec<Option<i64>>,
    pub(super) released_segments: Vec<i64>,
    pub(super) released_micros: Vec<i64>,
    pub(super) release_entries: Vec<Option<i64>>,
    pub(super) carrier_references: Vec<Option<&'a str>>,
    pub(super) reason_codes: Vec<Option<&'a str>>,
    pub(super) reason_texts: Vec<Option<&'a str>>,
    pub(super) settled: Vec<bool>,
    pub(super) outcomes: Vec<Option<&'static str>>,
}

impl<'a> DeliveryColumns<'a> {
    pub(super) fn push(
        &mut self,
        change: &'a DeliveryChange,
        books: &Books<'_>,
        tickets: &mut Vec<Ticket>,
    ) {
        let account_id = change.owner.account_id;
        let mut settlement = Settlement::unsent(Hold::NONE);
        let (mut capture_entry, mut release_entry) = (None, None);
        let (mut due, mut ticket_id, mut reference) = (None, None, None);
        let state = match &change.to {
            DeliveryTo::Settled { state, settlement: of, carrier_reference } => {
                settlement = *of;
                if *state == DeliveryState::Sent {
                    capture_entry = books.entry(EntryKind::Capture, account_id);
                }
                if releases(*state, of) {
                    release_entry = books.entry(EntryKind::Release, account_id);
                }
                reference = carrier_reference.as_deref();
                *state
            }
            DeliveryTo::Queued { due_at } => {
                let ticket = Ticket {
                    ticket_id: queue::new_ticket_id(),
                    delivery_id: change.delivery_id,
                    run_at: *due_at,
                };
                due = Some(*due_at);
                ticket_id = Some(ticket.ticket_id.clone());
                tickets.push(ticket);
                DeliveryState::Queued
            }
            DeliveryTo::Unknown => DeliveryState::Unknown,
        };
        self.ids.push(change.delivery_id.0);
        self.was_queued.push(change.was_queued);
        self.said_sent.push(change.said_sent);
        self.attempts.push(change.attempt);
        self.states.push(state.as_str());
        self.attempts_after.push(change.attempt_after);
        self.due_at.push(due);
        self.ticket_ids.push(ticket_id);
        self.captured_segments.push(segments(settlement.captured));
        self.captured_micros.push(settlement.captured.micros.0);
        self.capture_entries.push(capture_entry);
        self.released_segments.push(segments(settlement.released));
        self.released_micros.push(settlement.released.micros.0);
        self.release_entries.push(release_entry);
        self.carrier_references.push(reference);
        self.reason_codes.push(change.reason.as_ref().map(|reason| reason.code.as_str()));
        self.reason_texts.push(change.reason.as_ref().map(|reason| reason.text.as_str()));
        self.settled.push(state.is_terminal());
        self.outcomes.push(change.outcome);
    }
}

/// Deliveries of next steps.
#[derive(Default)]
pub(super) struct NextColumns {
    pub(super) accounts: Vec<i64>,
    pub(super) workflows: Vec<i64>,
    pub(super) enrollments: Vec<i64>,
    pub(super) contacts: Vec<i64>,
    pub(super) positions: Vec<i32>,
    pub(super) due_at: Vec<DateTime<Utc>>,
    pub(super) expires_at: Vec<Option<DateTime<Utc>>>,
    pub(super) held_segments: Vec<i64>,
    pub(super) held_micros: Vec<i64>,
    pub(super) ticket_ids: Vec<String>,
}

impl NextColumns {
    pub(super) fn push(&mut self, change: &EnrollmentChange) {
        let EnrollmentTo::NextStep { held, due_at, expires_at } = &change.to else { return };
        self.accounts.push(change.owner.account_id.0);
        self.workflows.push(change.owner.workflow_id.0);
        self.enrollments.push(change.owner.enrollment_id.0);
        self.contacts.push(change.owner.contact_id.0);
        self.positions.push(change.position + 1);
        self.due_at.push(*due_at);
        self.expires_at.push(*expires_at);
        self.held_segments.push(segments(*held));
        self.held_micros.push(held.micros.0);
        self.ticket_ids.push(queue::new_ticket_id());
    }
}
