//! Running a transaction again when Postgres undid it to break a tie.

use std::time::Duration;

use rand::RngExt;

use crate::StoreError;

/// How often a transaction is run in all.
const RUNS: u32 = 6;

/// Counts the runs of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    runs: u32,
}

impl Retries {
    /// Whether the transaction should be run again. Waits a moment first, of a length that differs
    /// between those who met.
    pub(crate) async fn again(&mut self, error: &StoreError) -> bool {
        self.runs += 1;
        if self.runs >= RUNS || !error.is_conflict() {
            return false;
        }
        tracing::debug!(run = self.runs, "transaction undone by a conflict, running it again");
        let longest_ms = 4 << self.runs;
        let wait_ms = rand::rng().random_range(0..=longest_ms);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        true
    }
}
