//! The token of a route whose carrier wants one with each request.
//!
//! It is fetched before the mark, as part of preparing a message, so that a message whose token cannot be had has
//! not begun to leave. It is kept here alone, in memory, for one revision of the route.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dripline_domain::breaker::Symptom;
use dripline_plugin_host::egress::{Grant, WireOutcome};
use dripline_plugin_host::outcome::refuses_token;
use dripline_plugin_host::{NoToken, Request, Token};

use super::routes::ReadyRoute;
use crate::environment::Environment;

/// A token is replaced so long before its end, so that what was prepared with it still leaves in time ...
const MARGIN: Duration = Duration::from_mins(1);
/// ... but one that is good for a short time only, when no more than one part in so many of it is left.
const PART: u32 = 4;

/// The token of one revision of a route, and whoever fetches it.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    state: Mutex<State>,
    /// One fetch at a time: hundreds of messages want the same token at once.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Arc<HeldToken>>,
    /// How many fetches have ended.
    fetches: u64,
    /// What came of the last one, if it failed.
    failure: Option<NoToken>,
}

/// A token with the rights to use it.
#[derive(Debug)]
pub(super) struct HeldToken {
    pub(super) grant: Grant,
    /// When another one is fetched; `None`: when the carrier refuses it.
    fresh_until: Option<Instant>,
    /// Whether the carrier has taken it once.
    worked: AtomicBool,
}

impl HeldToken {
    /// A token that was asked for at `asked_at`.
    fn new(grant: &Grant, token: &Token, asked_at: Instant) -> Self {
        let fresh_until = token.lifetime().and_then(|lifetime| {
            // One that is good for ages has no end that could be written down.
            asked_at.checked_add(lifetime.saturating_sub(MARGIN.min(lifetime / PART)))
        });
        Self { grant: grant.with_token(token), fresh_until, worked: AtomicBool::new(false) }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.fresh_until.is_none_or(|until| now < until)
    }
}

impl State {
    fn fresh(&self) -> Option<Arc<HeldToken>> {
        self.held.clone().filter(|held| held.is_fresh(Instant::now()))
    }
}

impl Tokens {
    /// The token, fetched by `fetch` when there is none that is fresh. Whoever comes during a fetch shares what
    /// comes of it, also when it fails.
    async fn get(
        &self,
        fetch: impl Future<Output = Result<HeldToken, NoToken>>,
    ) -> Result<Arc<HeldToken>, NoToken> {
        let before = {
            let state = self.lock();
            if let Some(held) = state.fresh() {
                return Ok(held);
            }
            state.fetches
        };
        let _one_at_a_time = self.fetching.lock().await;
        {
            let state = self.lock();
            let shared = state.fetches > before;
            // A token that is good for no time at all is shared all the same, or each would fetch its own in turn.
            if let Some(held) = if shared { state.held.clone() } else { state.fresh() } {
                return Ok(held);
            }
            if let Some(failure) = state.failure.as_ref().filter(|_| shared) {
                return Err(failure.clone());
            }
        }
        let fetched = fetch.await.map(Arc::new);
        let mut state = self.lock();
        state.fetches += 1;
        state.held = fetched.as_ref().ok().cloned();
        state.failure = fetched.as_ref().err().cloned();
        fetched
    }

