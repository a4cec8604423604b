//! The token of a route whose carrier wants one with each request.
//!
//! It is fetched before the mark, as part of preparing a message, so that a message whose token cannot be had has
//! not begun to leave. It is kept here alone, in memory, for one revision of the route. Nobody waits for another one
//! while it is good: that is fetched beside the work, some time before its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dripline_domain::breaker::Symptom;
use dripline_domain::delivery::Reason;
use dripline_plugin_host::egress::{Grant, WireOutcome};
use dripline_plugin_host::outcome::refuses_token;
use dripline_plugin_host::{NoToken, Request, Token};
use tokio::sync::watch;

use super::routes::ReadyRoute;
use crate::environment::Environment;

/// Another token is fetched so long before the end of one ...
const MARGIN: Duration = Duration::from_mins(1);
/// ... but for one that is good for a short time only, when no more than one part in so many of it is left. Half of
/// that later it is given to nobody any more, so that what was prepared with it still leaves in time.
const PART: u32 = 4;
/// A fetch beside the work that has failed is not made again before.
const RENEW_AGAIN: Duration = Duration::from_secs(5);
/// Nobody waits longer for a token. A server that hangs would keep the worker's places from all other routes; the
/// fetch goes on, and whoever comes later finds what came of it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the carrier has to take what it gave, for another refusal to tell nothing of the route. When it is
/// shorter, somebody else may ask for tokens in the same name, and the two would take them from each other for ever.
const SETTLED: Duration = Duration::from_mins(1);

/// The token of one revision of a route, and whoever fetches it.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<Arc<HeldToken>>,
    /// The fetch that goes on, or that has failed and of which nobody has heard yet.
    fetch: Option<Fetch>,
    /// When a renewal may be tried again.
    renew_at: Option<Instant>,
    /// When the carrier last refused a token that was held.
    refused_at: Option<Instant>,
}

/// One fetch, for whoever waits for it.
#[derive(Clone, Debug)]
struct Fetch {
    since: Instant,
    ends: watch::Receiver<Option<Result<Arc<HeldToken>, NoToken>>>,
}

/// A token with the rights to use it.
#[derive(Debug)]
pub(super) struct HeldToken {
    pub(super) grant: Grant,
    /// When another one is fetched, and until when this one is given to others meanwhile; `None`: when the carrier
    /// refuses it.
    ends: Option<Ends>,
    /// When the carrier refused the one before it.
    after_refusal: Option<Instant>,
    /// Whether the carrier has taken it once.
    worked: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    renew_at: Instant,
    good_until: Instant,
}

impl HeldToken {
    /// A token that was asked for at `asked_at`.
    fn new(grant: &Grant, token: &Token, asked_at: Instant) -> Self {
        let ends = token.lifetime().and_then(|lifetime| {
            let margin = MARGIN.min(lifetime / PART);
            // One that is good for ages has no end that could be written down.
            Some(Ends {
                renew_at: asked_at.checked_add(lifetime.saturating_sub(margin))?,
                good_until: asked_at.checked_add(lifetime.saturating_sub(margin / 2))?,
            })
        });
        let grant = grant.with_token(token);
        Self { grant, ends, after_refusal: None, worked: AtomicBool::new(false) }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| now < ends.renew_at)
    }

    fn is_good(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| now < ends.good_until)
    }
}

impl Tokens {
    /// The token, fetched by `fetch` when none is good. Whoever comes during a fetch shares what comes of it, also
    /// when it fails.
    async fn get<F>(self: &Arc<Self>, fetch: impl FnOnce() -> F) -> Result<Arc<HeldToken>, NoToken>
    where
        F: Future<Output = Result<HeldToken, NoToken>> + Send + 'static,
    {
        let now = Instant::now();
        let fetching = {
            let mut state = self.lock();
            if let Some(held) = state.held.clone().filter(|held| held.is_good(now)) {
                let renew = !held.is_fresh(now)
                    && state.fetch.is_none()
                    && state.renew_at.is_none_or(|at| at <= now);
                if renew {
                    state.fetch = Some(self.begin(fetch()));
                }
                return Ok(held);
            }
            state.fetch.get_or_insert_with(|| self.begin(fetch())).clone()
        };
        let patience = PATIENCE.saturating_sub(fetching.since.elapsed());
        let mut ends = fetching.ends.clone();
        let ended = async {
            // Its task is gone without a word only with the daemon.
            ends.wait_for(Option::is_some).await.ok().and_then(|fetched| fetched.clone())
        };
        let Ok(fetched) = tokio::time::timeout(patience, ended).await else {
            let text = format!("none has come for {} s", PATIENCE.as_secs());
            return Err(lacking("token_slow", &text));
        };
        self.forget_fetch(&fetching);
        fetched.unwrap_or_else(|| Err(lacking("worker_stopped", "nobody fetches it any more")))
    }

    /// Fetches a token beside the work.
    fn begin(
        self: &Arc<Self>,
        fetch: impl Future<Output = Result<HeldToken, NoToken>> + Send + 'static,
    ) -> Fetch {
        let (tell, ends) = watch::channel(None);
        let since = Instant::now();
        let tokens = self.clone();
        tokio::spawn(async move {
            let fetched = fetch.await;
            tell.send_replace(Some(tokens.end(fetched)));
        });
        Fetch { since, ends }
    }

