//! Carriers: what request would send a message, and what a response means.

use crate::{Manifest, Request, Response, Sensitive, Settings};

/// A carrier plugin. It computes and never acts: no network, no clock, no secrets.
///
/// The host calls [`Carrier::send_request`], makes the request once, and hands what came back to
/// [`Carrier::send_outcome`]. Whether anything was sent at all (a refused connection, a timeout after
/// the first byte) the host knows by itself and does not ask.
///
/// Both functions must be deterministic, and neither may keep anything between two calls: an
/// instance serves one batch and is dropped.
pub trait Carrier {
    /// What the host and the operator must know. Called once, when the plugin is loaded.
    fn describe() -> Manifest;

    /// The one request that would send `message`.
    ///
    /// # Errors
    /// A [`Failure`] when this message cannot be sent over this route. Nothing was sent then.
    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure>;

    /// What the carrier's answer means.
    ///
    /// # Errors
    /// A [`Failure`] when the carrier did not take the message, or when that cannot be told: then its
    /// class is [`FailureClass::Uncertain`]. [`Failure::from_status`] is right for every answer that
    /// the carrier's documentation does not speak of.
    fn send_outcome(settings: &Settings, response: &Response) -> Result<Accepted, Failure>;
}

/// One message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Ours: unique per delivery and attempt. Give it to the carrier wherever it has a place for it. For
    /// a carrier of the class [`crate::DuplicateClass::Key`] it is the key, and the same for every attempt
    /// of a delivery.
    pub reference: String,
    /// The number or name that the message comes from.
    pub sender: String,
    /// E.164.
    pub recipient: Sensitive,
    /// What the contact will read.
    pub text: Sensitive,
    /// Where the carrier may report to, when the route has such a place.
    pub callback_url: Option<String>,
}

/// The carrier took the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The carrier's ids of the message; several when it was split.
    pub carrier_references: Vec<String>,
    /// For example the carrier's own count of segments.
    pub attributes: Vec<Attribute>,
}

impl Accepted {
    /// The carrier knows the message by this id.
    pub fn new(carrier_reference: impl Into<String>) -> Self {
        Self { carrier_references: vec![carrier_reference.into()], attributes: Vec::new() }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(name, value));
        self
    }
}

/// A named value beside the frozen records of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Lowercase, dots between its parts.
    pub name: String,
    /// Never a phone number, a text or a secret.
    pub value: String,
}

impl Attribute {
    /// A named value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// What a failure means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    /// Come back later, after `retry_after_ms` when it is given. Nothing was sent.
    Throttled,
    /// Nothing was sent; another attempt may succeed.
    Retryable,
    /// This message will never be taken.
    Permanent,
    /// This recipient asked to hear nothing more.
    Stopped,
    /// It may have been sent.
    Uncertain,
}

/// The carrier did not take the message, or nobody can tell.
///
/// `text` is read by operators and kept for good: write your own words, never the carrier's, which
/// often quote the recipient's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means for the message.
    pub class: FailureClass,
    /// The carrier's own code where it has one.
    pub code: String,
    /// One sentence for the operator, without a phone number, a message text or a secret.
    pub text: String,
    /// How long to wait before another attempt, when the carrier said so.
    pub retry_after_ms: Option<u64>,
    /// Whatever else may help.
    pub attributes: Vec<Attribute>,
}

impl Failure {
    /// A failure of a class.
    pub fn new(class: FailureClass, code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            text: text.into(),
            retry_after_ms: None,
            attributes: Vec::new(),
        }
    }

    /// Come back later. Nothing was sent.
    pub fn throttled(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(FailureClass::Throttled, code, text)
    }

    /// Nothing was sent; another attempt may succeed.
    pub fn retryable(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(FailureClass::Retryable, code, text)
    }

    /// This message will never be taken.
    pub fn permanent(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, code, text)
    }

    /// This recipient asked to hear nothing more.
    pub fn stopped(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(FailureClass::Stopped, code, text)
    }

    /// It may have been sent.
    pub fn uncertain(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(FailureClass::Uncertain, code, text)
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after_ms(mut self, wait: Option<u64>) -> Self {
        self.retry_after_ms = wait;
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(name, value));
        self
    }

    /// Says that every message of this route would fail alike (bad credentials, an unknown sender),
    /// by the attribute `scope` = `route`.
    #[must_use]
    pub fn about_route(self) -> Self {
        self.attribute("scope", "route")
    }

    /// What a status means when nothing else is known, as the host itself would judge it:
    ///
    /// | status | class |
    /// |---|---|
    /// | 429, or 503 with `Retry-After` | throttled |
    /// | 425 | retryable |
    /// | 408, 409, other 5xx, 1xx, 2xx, 3xx | uncertain |
    /// | other 4xx | permanent |
    pub fn from_status(response: &Response) -> Self {
        let (status, wait) = (response.status, response.retry_after_ms());
        let class = match status {
            429 => FailureClass::Throttled,
            503 if wait.is_some() => FailureClass::Throttled,
            425 => FailureClass::Retryable,
            408 | 409 => FailureClass::Uncertain,
            400..=499 => FailureClass::Permanent,
            _ => FailureClass::Uncertain,
        };
        Self::new(class, format!("http-{status}"), format!("the carrier answered {status}"))
            .retry_after_ms(wait)
    }
}
