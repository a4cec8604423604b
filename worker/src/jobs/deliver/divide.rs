//! One bad row must not cost its whole batch.

use std::future::Future;

use futures::future::BoxFuture;

use crate::outage::Unanswered;

/// The database refused this one by itself, or the daemon is being abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undone;

/// Runs `operation` over the batch. When the database refuses it, over each half, down to the one
/// that it refuses; that one alone gets no answer. Answers stand in the order of the requests.
pub(crate) fn divide<'a, Q, A, F, Fut>(
    what: &'static str,
    requests: Vec<Q>,
    operation: &'a F,
) -> BoxFuture<'a, Vec<Result<A, Undone>>>
where
    Q: Clone + Send + Sync + 'a,
    A: Send + 'a,
    F: Fn(Vec<Q>) -> Fut + Sync,
    Fut: Future<Output = Result<Vec<A>, Unanswered>> + Send + 'a,
{
    Box::pin(async move {
        let count = requests.len();
        let error = match operation(requests.clone()).await {
            Ok(answers) => return answers.into_iter().map(Ok).collect(),
            Err(Unanswered::Abandoned) => return repeat(count),
            Err(Unanswered::Refused(error)) => error,
        };
        if count <= 1 {
            let error = anyhow::Error::from(error);
            tracing::error!(operation = what, "the database refused a delivery: {error:#}");
            return repeat(count);
        }
        let mut left = requests;
        let right = left.split_off(count / 2);
        let mut answers = divide(what, left, operation).await;
        answers.extend(divide(what, right, operation).await);
        answers
    })
}

fn repeat<A>(count: usize) -> Vec<Result<A, Undone>> {
    std::iter::repeat_with(|| Err(Undone)).take(count).collect()
}

#[cfg(test)]
mod tests {
    use dripline_store::StoreError;

    use super::*;

    #[tokio::test]
    async fn only_the_refused_one_goes_without_an_answer() {
        let operation = |batch: Vec<u32>| async move {
            if batch.contains(&7) {
                return Err(Unanswered::Refused(StoreError::Unreadable {
                    table: "deliveries",
                    key: "7".to_owned(),
                    column: "state",
                }));
            }
            Ok(batch.into_iter().map(|n| n * 10).collect())
        };
        let answers = divide("test", (0..20).collect(), &operation).await;
        for (n, answer) in (0_u32..).zip(answers) {
            assert_eq!(answer, if n == 7 { Err(Undone) } else { Ok(n * 10) });
        }
    }

    #[tokio::test]
    async fn an_abandoned_batch_is_not_tried_again() {
        let operation = |_: Vec<u32>| async move { Err::<Vec<u32>, _>(Unanswered::Abandoned) };
        assert_eq!(divide("test", vec![1, 2, 3], &operation).await, vec![Err(Undone); 3]);
    }
}
