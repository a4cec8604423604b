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

/// Repeats database operations through outages, and logs each outage once, not each try.
#[derive(Debug)]
pub struct Outage {
    stop: Stop,
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
    /// Waits until `stop` abandons.
    pub fn new(stop: Stop) -> Self {
        Self { stop, since: Mutex::new(None) }
    }

    /// Runs `operation` until the database answers it. It must be safe to repeat, also after a
    /// COMMIT whose answer was lost.
    pub async fn outlast<T, F, Fut>(
        &self,
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
                result = operation() => result,
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
