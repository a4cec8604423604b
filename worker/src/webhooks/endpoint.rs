//! The story of one request, from its head to its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dripline_config::PublicUrl;
use dripline_plugin_host::{Header, Heard, Hook, HookError};
use dripline_store::callback::{Callback, CallbackToken};
use dripline_store::ops::{Inbounded, Received};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use super::WebhookOptions;
use super::callbacks::Callbacks;
use super::complaints::Complaints;
use super::records::{Records, Unrecorded};
use super::told::{Nonsense, Told};
use crate::environment::Environment;
use crate::jobs::deliver::{Deliver, Unheard};

/// By which carriers call.
const METHODS: [Method; 3] = [Method::GET, Method::POST, Method::PUT];

/// When whoever was not heard for want of room, or of the database, should call again.
const CALL_AGAIN_SECONDS: u16 = 10;

/// How much of a body that nobody wants is taken all the same, and for how long: a connection that is closed with
/// something unread may cost its caller the answer.
const UNWANTED_BYTES: usize = 64 * 1024;
const UNWANTED_FOR: Duration = Duration::from_secs(1);

/// The longest reference of ours in an address, in octets: two numbers and an id of 32 digits, with room to spare.
const LONGEST_REFERENCE: usize = 100;

/// What one request comes to. Its answer has no body: some carriers take one for a message to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// All that it told is written down, or nothing was to be.
    Heard,
    /// The plugin does not understand it, or it says what no carrier says.
    NotUnderstood,
    /// The plugin does not believe it.
    NotBelieved,
    /// No route has this callback, or its carrier reports nothing.
    Nowhere,
    /// Carriers do not call in this way.
    Method,
    /// It did not come in time.
    Slow,
    /// Its body is too large.
    Large,
    /// The plugin failed, or the database refused.
    Failed,
    /// There is no room, the route cannot be used now, or the database is away.
    Later,
}

impl Answer {
    /// Carriers bring again what was answered with 5xx, most of them. What is not believed they need not: it will not
    /// be believed then.
    fn status(self) -> StatusCode {
        match self {
            Self::Heard => StatusCode::OK,
            Self::NotUnderstood => StatusCode::BAD_REQUEST,
            Self::NotBelieved => StatusCode::FORBIDDEN,
            Self::Nowhere => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Large => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Later => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn response(self) -> Response<Empty<Bytes>> {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, POST, PUT"));
            }
            Self::Later => {
                headers.insert(RETRY_AFTER, CALL_AGAIN_SECONDS.into());
            }
            _ => {}
        }
        response
    }
}