    /// Keeps what a fetch came to: a token, or a failure for the next who asks. One that nobody needed yet is tried
    /// again a little later.
    fn end(&self, fetched: Result<HeldToken, NoToken>) -> Result<Arc<HeldToken>, NoToken> {
        let now = Instant::now();
        let mut state = self.lock();
        match fetched {
            Ok(token) => {
                let token = Arc::new(HeldToken { after_refusal: state.refused_at, ..token });
                state.held = Some(token.clone());
                (state.fetch, state.renew_at) = (None, None);
                Ok(token)
            }
            Err(failure) => {
                if state.held.as_ref().is_some_and(|held| held.is_good(now)) {
                    tracing::warn!(reason = %failure, "a token could not be replaced before its end");
                    (state.fetch, state.renew_at) = (None, Some(now + RENEW_AGAIN));
                }
                Err(failure)
            }
        }
    }

    /// Whoever asks next has a fetch of his own.
    fn forget_fetch(&self, heard: &Fetch) {
        let mut state = self.lock();
        if state.fetch.as_ref().is_some_and(|fetch| fetch.ends.same_channel(&heard.ends)) {
            state.fetch = None;
        }
    }

    /// Forgets a token that the carrier has refused, unless another one has taken its place.
    fn forget(&self, refused: &HeldToken) {
        let mut state = self.lock();
        if state.held.as_ref().is_some_and(|held| is_same(held, refused)) {
            (state.held, state.refused_at) = (None, Some(Instant::now()));
        }
    }

