//! Natural batching: while one batch runs, the next one gathers.
//!
//! A [`Batcher`] takes single requests from many callers, runs an async function over whatever is
//! waiting, and answers each caller. There is no timer: an idle batcher starts at once with the one
//! request it has, and a busy one finds more the busier it is.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Gathers requests of type `Q` into batches and answers each with an `A`. Cheap to clone.
#[derive(Debug)]
pub struct Batcher<Q, A> {
    waiting: mpsc::UnboundedSender<Waiting<Q, A>>,
}

impl<Q, A> Clone for Batcher<Q, A> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone() }
    }
}

/// How large a batch may grow and how many may run at once.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Requests in one batch, at least 1.
    pub size: usize,
    /// Batches running at the same time, at least 1.
    pub concurrent: usize,
}

/// The batch ended without an answer to this request: its function panicked or answered too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch ended without an answer")]
pub struct NoAnswer;

struct Waiting<Q, A> {
    request: Q,
    answer: oneshot::Sender<A>,
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// Starts the batcher's tasks. `run` gets at most `limits.size` requests and returns their
    /// answers in the same order. The tasks end when the last clone of the batcher is dropped.
    pub fn spawn<F, Fut>(name: &'static str, limits: BatchLimits, run: F) -> Self
    where
        F: Fn(Vec<Q>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<A>> + Send + 'static,
    {
        let (waiting, arrivals) = mpsc::unbounded_channel();
        let arrivals = Arc::new(Mutex::new(arrivals));
        let run = Arc::new(run);
        for _ in 0..limits.concurrent.max(1) {
            tokio::spawn(run_batches(name, limits.size.max(1), arrivals.clone(), run.clone()));
        }
        Self { waiting }
    }

    /// Hands over one request and waits for its answer.
    pub async fn call(&self, request: Q) -> Result<A, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.waiting.send(Waiting { request, answer }).map_err(|_| NoAnswer)?;
        answered.await.map_err(|_| NoAnswer)
    }
}

async fn run_batches<Q, A, F, Fut>(
    name: &'static str,
    size: usize,
    arrivals: Arc<Mutex<mpsc::UnboundedReceiver<Waiting<Q, A>>>>,
    run: Arc<F>,
) where
    F: Fn(Vec<Q>) -> Fut,
    Fut: Future<Output = Vec<A>>,
{
    loop {
        let gathered = gather(size, &arrivals).await;
        if gathered.is_empty() {
            return;
        }
        let (requests, callers): (Vec<_>, Vec<_>) =
            gathered.into_iter().map(|w| (w.request, w.answer)).unzip();
        // A panic costs the callers of this batch their answer, not the batcher its life.
        let answered = AssertUnwindSafe(async { run(requests).await }).catch_unwind().await;
        let Ok(answers) = answered else {
            tracing::error!(batch = name, "a batch panicked");
            continue;
        };
        for (caller, answer) in callers.into_iter().zip(answers) {
            // A caller that has gone away needs no answer.
            let _ = caller.send(answer);
        }
    }
}

/// The next batch; empty when no more requests can come.
async fn gather<T>(size: usize, arrivals: &Mutex<mpsc::UnboundedReceiver<T>>) -> Vec<T> {
    let mut arrivals = arrivals.lock().await;
    let mut batch = Vec::new();
    arrivals.recv_many(&mut batch, size).await;
    if !batch.is_empty() && batch.len() < size {
        // What woke us has often woken its neighbours too: let them hand in before we go.
        tokio::task::yield_now().await;
        while batch.len() < size {
            let Ok(next) = arrivals.try_recv() else { break };
            batch.push(next);
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn every_caller_gets_its_own_answer() {
        let doubler = Batcher::spawn(
            "double",
            BatchLimits { size: 7, concurrent: 2 },
            |batch: Vec<usize>| async move { batch.into_iter().map(|n| n * 2).collect() },
        );
        let answers = join_all((0..100).map(|n| doubler.call(n))).await;
        let expected: Vec<_> = (0..100).map(|n| Ok(n * 2)).collect();
        assert_eq!(answers, expected);
    }

    #[tokio::test]
    async fn what_waits_becomes_one_batch_and_no_batch_outgrows_its_limit() {
        let gate = Arc::new(Semaphore::new(0));
        let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
        let batcher = {
            let (gate, sizes) = (gate.clone(), sizes.clone());
            Batcher::spawn(
                "gated",
                BatchLimits { size: 10, concurrent: 1 },
                move |batch: Vec<()>| {
                    let (gate, sizes) = (gate.clone(), sizes.clone());
                    async move {
                        gate.acquire().await.unwrap().forget();
                        sizes.lock().unwrap().push(batch.len());
                        batch
                    }
                },
            )
        };
        let mut calls = join_all((0..25).map(|_| batcher.call(())));
        // Polled once, every request is waiting and nothing has been answered.
        assert!(futures::poll!(&mut calls).is_pending());
        gate.add_permits(10);
        assert!(calls.await.iter().all(Result::is_ok));
        let sizes = sizes.lock().unwrap();
        assert_eq!(*sizes, [10, 10, 5]);
    }

    #[tokio::test]
    async fn a_panic_costs_one_batch_its_answers_and_nothing_else() {
        let calls = Arc::new(AtomicUsize::new(0));
        let batcher = Batcher::spawn("fragile", BatchLimits { size: 1, concurrent: 1 }, {
            let calls = calls.clone();
            move |batch: Vec<u8>| {
                calls.fetch_add(1, Ordering::Relaxed);
                async move {
                    assert_ne!(batch[0], 13, "unlucky");
                    batch
                }
            }
        });
        assert_eq!(batcher.call(13).await, Err(NoAnswer));
        assert_eq!(batcher.call(14).await, Ok(14));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn too_few_answers_leave_a_caller_without_one_instead_of_waiting() {
        let batcher = Batcher::spawn(
            "silent",
            BatchLimits { size: 5, concurrent: 1 },
            |_: Vec<u8>| async move { Vec::<u8>::new() },
        );
        assert_eq!(batcher.call(1).await, Err(NoAnswer));
    }
}
