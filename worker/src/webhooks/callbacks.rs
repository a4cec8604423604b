//! Whose callback was called.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dripline_store::callback::{self, Callback, CallbackToken};
use tokio::sync::Mutex as Turn;

use super::records::{Unrecorded, within};
use crate::batch::{BatchLimits, Batcher};
use crate::environment::Environment;

/// How long a callback that was found stays known: a route's other settings, and the end of its token, are heard of
/// after so long.
const KNOWN_FOR: Duration = Duration::from_secs(2);

/// Between two questions to the database. Whoever calls with made-up tokens makes for so many small queries a second and
/// no more, however many call.
const QUESTION_EVERY: Duration = Duration::from_millis(50);

/// Tokens in one question, and one question at a time.
const LIMITS: BatchLimits = BatchLimits { size: 1_000, concurrent: 1 };

type Found = Result<Option<Callback>, Unrecorded>;

/// Finds callbacks by their tokens.
#[derive(Debug)]
pub(super) struct Callbacks {
    /// Only such as exist, so that strangers do not fill it.
    known: Mutex<HashMap<CallbackToken, (Instant, Callback)>>,
    batcher: Batcher<CallbackToken, Found>,
}

impl Callbacks {
    pub(super) fn start(environment: &Arc<Environment>, timeout: Duration) -> Self {
        let environment = environment.clone();
        let last = Arc::new(Turn::new(None));
        let batcher = Batcher::spawn("callbacks", LIMITS, move |tokens: Vec<CallbackToken>| {
            let (environment, last) = (environment.clone(), last.clone());
            async move {
                rest(&mut *last.lock().await).await;
                let asked =
                    within(timeout, "callback.find", callback::find(&environment.pool, &tokens));
                match asked.await {
                    Ok(found) => found.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error); tokens.len()],
                }
            }
        });
        Self { known: Mutex::default(), batcher }
    }

    /// The callback with that token, if there is one.
    pub(super) async fn find(&self, token: CallbackToken) -> Found {
        if let Some(known) = self.known(&token) {
            return Ok(Some(known));
        }
        let found = self.batcher.call(token.clone()).await.unwrap_or(Err(Unrecorded::Refused))?;
        if let Some(callback) = found {
            let now = Instant::now();
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, (at, _)| now.duration_since(*at) < KNOWN_FOR);
            known.insert(token, (now, callback));
        }
        Ok(found)
    }

    fn known(&self, token: &CallbackToken) -> Option<Callback> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, callback) = known.get(token)?;
        (at.elapsed() < KNOWN_FOR).then_some(*callback)
    }
}

/// Waits until the last question was long enough ago.
async fn rest(last: &mut Option<Instant>) {
    if let Some(last) = *last {
        tokio::time::sleep(QUESTION_EVERY.saturating_sub(last.elapsed())).await;
    }
    *last = Some(Instant::now());
}
