//! What a pause, a deletion or a removal takes back, before and after it happens.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::money::Micros;
use dripline_store::ops::Paused;
use dripline_store::plan::{InFlight, PausePlan};
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

impl From<Paused> for Taken {
    fn from(paused: Paused) -> Self {
        Self {
            contacts: paused.removed,
            messages: paused.cancelled,
            segments: paused.segments,
            refund_micros: paused.released,
            in_flight: paused.in_flight,
        }
    }
}

impl Taken {
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