    /// Forgets a token that the carrier has refused, unless another one has taken its place.
    fn forget(&self, refused: &HeldToken) {
        let mut state = self.lock();
        if state.held.as_ref().is_some_and(|held| std::ptr::eq(&raw const **held, refused)) {
            state.held = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadyRoute {
    /// The token for a request that asks for one; `None` for one that asks for none.
    pub(super) async fn token_for(
        &self,
        environment: &Environment,
        request: &Request,
    ) -> Result<Option<Arc<HeldToken>>, NoToken> {
        match &self.tokens {
            Some(tokens) if request.wants_token() => {
                tokens.get(self.fetch_token(environment)).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn fetch_token(&self, environment: &Environment) -> Result<HeldToken, NoToken> {
        let asked_at = Instant::now();
        let Environment { plugins, wire, .. } = environment;
        let plugins = plugins.on_route(self.route_id);
        let fetch = plugins.fetch_token(&**wire, &self.carrier, &self.settings, &self.grant);
        let token = fetch.await?;
        tracing::debug!(
            route.id = %self.route_id,
            carrier = self.carrier,
            lifetime_seconds = token.lifetime().map(|lifetime| lifetime.as_secs()),
            "a token was fetched"
        );
        Ok(HeldToken::new(&self.grant, &token, asked_at))
    }

    /// With which rights a request is sent.
    pub(super) fn grant_with<'a>(&'a self, token: Option<&'a HeldToken>) -> &'a Grant {
        token.map_or(&self.grant, |token| &token.grant)
    }

    /// Learns what the carrier made of a token, and says what a refusal of it shows of the route: nothing, when the
    /// token has worked before, since it has only ended early; one that never worked speaks against the route.
    pub(super) fn learn(&self, token: &HeldToken, wire: &WireOutcome) -> Option<Symptom> {
        if !refuses_token(wire) {
            // Any other answer may have been given before the token was looked at.
            if matches!(wire, WireOutcome::Response(response) if (200..300).contains(&response.status))
            {
                token.worked.store(true, Ordering::Relaxed);
            }
            return None;
        }
        if let Some(tokens) = &self.tokens {
            tokens.forget(token);
        }
        token.worked.load(Ordering::Relaxed).then_some(Symptom::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use dripline_domain::delivery::Reason;
    use dripline_domain::segment::SegmentRules;
    use dripline_plugin_host::egress::RouteRights;
    use dripline_plugin_host::{DuplicateClass, Manifest, Settings};
    use tokio::sync::Notify;

    use super::*;

    fn grant() -> Grant {
        let origin = "https://acme.example".to_owned();
        let manifest = Manifest {
            name: "acme".to_owned(),
            version: "1".to_owned(),
            settings: vec![],
            origins: vec![origin.clone()],
            duplicates: DuplicateClass::Lost,
            segments: SegmentRules::default(),
            attributes: vec![],
        };
        let rights = RouteRights { allowed_origins: &[origin], ..RouteRights::default() };
        Grant::new(&manifest, &Settings::new(), &rights).expect("a grant")
    }

    fn held(lifetime: Option<Duration>) -> HeldToken {
        asked_at(Instant::now(), lifetime)
    }

    fn asked_at(now: Instant, lifetime: Option<Duration>) -> HeldToken {
        let token = Token::new("t0k3n", lifetime).expect("a token");
        HeldToken::new(&grant(), &token, now)
    }

    #[test]
    fn a_token_is_replaced_before_its_end() {
        let now = Instant::now();
        for (lifetime, margin) in [(3_600, 60), (240, 60), (8, 2), (0, 0)] {
            let token = asked_at(now, Some(Duration::from_secs(lifetime)));
            let until = now + Duration::from_secs(lifetime - margin);
            assert_eq!(token.fresh_until, Some(until), "{lifetime}");
            assert!(!token.is_fresh(until), "{lifetime}");
        }
        for lifetime in [None, Some(Duration::MAX)] {
            assert!(held(lifetime).is_fresh(now + Duration::from_hours(24 * 365)), "{lifetime:?}");
        }
    }

    /// Has 100 ask at once, lets the fetch end when all of them wait, and counts the fetches.
    async fn asked_by_many(result: fn() -> Result<HeldToken, NoToken>) -> (u32, Vec<bool>) {
        let tokens = Tokens::default();
        let (fetches, go) = (AtomicU32::new(0), Notify::new());
        let fetch = || async {
            fetches.fetch_add(1, Ordering::Relaxed);
            go.notified().await;
            result()
        };
        let asking = futures::future::join_all((0..100).map(|_| tokens.get(fetch())));
        // Polled in their order, so that all of them stand in line before this lets the first go on.
        let (answers, ()) = tokio::join!(asking, async { go.notify_one() });
        let got = answers.iter().map(Result::is_ok).collect();
        (fetches.load(Ordering::Relaxed), got)
    }

    #[tokio::test]
    async fn many_ask_and_one_fetches() {
        let (fetches, got) = asked_by_many(|| Ok(held(None))).await;
        assert_eq!((fetches, got), (1, vec![true; 100]));
        let (fetches, got) = asked_by_many(|| Ok(held(Some(Duration::ZERO)))).await;
        assert_eq!((fetches, got), (1, vec![true; 100]));
        let failure = || {
            let reason = Reason::new("connect", "no token: refused");
            Err(NoToken { reason, retry_after: None })
        };
        let (fetches, got) = asked_by_many(failure).await;
        assert_eq!((fetches, got), (1, vec![false; 100]));
    }

    #[tokio::test]
    async fn what_has_failed_or_was_refused_is_fetched_again() {
        let tokens = Tokens::default();
        let reason = Reason::new("connect", "");
        let failure = NoToken { reason, retry_after: None };
        tokens.get(async { Err(failure) }).await.expect_err("it failed");
        let first = tokens.get(async { Ok(held(None)) }).await.expect("fetched");
        tokens.forget(&held(None));
        let same = tokens.get(async { panic!("it is held") }).await.expect("held");
        assert!(Arc::ptr_eq(&first, &same));
        tokens.forget(&first);
        let second = tokens.get(async { Ok(held(None)) }).await.expect("fetched again");
        tokens.forget(&first);
        let same = tokens.get(async { panic!("it is held") }).await.expect("held");
        assert!(Arc::ptr_eq(&second, &same));
    }
}
