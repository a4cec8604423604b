//! `dripline delivery show`.

use dripline_domain::delivery::Reason;
use dripline_domain::ids::{DeliveryId, LedgerEntryId};
use dripline_store::listing::deliveries::{self, Attempt, DeliveryDetail, DeliveryFilter};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
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
    }
}

fn lay_out_attempts(attempts: &[Attempt], page: &mut Page) {
    let columns = [
        Column::Number("ATTEMPT"),
        Column::Text("MARKED"),
        Column::Text("OUTCOME"),
        Column::Text("FINISHED"),
        Column::Number("SEGMENTS"),
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
    let pool = ctx.pool().await?;
    // Lists go backwards and begin behind a number, so the one wanted comes first.
    let behind = Some(DeliveryId(args.delivery.0.saturating_add(1)));
    let first = DeliveryFilter { after: behind, limit: 1, ..DeliveryFilter::default() };
    let first = deliveries::list(pool, account.account_id, &first).await?.pop();
    let delivery = match first {
        Some(first) if first.delivery_id == args.delivery => {
            deliveries::show(pool, args.delivery).await?
        }
        _ => None,
    };
    let delivery = delivery.ok_or_else(|| {
        refuse(format!("there is no delivery {} in account `{}`", args.delivery, account.name))
            .hint("`dripline delivery list` lists them")
    })?;
    out.data(&OneDelivery { delivery, currency: account.currency })?;
    Ok(Exit::Done)
}
