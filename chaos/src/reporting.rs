//! The carrier's reports on messages that it took: late, doubled and out of order, as reports are.

use dripline_domain::clock::SystemClock;
use dripline_domain::receipt::ReceiptStatus;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{self, Receipt, ReceiptOf, Received};
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
    let mut receipts: Vec<Receipt> = taken.iter().enumerate().flat_map(of).collect();
    receipts.extend(receipts.clone());
    receipts.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(choice));
    let half = receipts.len() / 2;
    let (one, other) = receipts.split_at(half);
    let (one, other) = tokio::join!(record(stage, one), record(stage, other));
    one.and(other)
}

/// Everything that the carrier has to say on one message.
fn of((number, reference): (usize, &String)) -> impl Iterator<Item = Receipt> {
    let end = if number.is_multiple_of(LOST_ONE_IN) {
        ReceiptStatus::Undelivered
    } else {
        ReceiptStatus::Delivered
    };
    let reference = reference.clone();
    [ReceiptStatus::Queued, ReceiptStatus::Sent, end].into_iter().map(move |status| Receipt {
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
