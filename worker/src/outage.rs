//! What every database stage does when the database does not answer: it waits and asks again.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dripline_store::StoreError;

use crate::lifecycle::Stop;

/// The first wait after a lost connection; doubled up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Short enough that work goes on within seconds of the database's return.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How many times longer a sweep may take than anything else: it goes through whatever there is, and a
/// later run goes on where it was cut off.
const SWEEP_FACTOR: u32 = 10;

/// Repeats database operations through outages, and logs each outage once, not each try.
#[derive(Debug)]
pub struct Outage {
    stop: Stop,
    /// After how long without an answer a connection is given up. The other end may be gone without a
    /// word, and what stands between may go on acknowledging what nobody receives.
    timeout: Duration,
    /// Since when the database does not answer.
    since: Mutex<Option<Instant>>,
}

/// Why an operation has no result.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The database answered, and the answer was no. Repeating would not help.
    #[error("the database refused")]
    Refused(#[source] StoreError),
    /// The daemon is being abandoned; nobody knows what became of the operation.
    #[error("stopped before the database answered")]
    Abandoned,
}

impl Outage {
    /// Waits until `stop` abandons. An operation without an answer for `timeout` is made again, over
    /// another connection.
    pub fn new(stop: Stop, timeout: Duration) -> Self {
        Self { stop, timeout, since: Mutex::new(None) }
    }

    /// The same for a sweep, which may take longer.
    pub async fn outlast_sweep<T, F, Fut>(
        &self,
        what: &'static str,
        operation: F,
    ) -> Result<T, Unanswered>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        self.outlast_within(self.timeout.saturating_mul(SWEEP_FACTOR), what, operation).await
    }

    /// Runs `operation` until the database answers it. It must be safe to repeat, also after a
    /// COMMIT whose answer was lost.
    pub async fn outlast<T, F, Fut>(
        &self,
        what: &'static str,
        operation: F,
    ) -> Result<T, Unanswered>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        self.outlast_within(self.timeout, what, operation).await
    }

    async fn outlast_within<T, F, Fut>(
        &self,
        timeout: Duration,
        what: &'static str,
        mut operation: F,
    ) -> Result<T, Unanswered>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        let mut wait = FIRST_WAIT;
        loop {
            let result = tokio::select! {
                biased;
                () = self.stop.abandoning() => return Err(Unanswered::Abandoned),
                result = tokio::time::timeout(timeout, operation()) => {
                    result.unwrap_or_else(|_| Err(StoreError::Unanswered { waited: timeout }))
                }
            };
            match result {
                Ok(value) => {
                    self.end();
                    return Ok(value);
                }
                Err(error) if error.is_conflict() => {
                    tracing::debug!(operation = what, %error, "conflict: running it again");
                }
                Err(error) if error.is_connection_lost() || error.is_passing() => {
                    self.begin(what, error);
                }
                Err(error) => return Err(Unanswered::Refused(error)),
            }
            tokio::select! {
                () = self.stop.abandoning() => return Err(Unanswered::Abandoned),
                () = tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn begin(&self, what: &'static str, error: StoreError) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_none() {
            *since = Some(Instant::now());
            let error = anyhow::Error::from(error);
            tracing::error!(
                operation = what,
                "the database does not answer, trying again: {error:#}"
            );
        }
    }

    fn end(&self) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(began) = since.take() {
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(outage_seconds = seconds, "the database answers again");
        }
    }
}
