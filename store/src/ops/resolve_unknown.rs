//! Resolves deliveries of which nobody knew whether the carrier took them, by evidence.

use dripline_domain::clock::Clock;
use dripline_domain::evidence::Evidence;
use dripline_domain::ids::DeliveryId;
use dripline_domain::retry::RetryPolicy;
use uuid::Uuid;

pub use super::hearing::Resolved;
use super::hearing::{Hearing, Keep, Said};
use super::situation;
use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::{Pool, StoreError};

/// A piece of evidence about one delivery.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// About which.
    pub delivery_id: DeliveryId,
    /// About which hand-over of it; `None`: the last one.
    pub attempt: Option<u32>,
    /// Who says what.
    pub evidence: Evidence,
    /// The carrier's own id of the message, where that is known.
    pub carrier_reference: Option<String>,
    /// Why, for people. Never a secret, a phone number or message text.
    pub reason: Option<String>,
}

/// Hears a batch of evidence in one transaction, with one ledger entry per account and kind. Gives the
/// answers in the order of the pieces.
///
/// What is `unknown` is decided: sent is captured, and its enrollment goes on; not sent is queued again
/// while its enrollment lives and attempts are left, and else ends and is released. What was decided
/// before stays as it is, and what says otherwise is recorded beside it; only a message that was sent, and
/// waits to be sent once more, is settled as sent, so that nobody gets it twice. Running the batch again with
/// the same `batch_id`, after its COMMIT got no answer, changes nothing and answers
/// [`Resolved::AlreadyDone`].
pub async fn resolve_unknown(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    actor: &str,
    batch_id: Uuid,
    resolutions: &[Resolution],
) -> Result<Vec<Resolved>, StoreError> {
    if resolutions.is_empty() {
        return Ok(Vec::new());
    }
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, policy, actor, batch_id, resolutions).await {
            Ok(resolved) => return Ok(resolved),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    actor: &str,
    batch_id: Uuid,
    resolutions: &[Resolution],
) -> Result<Vec<Resolved>, StoreError> {
    let ids: Vec<i64> = resolutions.iter().map(|resolution| resolution.delivery_id.0).collect();
    let pieces: Vec<Said<'_>> = resolutions.iter().map(said).collect();
    let mut tx = pool.begin().await?;
    let workflows = situation::lock_workflows(&mut tx, &ids).await?;
    let hearing = Hearing { batch_id, actor, now: clock.now() };
    let resolved = hearing.hear(&mut tx, policy, &workflows, &pieces, Keep::All).await?;
    commit(tx, Commit::ResolveUnknown).await?;
    Ok(resolved)
}

fn said(resolution: &Resolution) -> Said<'_> {
    Said {
        delivery_id: resolution.delivery_id,
        attempt: resolution.attempt,
        evidence: resolution.evidence,
        carrier_reference: resolution.carrier_reference.as_deref(),
        reason: resolution.reason.clone(),
    }
}