impl From<Unrecorded> for Answer {
    fn from(error: Unrecorded) -> Self {
        match error {
            Unrecorded::Away => Self::Later,
            Unrecorded::Refused => Self::Failed,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Endpoint {
    deliver: Arc<Deliver>,
    callbacks: Callbacks,
    records: Records,
    /// What carriers call, as their signatures cover it.
    public_url: Option<PublicUrl>,
    room: Semaphore,
    complaints: Complaints,
    options: WebhookOptions,
}

/// What the path of a request says.
struct Address<'a> {
    token: CallbackToken,
    /// Ours, of the message that it is about, when it was given with that.
    reference: Option<&'a str>,
    /// Both, as they came.
    rest: &'a str,
}

impl<'a> Address<'a> {
    /// Reads a path. What stands before [`PublicUrl::CALLBACKS`] is the proxy's, which may leave it out.
    fn read(path: &'a str) -> Option<Self> {
        let (_, rest) = path.rsplit_once(PublicUrl::CALLBACKS)?;
        let (token, reference) = match rest.split_once('/') {
            Some((token, reference)) => (token, Some(reference)),
            None => (rest, None),
        };
        let is_reference = |text: &str| {
            text.len() <= LONGEST_REFERENCE
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let fits = reference.is_none_or(is_reference);
        Some(Self { token: token.parse().ok().filter(|_| fits)?, reference, rest })
    }

    /// The whole address that the carrier called: never the header `Host`, which the caller writes.
    fn url(&self, public_url: &PublicUrl, query: Option<&str>) -> String {
        let url = public_url.callback(self.rest);
        query.map_or_else(|| url.clone(), |query| format!("{url}?{query}"))
    }
}

impl Endpoint {
    pub(super) fn start(
        environment: &Arc<Environment>,
        deliver: &Arc<Deliver>,
        options: WebhookOptions,
    ) -> Self {
        Self {
            deliver: deliver.clone(),
            callbacks: Callbacks::start(environment, options.timeout),
            records: Records::start(environment, options.timeout),
            public_url: environment.public_url.clone(),
            room: Semaphore::new(options.max_requests.max(1)),
            complaints: Complaints::default(),
            options,
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Empty<Bytes>> {
        let (head, mut body) = request.into_parts();
        let answer = match self.receive(&head, &mut body).await {
            Ok(()) => Answer::Heard,
            Err(answer) => answer,
        };
        tracing::debug!(status = answer.status().as_u16(), "answered a carrier");
        if answer != Answer::Heard && !body.is_end_stream() {
            let rest = Limited::new(&mut body, UNWANTED_BYTES).collect();
            let _ = tokio::time::timeout(UNWANTED_FOR, rest).await;
        }
        answer.response()
    }

    /// The request, from its head to the COMMIT. Whatever ends it early is an answer, hence the `Err`.
    async fn receive(
        &self,
        head: &hyper::http::request::Parts,
        body: &mut Incoming,
    ) -> Result<(), Answer> {
        let address = Address::read(head.uri.path()).ok_or(Answer::Nowhere)?;
        if !METHODS.contains(&head.method) {
            return Err(Answer::Method);
        }
        let public_url = self.public_url.as_ref().ok_or(Answer::Nowhere)?;
        let found = self.callbacks.find(address.token.clone()).await?;
        // Nobody who does not know a callback comes any further.
        let callback = found.ok_or(Answer::Nowhere)?;
        let _place = self.room.try_acquire().map_err(|_| Answer::Later)?;
        let hook = Hook {
            method: head.method.to_string(),
            url: address.url(public_url, head.uri.query()),
            headers: headers(&head.headers),
            body: self.read(body).await?,
        };
        let heard = tokio::time::timeout(self.options.timeout, self.deliver.hear(&callback, hook));
        let heard = match heard.await {
            Ok(Ok(heard)) => heard,
            Ok(Err(unheard)) => {
                let answer = unheard_as(&unheard);
                self.complain(&callback, &unheard, answer);
                return Err(answer);
            }
            Err(_) => return Err(Answer::Later),
        };
        self.record(&callback, address.reference, heard).await
    }

    async fn read(&self, body: &mut Incoming) -> Result<Vec<u8>, Answer> {
        let most = self.options.max_body_bytes;
        if body.size_hint().lower() > most as u64 {
            return Err(Answer::Large);
        }
        let whole = Limited::new(body, most).collect();
        match tokio::time::timeout(self.options.timeout, whole).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes().to_vec()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Answer::Large),
            // Whoever went away reads no answer.
            Ok(Err(_)) => Err(Answer::NotUnderstood),
            Err(_) => Err(Answer::Slow),
        }
    }

    /// A line for people. Whoever called has the callback's token: it is the carrier and its route is not set up for
    /// reports, or somebody else who has learnt it.
    fn complain(&self, callback: &Callback, unheard: &Unheard, answer: Answer) {
        let said = match unheard {
            Unheard::Interrupted => return,
            Unheard::Unusable(reason) => reason.to_string(),
            Unheard::Hook(error) => error.to_string(),
        };
        let (route_id, status) = (callback.route_id, answer.status().as_u16());
        if let Some(untold) = self.complaints.untold(route_id, status) {
            // A plugin may repeat its caller.
            let said = said.escape_debug();
            tracing::warn!(
                route.id = %route_id, status, more_before = untold,
                "a request to a route's callback is not heard: {said}"
            );
        }
    }

    /// Writes down what was heard. What names nothing of ours is heard as well: carriers report on messages that
    /// others send over the same account.
    async fn record(
        &self,
        callback: &Callback,
        reference: Option<&str>,
        heard: Heard,
    ) -> Result<(), Answer> {
        let told = Told::new(callback, reference, heard);
        let Told { receipts, inbound } = told.map_err(|Nonsense| {
            tracing::warn!(
                route.id = %callback.route_id,
                "a carrier plugin gives what cannot be a reference or a number"
            );
            Answer::NotUnderstood
        })?;
        let deadline = tokio::time::Instant::now() + self.options.timeout;
        let recorded = async {
            let received = self.records.receipts(receipts).await?;
            let inbounded = self.records.inbound(inbound).await?;
            Ok::<_, Unrecorded>((received, inbounded))
        };
        let (received, inbounded) =
            tokio::time::timeout_at(deadline, recorded).await.map_err(|_| Answer::Later)??;
        log(callback, &received, &inbounded);
        Ok(())
    }
}

/// The headers, in their order. What is not text cannot be a signature.
fn headers(headers: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&hyper::header::HeaderName, &HeaderValue)| {
        Some(Header::new(name.as_str(), value.to_str().ok()?))
    };
    headers.iter().filter_map(header).collect()
}

/// What is answered to a request of which nothing is known.
fn unheard_as(unheard: &Unheard) -> Answer {
    /// The code by which plugins say that a request is no report at all.
    const NOT_UNDERSTOOD: &str = "not-understood";
    match unheard {
        Unheard::Interrupted | Unheard::Unusable(_) => Answer::Later,
        Unheard::Hook(HookError::Plugin(_)) => Answer::Failed,
        Unheard::Hook(HookError::Rejected { code, .. }) if code == NOT_UNDERSTOOD => {
            Answer::NotUnderstood
        }
        Unheard::Hook(HookError::Rejected { .. } | HookError::Unproved { .. }) => {
            Answer::NotBelieved
        }
        Unheard::Hook(HookError::NoWebhook { .. }) => Answer::Nowhere,
    }
}

/// A line for people when something was decided or ended; what is merely noted shows in the rows.
fn log(callback: &Callback, received: &[Received], inbounded: &[Inbounded]) {
    let count = |is: fn(&Received) -> bool| received.iter().filter(|one| is(one)).count();
    let decided = count(|one| matches!(one, Received::Decided(_)));
    let contradicted = count(|one| *one == Received::Contradicted);
    let strange = count(|one| matches!(one, Received::Unknown | Received::Ambiguous));
    let opted_out = inbounded.iter().filter(|one| matches!(one, Inbounded::OptedOut(_))).count();
    let (receipts, messages) = (received.len(), inbounded.len());
    let route_id = callback.route_id;
    if decided + contradicted + opted_out > 0 {
        tracing::info!(
            route.id = %route_id, receipts, decided, contradicted, strange, messages, opted_out,
            "a carrier's report decided something"
        );
    } else {
        tracing::debug!(route.id = %route_id, receipts, strange, messages, "a carrier reported");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_found_behind_whatever_the_proxy_leaves() {
        let token = "012".repeat(16);
        let check = |path: String, expected: Option<Option<&str>>| {
            let read = Address::read(&path);
            assert_eq!(read.as_ref().map(|address| address.reference), expected, "{path}");
            if let Some(address) = read {
                assert_eq!(address.token.expose(), token);
            }
        };
        check(format!("/hooks/{token}"), Some(None));
        check(format!("/sms/hooks/{token}"), Some(None));
        check(format!("/hooks/{token}/0af-12-1"), Some(Some("0af-12-1")));
        check(format!("/hooks/{token}/"), Some(Some("")));
        for wrong in ["", "/", "/hooks/", "/hooks/1", "/metrics"] {
            check(wrong.to_owned(), None);
        }
        check(format!("/{token}"), None);
        check(format!("/hooks/{token}0"), None);
        check(format!("/hooks/{}a", &token[1..]), None);
        check(format!("/hooks/{token}/a/b"), None);
        check(format!("/hooks/{token}/%00"), None);
        check(format!("/hooks/{token}/{}", "a".repeat(101)), None);
    }

    #[test]
    fn the_address_is_the_public_one_as_it_was_called() {
        let public_url: PublicUrl = "https://sms.example.com/in".parse().unwrap();
        let path = format!("/hooks/{}/0af-1-1", "1".repeat(48));
        let address = Address::read(&path).unwrap();
        let expected = format!("https://sms.example.com/in{path}");
        assert_eq!(address.url(&public_url, None), expected);
        assert_eq!(address.url(&public_url, Some("a=%20b")), format!("{expected}?a=%20b"));
    }
}
