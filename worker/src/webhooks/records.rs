//! Writes down what was heard, in batches: while one transaction runs, the next batch gathers.

use std::sync::Arc;
use std::time::Duration;

use dripline_store::StoreError;
use dripline_store::ops::{self, InboundMessage, Inbounded, Receipt, Received};
use uuid::Uuid;

use crate::batch::{BatchLimits, Batcher};
use crate::environment::Environment;

/// Who ends what is left for a contact that writes that it wants no more.
const CONTACT: &str = "contact";

/// Requests in one batch, and one batch of each kind at a time: what carriers say takes two of the database's connections
/// and leaves the others to messages.
const LIMITS: BatchLimits = BatchLimits { size: 100, concurrent: 1 };

/// Why something was not written down, or not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unrecorded {
    /// The database did not answer, or cannot now.
    Away,
    /// It said no.
    Refused,
}

/// Writes receipts and messages down.
#[derive(Debug)]
pub(super) struct Records {
    receipts: Batcher<Vec<Receipt>, Result<Vec<Received>, Unrecorded>>,
    inbound: Batcher<Vec<InboundMessage>, Result<Vec<Inbounded>, Unrecorded>>,
}

impl Records {
    /// `timeout` is of one transaction. Nothing is tried again here: the carrier does that, and until then nobody has
    /// to keep what it said.
    pub(super) fn start(environment: &Arc<Environment>, timeout: Duration) -> Self {
        let all = environment.clone();
        let receipts = Batcher::spawn("receipts", LIMITS, move |batch| {
            let all = all.clone();
            each(batch, move |receipts: Vec<Receipt>| record(all.clone(), timeout, receipts))
        });
        let all = environment.clone();
        let inbound = Batcher::spawn("inbound", LIMITS, move |batch| {
            let all = all.clone();
            each(batch, move |messages: Vec<InboundMessage>| keep(all.clone(), timeout, messages))
        });
        Self { receipts, inbound }
    }

    pub(super) async fn receipts(
        &self,
        receipts: Vec<Receipt>,
    ) -> Result<Vec<Received>, Unrecorded> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        self.receipts.call(receipts).await.unwrap_or(Err(Unrecorded::Refused))
    }

    pub(super) async fn inbound(
        &self,
        messages: Vec<InboundMessage>,
    ) -> Result<Vec<Inbounded>, Unrecorded> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        self.inbound.call(messages).await.unwrap_or(Err(Unrecorded::Refused))
    }
}

async fn record(
    environment: Arc<Environment>,
    timeout: Duration,
    receipts: Vec<Receipt>,
) -> Result<Vec<Received>, Unrecorded> {
    let Environment { pool, clock, retry, worker_id, .. } = &*environment;
    let (actor, batch_id) = (format!("worker {worker_id}"), Uuid::now_v7());
    let recorded = ops::record_receipts(pool, &**clock, retry, &actor, batch_id, &receipts);
    within(timeout, "op.record_receipts", recorded).await
}

async fn keep(
    environment: Arc<Environment>,
    timeout: Duration,
    messages: Vec<InboundMessage>,
) -> Result<Vec<Inbounded>, Unrecorded> {
    let Environment { pool, clock, .. } = &*environment;
    let received = ops::receive_inbound(pool, &**clock, CONTACT, &messages);
    within(timeout, "op.receive_inbound", received).await
}

/// Runs `record` over what all requests of a batch said, in one go. If that is refused, over that of each: one that the
/// database does not take must not cost the others their answers.
async fn each<Q, A, F, Fut>(batch: Vec<Vec<Q>>, record: F) -> Vec<Result<Vec<A>, Unrecorded>>
where
    Q: Clone,
    F: Fn(Vec<Q>) -> Fut,
    Fut: Future<Output = Result<Vec<A>, Unrecorded>>,
{
    match record(batch.iter().flatten().cloned().collect()).await {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            batch.iter().map(|said| Ok(answers.by_ref().take(said.len()).collect())).collect()
        }
        Err(Unrecorded::Refused) if batch.len() > 1 => {
            let mut alone = Vec::with_capacity(batch.len());
            for said in batch {
                alone.push(record(said).await);
            }
            alone
        }
        Err(error) => batch.iter().map(|_| Err(error)).collect(),
    }
}

/// What the database answers in time.
pub(super) async fn within<T>(
    timeout: Duration,
    operation: &'static str,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Unrecorded> {
    let answered = tokio::time::timeout(timeout, answer).await;
    match answered.unwrap_or(Err(StoreError::Unanswered { waited: timeout })) {
        Ok(value) => Ok(value),
        Err(error) if error.is_connection_lost() || error.is_passing() || error.is_conflict() => {
            // Who delivers says it louder, and once.
            tracing::debug!(operation, %error, "the database does not answer a carrier's request");
            Err(Unrecorded::Away)
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::error!(operation, "what a carrier says could not be written down: {error:#}");
            Err(Unrecorded::Refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_database_does_not_take_costs_the_others_nothing() {
        let record = |said: Vec<u32>| async move {
            if said.contains(&13) { Err(Unrecorded::Refused) } else { Ok(said) }
        };
        let answers = each(vec![vec![1, 2], vec![13], vec![], vec![3]], record).await;
        let expected = [Ok(vec![1, 2]), Err(Unrecorded::Refused), Ok(vec![]), Ok(vec![3])];
        assert_eq!(answers, expected);
    }

    #[tokio::test]
    async fn each_request_gets_its_own_answers() {
        let batch = vec![vec![1, 2], vec![], vec![3]];
        let answers = each(batch, |said: Vec<u32>| async move { Ok(said) }).await;
        assert_eq!(answers, [Ok(vec![1, 2]), Ok(vec![]), Ok(vec![3])]);
    }
}
