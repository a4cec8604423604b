//! `dripline delivery show`.

use dripline_domain::delivery::Reason;
use dripline_domain::ids::{DeliveryId, LedgerEntryId};
use dripline_store::listing::deliveries::{Attempt, DeliveryDetail};
use dripline_store::listing::evidence::{EvidenceListing, ReceiptListing};
use serde::Serialize;

use super::find;
use crate::context::Context;
use crate::exit::Exit;
use crate::money;
use crate::output::page::{Column, Page};
use crate::output::words::{count, time, time_or_dash};
use crate::output::{Output, Report};

/// Show one message: its state, its money, its attempts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The delivery's id.
    delivery: DeliveryId,
}

#[derive(Serialize)]
struct OneDelivery {
    delivery: DeliveryDetail,
    currency: String,
}

impl Report for OneDelivery {
    fn lay_out(&self, page: &mut Page) {
        let DeliveryDetail { delivery, ticket_id, hold_entry_id, .. } = &self.delivery;
        let money = |micros, segments, entry: Option<String>| {
            let entry = entry.map(|id| format!(", ledger entry {id}")).unwrap_or_default();
            format!(
                "{} ({}{entry})",
                money::show(micros, &self.currency),
                count(segments, "segment")
            )
        };
        let id = |entry: Option<LedgerEntryId>| entry.map(|id| id.to_string());
        let mut pairs = vec![
            ("delivery", delivery.delivery_id.to_string()),
            ("workflow", format!("{} (step {})", delivery.workflow, delivery.position)),
            ("contact", format!("{} (id {})", delivery.phone, delivery.contact_id)),
            ("enrollment", delivery.enrollment_id.to_string()),
            ("state", delivery.state.to_string()),
            ("due", time(delivery.due_at)),
            ("expires", time_or_dash(delivery.expires_at)),
            ("settled", time_or_dash(delivery.settled_at)),
            (
                "held",
                money(
                    delivery.held_micros,
                    delivery.held_segments,
                    Some(hold_entry_id.to_string()),
                ),
            ),
            (
                "taken",
                money(
                    delivery.captured_micros,
                    delivery.captured_segments,
                    id(self.delivery.capture_entry_id),
                ),
            ),
            (
                "given back",
                money(
                    delivery.released_micros,
                    delivery.released_segments,
                    id(self.delivery.release_entry_id),
                ),
            ),
        ];
        pairs.extend(ticket_id.clone().map(|ticket| ("ticket", ticket)));
        let reference = delivery.carrier_reference.clone();
        pairs.extend(reference.map(|reference| ("carrier's id", reference)));
        pairs.extend(delivery.reason.as_ref().map(|reason| ("reason", say(reason))));
        page.pairs(pairs);
        page.gap();
        lay_out_attempts(&self.delivery.attempts, page);
        lay_out_evidence(&self.delivery.evidence, page);
        lay_out_receipts(&self.delivery.receipts, page);
    }
}

/// What was said about hand-overs of which nobody knew, and what it did.
fn lay_out_evidence(evidence: &[EvidenceListing], page: &mut Page) {
    if evidence.is_empty() {
        return;
    }
    page.gap();
    let columns = [
        Column::Text("EVIDENCE"),
        Column::Number("ATTEMPT"),
        Column::Text("SAYS"),
        Column::Text("EFFECT"),
        Column::Text("STATE"),
        Column::Text("RECORDED"),
        Column::Text("BY"),
        Column::Text("REASON"),
    ];
    let rows = evidence.iter().map(|piece| {
        vec![
            piece.witness.to_string(),
            piece.attempt.to_string(),
            piece.verdict.to_string(),
            piece.effect.to_string(),
            piece.state.to_string(),
            time(piece.recorded_at),
            piece.actor.clone(),
            piece.reason.clone().unwrap_or_default(),
        ]
    });
    page.table(&columns, rows, "");
}

fn lay_out_receipts(receipts: &[ReceiptListing], page: &mut Page) {
    if receipts.is_empty() {
        return;
    }
    page.gap();
    let columns = [
        Column::Text("RECEIPT"),
        Column::Text("ATTEMPT"),
        Column::Text("RECEIVED"),
        Column::Text("CARRIER'S ID"),
        Column::Text("REASON"),
    ];
    let rows = receipts.iter().map(|receipt| {
        vec![
            receipt.status.to_string(),
            // Under a key, the carrier knows all attempts as one message.
            if receipt.attempt == 0 { "all".to_owned() } else { receipt.attempt.to_string() },
            time(receipt.received_at),
            receipt.carrier_reference.clone().unwrap_or_default(),
            receipt.reason.as_ref().map(say).unwrap_or_default(),
        ]
    });
    page.table(&columns, rows, "");
}

fn lay_out_attempts(attempts: &[Attempt], page: &mut Page) {
    let columns = [
        Column::Number("ATTEMPT"),
        Column::Text("MARKED"),
        Column::Text("OUTCOME"),
        Column::Text("FINISHED"),
        Column::Number("SEGMENTS"),
        Column::Text("ROUTE"),
        Column::Text("WORKER"),
        Column::Text("REASON"),
    ];
    let rows = attempts.iter().map(|attempt| {
        vec![
            attempt.attempt.to_string(),
            time(attempt.started_at),
            attempt.outcome.clone().unwrap_or_else(|| "not known".to_owned()),
            time_or_dash(attempt.finished_at),
            attempt.segments.to_string(),
            attempt.route.clone().unwrap_or_default(),
            attempt.worker.clone().unwrap_or_default(),
            attempt.reason.as_ref().map(say).unwrap_or_default(),
        ]
    });
    page.table(&columns, rows, "never handed over");
}

fn say(reason: &Reason) -> String {
    format!("{}: {}", reason.code, reason.text)
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let delivery = find(ctx, &account, args.delivery).await?;
    out.data(&OneDelivery { delivery, currency: account.currency })?;
    Ok(Exit::Done)
}
