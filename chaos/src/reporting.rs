//! The carrier's reports on messages that it took: late, doubled and out of order, as reports are.

use dripline_domain::clock::SystemClock;
use dripline_domain::ids::RouteId;
use dripline_domain::receipt::ReceiptStatus;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{self, Receipt, ReceiptOf, Received};
use dripline_store::{Pool, StoreError};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use uuid::Uuid;

use crate::outlast::outlast;
use crate::stage::{ACTOR, Stage};

/// Reports of one transaction.
const BATCH: usize = 100;
/// One message in so many did not arrive.
const LOST_ONE_IN: usize = 7;

/// Reports on the last messages that the carrier took. Each report is made twice, and all of them in an order
/// drawn from `choice`, by two callers at once.
pub(crate) async fn report(stage: &Stage, messages: usize, choice: u64) -> anyhow::Result<()> {
    let taken = stage.carrier.last_taken(messages)?;
    let Some(taken) = outlast(|| with_routes(&stage.deeds, &taken)).await.known()? else {
        return Ok(());
    };
    let mut receipts: Vec<Receipt> = taken.iter().enumerate().flat_map(of).collect();
    receipts.extend(receipts.clone());
    receipts.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(choice));
    let half = receipts.len() / 2;
    let (one, other) = receipts.split_at(half);
    let (one, other) = tokio::join!(record(stage, one), record(stage, other));
    one.and(other)
}

/// The messages with the routes over which they went. One under a key, whose reference is of attempt 0, went over the
/// route of any of its attempts that have one.
async fn with_routes(
    pool: &Pool,
    references: &[String],
) -> Result<Vec<(RouteId, String)>, StoreError> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT coalesce(a.route_id, s.route_id), q.reference
         FROM unnest($1::TEXT[]) WITH ORDINALITY AS q (reference, place),
              LATERAL (SELECT split_part(q.reference, '-', 2)::BIGINT AS delivery_id,
                              split_part(q.reference, '-', 3)::INTEGER AS attempt) AS named
         JOIN deliveries d USING (delivery_id)
         CROSS JOIN LATERAL (SELECT min(r.route_id) AS route_id FROM routes r WHERE r.account_id = d.account_id) AS s
         LEFT JOIN LATERAL (
             SELECT t.route_id FROM attempts t LEFT JOIN attempt_references k USING (delivery_id, attempt)
             WHERE t.delivery_id = named.delivery_id
               AND (t.attempt = named.attempt OR (named.attempt = 0 AND k.key_expires_at IS NOT NULL))
             LIMIT 1
         ) AS a ON TRUE
         ORDER BY q.place",
    )
    .bind(references)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|(route_id, reference)| (RouteId(route_id), reference)).collect())
}

/// Everything that the carrier has to say on one message.
fn of(
    (number, (over, reference)): (usize, &(RouteId, String)),
) -> impl Iterator<Item = Receipt> + use<> {
    let end = if number.is_multiple_of(LOST_ONE_IN) {
        ReceiptStatus::Undelivered
    } else {
        ReceiptStatus::Delivered
    };
    let (over, reference) = (*over, reference.clone());
    [ReceiptStatus::Queued, ReceiptStatus::Sent, end].into_iter().map(move |status| Receipt {
        over,
        of: ReceiptOf::Ours(reference.clone()),
        status,
        carrier_reference: None,
        reason: None,
    })
}

async fn record(stage: &Stage, receipts: &[Receipt]) -> anyhow::Result<()> {
    let policy = RetryPolicy::default();
    for batch in receipts.chunks(BATCH) {
        let batch_id = Uuid::new_v4();
        let recorded = outlast(|| {
            ops::record_receipts(&stage.deeds, &SystemClock, &policy, ACTOR, batch_id, batch)
        });
        for received in recorded.await.known()?.unwrap_or_default() {
            // The carrier took it, and says so by our own reference.
            if matches!(received, Received::Unknown | Received::Ambiguous | Received::Contradicted)
            {
                stage.complain(format!("a report on a message that was taken is {received:?}"));
            }
        }
    }
    Ok(())
}
