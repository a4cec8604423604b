//! What a pause, a deletion or a removal takes back, before and after it happens.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::money::Micros;
use dripline_store::listing::operations::Operation;
use dripline_store::operation::Preview;
use dripline_store::plan::{InFlight, PausePlan, RemovalsPlan};
use serde::Serialize;

use crate::money;
use crate::output::page::{Column, Page};
use crate::output::words::{count, time};

/// Contacts, messages, segments, money, and what is in flight.
#[derive(Debug, Serialize)]
pub(crate) struct Taken {
    pub(crate) contacts: u64,
    pub(crate) messages: u64,
    pub(crate) segments: u64,
    pub(crate) refund_micros: Micros,
    pub(crate) in_flight: Vec<InFlight>,
}

impl From<PausePlan> for Taken {
    fn from(plan: PausePlan) -> Self {
        Self {
            contacts: plan.contacts,
            messages: plan.messages,
            segments: plan.segments,
            refund_micros: plan.micros,
            in_flight: plan.in_flight,
        }
    }
}

impl From<RemovalsPlan> for Taken {
    fn from(plan: RemovalsPlan) -> Self {
        let Preview { contacts, messages, segments, micros, .. } = plan.preview();
        Self { contacts, messages, segments, refund_micros: micros, in_flight: plan.in_flight }
    }
}

impl Taken {
    /// What an operation has taken back, and what of it is in flight.
    pub(crate) fn by(operation: &Operation, in_flight: Vec<InFlight>) -> Self {
        Self {
            contacts: operation.removed_enrollments,
            messages: operation.cancelled_deliveries,
            segments: operation.released_segments,
            refund_micros: operation.released_micros,
            in_flight,
        }
    }

    /// Lays it out with the verbs of a plan (`remove`) or of a receipt (`removed`).
    pub(crate) fn lay_out(
        &self,
        remove: &str,
        cancel: &str,
        refund: &str,
        currency: &str,
        page: &mut Page,
    ) {
        page.pairs([
            (remove, count(self.contacts, "contact")),
            (
                cancel,
                format!(
                    "{} ({})",
                    count(self.messages, "message"),
                    count(self.segments, "segment")
                ),
            ),
            (refund, money::show(self.refund_micros, currency)),
            ("in flight", count(self.in_flight.len() as u64, "message")),
        ]);
        lay_out_in_flight(&self.in_flight, page);
    }
}

/// How many attempts a table shows; JSON has them all.
const SHOWN: usize = 20;

/// The attempts that cannot be cancelled any more.
pub(crate) fn lay_out_in_flight(in_flight: &[InFlight], page: &mut Page) {
    if in_flight.is_empty() {
        return;
    }
    page.gap();
    let columns = [
        Column::Number("DELIVERY"),
        Column::Number("CONTACT"),
        Column::Number("ATTEMPT"),
        Column::Text("SINCE"),
        Column::Text("WORKER"),
        Column::Text("STATE"),
    ];
    let rows = in_flight.iter().take(SHOWN).map(|attempt| {
        vec![
            attempt.delivery_id.to_string(),
            attempt.contact_id.to_string(),
            attempt.attempt.to_string(),
            time(attempt.started_at),
            attempt.worker.clone().unwrap_or_default(),
            match attempt.state {
                DeliveryState::Unknown => "unknown: only the carrier knows".to_owned(),
                state => state.to_string(),
            },
        ]
    });
    page.table(&columns, rows, "");
    if in_flight.len() > SHOWN {
        page.line(format_args!("and {} more", in_flight.len() - SHOWN));
    }
    page.gap();
}
