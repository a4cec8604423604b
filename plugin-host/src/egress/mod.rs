//! The one door through which requests leave.
//!
//! A carrier plugin says what it wants sent; this module decides whether it may, puts the secrets in,
//! sends it once, and reports what is known: an answer, certainly nothing sent, or uncertainty. The
//! last two are told apart by counting the bytes that were written, not by guessing from errors.

mod address;
mod assemble;
mod connection;
mod exchange;
mod grant;
pub(crate) mod placeholder;
mod pool;
mod preview;
mod redaction;
mod resolve;
mod secrets;
mod xml;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dripline_domain::delivery::Reason;

use self::assemble::Assembled;
use self::connection::Dialer;
use self::exchange::Exchange;
pub use self::grant::{Grant, GrantError, Origin, RouteRights};
pub use self::preview::Preview;
pub use self::redaction::Redactor;
pub use self::resolve::{FixedResolver, Resolve, SystemResolver};
pub use self::secrets::{SecretError, Secrets};
use crate::http::{Request, Response};
use crate::outcome::{REASON_CHARS, masked};

/// What is known after a request was handed to the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireOutcome {
    /// The whole answer, whatever its status.
    Response(Response),
    /// No byte of the request was written: the request was not allowed, or the name, the
    /// connection or TLS failed. Nobody can have received it.
    NotSent {
        /// Why.
        reason: Reason,
    },
    /// At least one byte was written and no whole answer came back.
    Uncertain {
        /// The answer's status, when at least its head arrived.
        status: Option<u16>,
        /// Why.
        reason: Reason,
    },
}

/// Something that sends requests: [`Egress`], or canned answers in benches and tests.
#[async_trait]
pub trait Wire: Send + Sync + std::fmt::Debug {
    /// Sends `request` at most once with the rights of `grant`. Dropping the future closes the
    /// connection; what had been written by then may have arrived.
    async fn send(&self, grant: &Grant, request: Request) -> WireOutcome;
}

/// Sizes and times of the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressOptions {
    /// For the name, the connection and TLS together.
    pub connect_timeout: Duration,
    /// For everything, from the first look at the request to the last byte of the answer.
    pub total_timeout: Duration,
    /// The URL and the headers of a request, in bytes.
    pub request_head_bytes: usize,
    /// The body of a request, in bytes.
    pub request_body_bytes: usize,
    /// The body of an answer, in bytes.
    pub response_body_bytes: usize,
    /// How long a connection may wait for its next request. Shorter than the servers' own limits,
    /// so that few requests meet a connection that is just being closed.
    pub idle_timeout: Duration,
    /// Waiting connections per origin and grant.
    pub idle_connections: usize,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
            request_head_bytes: 32 * 1024,
            request_body_bytes: 256 * 1024,
            response_body_bytes: 256 * 1024,
            idle_timeout: Duration::from_secs(15),
            idle_connections: 512,
        }
    }
}

/// Why a plugin's request was not let through. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Not one of the five methods.
    #[error("method `{method}` is not GET, POST, PUT, PATCH or DELETE")]
    Method {
        /// What the plugin wrote, cut short.
        method: String,
    },
    /// The URL cannot be read, or names a user, or is not HTTP.
    #[error("the URL is not an absolute http or https URL without a user")]
    Url,
    /// The origin is not granted.
    #[error("origin {origin} is not granted to this route")]
    Origin {
        /// Where the plugin wanted to send.
        origin: String,
    },
    /// A header that only the host may write.
    #[error("header `{name}` may not be set by a plugin")]
    Header {
        /// Which.
        name: String,
    },
    /// Line breaks or other bytes that no header may hold.
    #[error("header `{name}` holds characters that no header may hold")]
    HeaderText {
        /// Which, cut short.
        name: String,
    },
    /// A placeholder names a secret that the route does not have or the manifest does not declare.
    #[error("there is no secret `{name}` for this route")]
    UnknownSecret {
        /// Which.
        name: String,
    },
    /// The request asks for a token where there is none.
    #[error(
        "there is no token for this request: its carrier fetches none, or it is the one that fetches it"
    )]
    NoToken,
    /// A placeholder stands where its value could not be escaped.
    #[error("a secret may stand in a header, the query, a form, JSON or XML, not in {place}")]
    SecretPlace {
        /// Where it stands.
        place: &'static str,
    },
    /// A part of the request is too large.
    #[error("the {what} of the request has {actual} bytes; the limit is {limit}")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// The size.
        actual: usize,
    },
}

/// The HTTP client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Egress(Arc<Door>);

#[derive(Debug)]
struct Door {
    options: EgressOptions,
    dialer: Dialer,
}

impl Egress {
    /// A door that uses the system's names and root certificates.
    pub fn new(options: EgressOptions) -> Self {
        Self::with_resolver(options, Arc::new(SystemResolver))
    }

    /// A door with its own idea of names.
    pub fn with_resolver(options: EgressOptions, resolver: Arc<dyn Resolve>) -> Self {
        Self::with_roots(options, resolver, connection::system_roots())
    }

    fn with_roots(
        options: EgressOptions,
        resolver: Arc<dyn Resolve>,
        roots: rustls::RootCertStore,
    ) -> Self {
        let dialer = Dialer::new(resolver, options.connect_timeout, roots);
        Self(Arc::new(Door { options, dialer }))
    }

    /// The sizes and times it was made with.
    pub fn options(&self) -> &EgressOptions {
        &self.0.options
    }

    /// Sends `request` at most once. See [`Wire::send`].
    pub async fn send(&self, grant: &Grant, request: Request) -> WireOutcome {
        let options = &self.0.options;
        let rights = grant.rights();
        let assembled = match Assembled::new(rights, request, options) {
            Ok(assembled) => assembled,
            Err(forbidden) => {
                // It may quote the plugin, which may have put anything into a URL.
                let text = masked(&forbidden.to_string(), REASON_CHARS);
                return WireOutcome::NotSent { reason: Reason::new("egress_forbidden", text) };
            }
        };
        let mut exchange = Exchange::new(assembled, options);
        let timeout =
            rights.timeout.map_or(options.total_timeout, |own| own.min(options.total_timeout));
        let whole = tokio::time::timeout(timeout, exchange.run(&self.0.dialer)).await;
        match whole {
            Ok(Ok((head, body))) => WireOutcome::Response(Response {
                status: head.status.as_u16(),
                headers: exchange::headers(&head.headers, &rights.redactor),
                body: rights.redactor.redact(body),
            }),
            Ok(Err(failed)) => exchange.outcome(failed.into()),
            Err(_) => exchange.outcome(Reason::new(
                "timeout",
                format!("no whole answer within {} s", timeout.as_secs_f32()),
            )),
        }
    }
}

#[async_trait]
impl Wire for Egress {
    async fn send(&self, grant: &Grant, request: Request) -> WireOutcome {
        Self::send(self, grant, request).await
    }
}

#[cfg(test)]
mod tls_tests;
