//! What was said about deliveries: evidence of what nobody knew, and carriers' receipts.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::evidence::{Effect, Verdict, Witness};
use dripline_domain::ids::DeliveryId;
use dripline_domain::receipt::ReceiptStatus;
use serde::Serialize;

use crate::{Pool, StoreError, row};

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceListing {
    /// Its number; later pieces have higher ones.
    pub evidence_id: i64,
    /// The attempt that it speaks of.
    pub attempt: u32,
    /// Who says it.
    pub witness: Witness,
    /// What is said.
    pub verdict: Verdict,
    /// What it did.
    pub effect: Effect,
    /// What the delivery became by it, or was already.
    pub state: DeliveryState,
    /// The carrier's own id of the message, where it was named.
    pub carrier_reference: Option<String>,
    /// Who recorded it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub recorded_at: DateTime<Utc>,
}

/// A carrier's latest report on an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptListing {
    /// Which attempt; 0: all of them, which the carrier knows under one key.
    pub attempt: u32,
    /// How far the message has come.
    pub status: ReceiptStatus,
    /// The carrier's own id of the message, where the report names it.
    pub carrier_reference: Option<String>,
    /// Why it did not arrive.
    pub reason: Option<Reason>,
    /// When the report came.
    pub received_at: DateTime<Utc>,
}

/// The evidence about a delivery, first piece first.
pub async fn of_delivery(
    pool: &Pool,
    delivery_id: DeliveryId,
) -> Result<Vec<EvidenceListing>, StoreError> {
    let rows = sqlx::query!(
        "SELECT evidence_id, attempt, witness, verdict, effect, state, carrier_reference, actor, reason,
                recorded_at
         FROM evidence WHERE delivery_id = $1 ORDER BY evidence_id",
        delivery_id.0,
    )
    .fetch_all(pool)
    .await?;
    let pieces = rows.into_iter().map(|r| {
        let id = r.evidence_id;
        Ok(EvidenceListing {
            evidence_id: id,
            attempt: row::ordinal(r.attempt),
            witness: row::read(&r.witness, "evidence", "witness", id)?,
            verdict: row::read(&r.verdict, "evidence", "verdict", id)?,
            effect: row::read(&r.effect, "evidence", "effect", id)?,
            state: row::read(&r.state, "evidence", "state", id)?,
            carrier_reference: r.carrier_reference,
            actor: r.actor,
            reason: r.reason,
            recorded_at: r.recorded_at,
        })
    });
    pieces.collect()
}

/// The receipts of a delivery, by attempt.
pub async fn receipts(
    pool: &Pool,
    delivery_id: DeliveryId,
) -> Result<Vec<ReceiptListing>, StoreError> {
    let rows = sqlx::query!(
        "SELECT attempt, status, carrier_reference, reason_code, reason_text, received_at
         FROM receipts WHERE delivery_id = $1 ORDER BY attempt",
        delivery_id.0,
    )
    .fetch_all(pool)
    .await?;
    let receipts = rows.into_iter().map(|r| {
        Ok(ReceiptListing {
            attempt: row::ordinal(r.attempt),
            status: row::read(&r.status, "receipts", "status", delivery_id)?,
            carrier_reference: r.carrier_reference,
            reason: r
                .reason_code
                .map(|code| Reason { code, text: r.reason_text.unwrap_or_default() }),
            received_at: r.received_at,
        })
    });
    receipts.collect()
}
