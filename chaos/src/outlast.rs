//! Doing something until the database has answered, as any careful client does.

use std::future::Future;
use std::time::{Duration, Instant};

use dripline_store::StoreError;

/// How long one try may take. A connection that nobody answers on any more ends with it.
const TRY: Duration = Duration::from_secs(15);
/// How long is tried. Longer than any fault.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two tries.
const REST: Duration = Duration::from_millis(100);

/// What is known about something that was to be done.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// The database has answered.
    Known(T),
    /// It has not, all the time.
    Unknown,
    /// It has refused, in a way that it should not.
    Refused(StoreError),
}

impl<T> Answer<T> {
    /// What is known, if anything.
    pub(crate) fn known(self) -> anyhow::Result<Option<T>> {
        match self {
            Self::Known(value) => Ok(Some(value)),
            Self::Unknown => Ok(None),
            Self::Refused(error) => Err(error.into()),
        }
    }
}

/// Tries until the database answers. `operation` must be safe to repeat.
pub(crate) async fn outlast<T, F, Fut>(mut operation: F) -> Answer<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, StoreError>>,
{
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        match tokio::time::timeout(TRY, operation()).await {
            Ok(Ok(value)) => return Answer::Known(value),
            Ok(Err(error))
                if error.is_connection_lost() || error.is_passing() || error.is_conflict() => {}
            Ok(Err(error)) => return Answer::Refused(error),
            Err(_) => {}
        }
        tokio::time::sleep(REST).await;
    }
    Answer::Unknown
}