    /// Whether another token has taken the place of this one.
    fn has_another(&self, token: &HeldToken) -> bool {
        self.lock().held.as_ref().is_some_and(|held| !is_same(held, token))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(held: &Arc<HeldToken>, token: &HeldToken) -> bool {
    std::ptr::eq(&raw const **held, token)
}

fn lacking(code: &str, text: &str) -> NoToken {
    NoToken { reason: Reason::new(code, format!("no token: {text}")), retry_after: None }
}

/// What a refusal of a token shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has worked before, and has only ended early.
    Early,
    /// The same, and so did the one before it, a moment ago.
    EarlyAgain,
    /// It has never worked.
    Never,
}

impl Refusal {
    /// What it shows of the route; `None`: what any answer with its status does.
    pub(super) fn symptom(self) -> Option<Symptom> {
        match self {
            Self::Early => Some(Symptom::Nothing),
            Self::EarlyAgain => Some(Symptom::AccessRevoked),
            Self::Never => None,
        }
    }
}

impl ReadyRoute {
    /// The token for a request that asks for one; `None` for one that asks for none. Waits for it a short time only.
    pub(super) async fn token_for(
        self: &Arc<Self>,
        environment: &Arc<Environment>,
        request: &Request,
    ) -> Result<Option<Arc<HeldToken>>, NoToken> {
        match &self.tokens {
            Some(tokens) if request.wants_token() => {
                tokens.get(|| self.clone().fetch_token(environment.clone())).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Another token for a request whose own the carrier has just refused; `None` where that would be no better, would
    /// only take another worker's away, or cannot be had.
    pub(super) async fn another_token(
        self: &Arc<Self>,
        environment: &Arc<Environment>,
        refused: &HeldToken,
        refusal: Refusal,
    ) -> Option<Arc<HeldToken>> {
        let tokens = self.tokens.as_ref()?;
        if refusal != Refusal::Early && !tokens.has_another(refused) {
            return None;
        }
        tokens.get(|| self.clone().fetch_token(environment.clone())).await.ok()
    }

    async fn fetch_token(
        self: Arc<Self>,
        environment: Arc<Environment>,
    ) -> Result<HeldToken, NoToken> {
        let asked_at = Instant::now();
        let wire = &*environment.wire;
        let fetch = self.plugins.fetch_token(wire, &self.carrier, &self.settings, &self.grant);
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

    /// Learns what the carrier made of a token, and forgets one that it refuses. Gives what the refusal shows.
    pub(super) fn learn(&self, token: &HeldToken, wire: &WireOutcome) -> Option<Refusal> {
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
        if !token.worked.load(Ordering::Relaxed) {
            return Some(Refusal::Never);
        }
        let again = token.after_refusal.is_some_and(|before| before.elapsed() < SETTLED);
        Some(if again { Refusal::EarlyAgain } else { Refusal::Early })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use dripline_domain::breaker::Sign;
    use dripline_domain::segment::TextRules;
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
            texts: TextRules::default(),
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
            let renew_at = now + Duration::from_secs(lifetime - margin);
            let good_until = renew_at + Duration::from_secs(margin / 2);
            assert_eq!(token.ends, Some(Ends { renew_at, good_until }), "{lifetime}");
            assert!(!token.is_fresh(renew_at) && !token.is_good(good_until), "{lifetime}");
        }
        for lifetime in [None, Some(Duration::MAX)] {
            assert!(held(lifetime).is_fresh(now + Duration::from_hours(24 * 365)), "{lifetime:?}");
        }
    }

    fn failure() -> NoToken {
        lacking("connect", "refused")
    }

    /// A fetch that ends when it is told to.
    fn on_signal(
        go: &Arc<Notify>,
        result: Result<HeldToken, NoToken>,
    ) -> impl Future<Output = Result<HeldToken, NoToken>> + Send + use<> {
        let go = go.clone();
        async move {
            go.notified().await;
            result
        }
    }

    /// Has 100 ask at once, lets the fetch end when all of them wait, and counts the fetches.
    async fn asked_by_many(result: fn() -> Result<HeldToken, NoToken>) -> (u32, Vec<bool>) {
        let tokens = Arc::new(Tokens::default());
        let (fetches, go) = (AtomicU32::new(0), Arc::new(Notify::new()));
        let fetch = || {
            fetches.fetch_add(1, Ordering::Relaxed);
            on_signal(&go, result())
        };
        let asking = futures::future::join_all((0..100).map(|_| tokens.get(fetch)));
        // Polled in their order, so that all of them stand in line before this lets the fetch go on.
        let (answers, ()) = tokio::join!(asking, async { go.notify_one() });
        let got = answers.iter().map(Result::is_ok).collect();
        (fetches.load(Ordering::Relaxed), got)
    }

    async fn never() -> Result<HeldToken, NoToken> {
        panic!("it is held")
    }

    #[tokio::test]
    async fn many_ask_and_one_fetches() {
        let (fetches, got) = asked_by_many(|| Ok(held(None))).await;
        assert_eq!((fetches, got), (1, vec![true; 100]));
        let (fetches, got) = asked_by_many(|| Ok(held(Some(Duration::ZERO)))).await;
        assert_eq!((fetches, got), (1, vec![true; 100]));
        let (fetches, got) = asked_by_many(|| Err(failure())).await;
        assert_eq!((fetches, got), (1, vec![false; 100]));
    }

    #[tokio::test]
    async fn what_has_failed_or_was_refused_is_fetched_again() {
        let tokens = Arc::new(Tokens::default());
        tokens.get(async || Err(failure())).await.expect_err("it failed");
        let first = tokens.get(async || Ok(held(None))).await.expect("fetched");
        assert_eq!(first.after_refusal, None);
        tokens.forget(&held(None));
        let same = tokens.get(never).await.expect("held");
        assert!(Arc::ptr_eq(&first, &same) && !tokens.has_another(&first));
        tokens.forget(&first);
        let second = tokens.get(async || Ok(held(None))).await.expect("fetched again");
        assert!(second.after_refusal.is_some() && tokens.has_another(&first));
        tokens.forget(&first);
        let same = tokens.get(never).await.expect("held");
        assert!(Arc::ptr_eq(&second, &same));
    }

    #[tokio::test]
    async fn nobody_waits_long_and_what_comes_of_it_is_not_lost() {
        let results: [fn() -> Result<HeldToken, NoToken>; 2] =
            [|| Ok(held(None)), || Err(failure())];
        let one = async |result: fn() -> Result<HeldToken, NoToken>| {
            let tokens = Arc::new(Tokens::default());
            let go = Arc::new(Notify::new());
            let slow =
                tokens.get(|| on_signal(&go, result())).await.expect_err("it takes too long");
            assert_eq!(slow.reason.code, "token_slow");
            go.notify_one();
            tokio::task::yield_now().await;
            let fetched = tokens.get(never).await;
            assert_eq!(fetched.is_ok(), result().is_ok());
        };
        futures::future::join_all(results.map(one)).await;
    }

    #[tokio::test]
    async fn a_token_is_replaced_beside_the_work_and_kept_while_that_fails() {
        let tokens = Arc::new(Tokens::default());
        // Of four minutes, three quarters of one before its end.
        let old = {
            let now =
                Instant::now().checked_sub(Duration::from_secs(195)).expect("the machine is up");
            asked_at(now, Some(Duration::from_mins(4)))
        };
        let first = tokens.get(|| async { Ok(old) }).await.expect("fetched");
        let go = Arc::new(Notify::new());
        let same = tokens.get(|| on_signal(&go, Err(failure()))).await.expect("held");
        assert!(Arc::ptr_eq(&first, &same), "nobody waits");
        tokens.get(never).await.expect("held while another is fetched");
        go.notify_one();
        tokio::task::yield_now().await;
        tokens
            .get(never)
            .await
            .expect("held when that has failed, which is not tried again at once");
        tokens.lock().renew_at = Some(Instant::now());
        tokens.get(|| on_signal(&go, Ok(held(None)))).await.expect("held");
        go.notify_one();
        tokio::task::yield_now().await;
        let second = tokens.get(never).await.expect("held");
        assert!(!Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn a_token_that_is_taken_back_again_and_again_is_the_routes_fault() {
        assert_eq!(Refusal::Early.symptom().map(Symptom::sign), Some(Sign::Silent));
        assert_eq!(Refusal::EarlyAgain.symptom().map(Symptom::sign), Some(Sign::Out));
        assert_eq!(Refusal::Never.symptom(), None);
    }
}
