//! Webhooks: what a carrier says afterwards.

use crate::{Attribute, Sensitive, Settings};

/// An ability of carriers that report: receipts on messages, and messages from contacts.
///
/// Nothing is believed that is not proved: call one of the functions of [`crate::verify`] first, and answer
/// [`Rejection::forged`] when it says no. A carrier that signs nothing says so with
/// [`crate::Manifest::unsigned_webhooks`], or [`crate::Manifest::unsigned_webhooks_where`] a setting does.
pub trait Webhook {
    /// What the request tells. A status that means nothing here is no mistake: nothing was heard then.
    ///
    /// # Errors
    /// A [`Rejection`] when the request is not the carrier's, or not understood.
    fn parse(settings: &Settings, hook: &Hook) -> Result<Heard, Rejection>;
}

/// A request that the carrier made to us, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// For example `POST`.
    pub method: String,
    /// The whole URL that the carrier called, with its query.
    pub url: String,
    /// In the order they came.
    pub headers: Vec<(String, String)>,
    /// The body's octets.
    pub body: Vec<u8>,
}

impl Hook {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(found.1.trim())
    }

    /// A header that must be there.
    ///
    /// # Errors
    /// A request without it is not the carrier's.
    pub fn require(&self, name: &str) -> Result<&str, Rejection> {
        self.header(name).ok_or_else(Rejection::forged)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not what was expected.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Rejection> {
        serde_json::from_slice(&self.body).map_err(|_| Rejection::not_understood())
    }

    /// The body as `application/x-www-form-urlencoded`, in its order.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The URL without its query.
    pub fn url_without_query(&self) -> &str {
        self.url.split_once('?').map_or(&*self.url, |(before, _)| before)
    }

    /// The query of the URL, in its order.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }
}

/// How far a message has come. Later ones outrank earlier ones; the last two are ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// The carrier has it.
    Queued,
    /// It left the carrier.
    Sent,
    /// It arrived.
    Delivered,
    /// It did not arrive.
    Undelivered,
}

/// What the carrier reports on one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Ours, where the carrier gives it back.
    pub reference: Option<String>,
    /// The carrier's own id of the message.
    pub carrier_reference: Option<String>,
    /// How far the message has come.
    pub progress: Progress,
    /// The carrier's code, when it did not arrive.
    pub code: Option<String>,
    /// One sentence of your own, without a number or a text.
    pub text: Option<String>,
    /// Whatever else may help.
    pub attributes: Vec<Attribute>,
}

impl Receipt {
    /// A report on the message that the carrier knows by this id.
    pub fn new(carrier_reference: impl Into<String>, progress: Progress) -> Self {
        Self {
            reference: None,
            carrier_reference: Some(carrier_reference.into()),
            progress,
            code: None,
            text: None,
            attributes: Vec::new(),
        }
    }

    /// Adds our reference, where the carrier gives it back. An empty one counts as none.
    #[must_use]
    pub fn reference(mut self, reference: Option<impl Into<String>>) -> Self {
        self.reference = reference.map(Into::into).filter(|reference| !reference.is_empty());
        self
    }

    /// Says why the message did not arrive.
    #[must_use]
    pub fn because(mut self, code: impl Into<String>, text: impl Into<String>) -> Self {
        (self.code, self.text) = (Some(code.into()), Some(text.into()));
        self
    }
}

/// A message from a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The carrier's own id of it, by which a second copy is known.
    pub carrier_reference: String,
    /// Whose, E.164.
    pub sender: Sensitive,
    /// To which of our numbers or names.
    pub recipient: String,
    /// What it says.
    pub text: Sensitive,
    /// Whatever else may help.
    pub attributes: Vec<Attribute>,
}

impl Inbound {
    /// A message from a contact. A sender of digits alone gets the plus that E.164 has.
    pub fn new(
        carrier_reference: impl Into<String>,
        sender: &str,
        recipient: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        let sender = sender.trim();
        let digits = !sender.is_empty() && sender.bytes().all(|b| b.is_ascii_digit());
        Self {
            carrier_reference: carrier_reference.into(),
            sender: if digits { format!("+{sender}").into() } else { sender.into() },
            recipient: recipient.into(),
            text: Sensitive::new(text),
            attributes: Vec::new(),
        }
    }
}

/// What one request told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Reports on messages.
    pub receipts: Vec<Receipt>,
    /// Messages from contacts.
    pub inbound: Vec<Inbound>,
}

impl Heard {
    /// Nothing that matters here.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// One report.
    pub fn receipt(receipt: Receipt) -> Self {
        Self { receipts: vec![receipt], ..Self::default() }
    }

    /// One message.
    pub fn inbound(inbound: Inbound) -> Self {
        Self { inbound: vec![inbound], ..Self::default() }
    }
}

/// Why nothing is believed of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `forged`, `stale` or `not-understood`, or a code of your own.
    pub code: String,
    /// One sentence for the operator, without a number or a text.
    pub text: String,
}

impl Rejection {
    /// A rejection.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// The signature is missing, or not the carrier's.
    pub fn forged() -> Self {
        Self::new("forged", "the signature is missing, or not the carrier's")
    }

    /// The signature is so old that somebody may have kept it.
    pub fn stale() -> Self {
        Self::new("stale", "the signature is too old")
    }

    /// The request is not what the carrier's documentation says.
    pub fn not_understood() -> Self {
        Self::new("not-understood", "the request is not understood")
    }
}
