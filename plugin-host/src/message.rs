//! What goes into a carrier plugin and what comes out, beside HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::error::PluginError;

/// A route's settings: name to value, none of them secret.
pub type Settings = BTreeMap<String, String>;

/// One message to hand to a carrier.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Ours: unique per delivery and attempt; where the carrier keeps it as a key, per delivery.
    pub reference: String,
    /// The route's sender: a number, a short code or a name.
    pub sender: String,
    /// E.164.
    pub recipient: String,
    /// The rendered text.
    pub text: String,
    /// Where the carrier may report to.
    pub callback_url: Option<String>,
}

/// Shows neither the recipient nor the text.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("reference", &self.reference)
            .field("sender", &self.sender)
            .field("text_bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// One message to ask its carrier about.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Ours, as the carrier was given it.
    pub reference: String,
    /// The route's sender.
    pub sender: String,
    /// E.164.
    pub recipient: String,
    /// When it was handed over, in milliseconds since 1970.
    pub attempted_at_ms: u64,
}

/// Does not show the recipient.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("reference", &self.reference).finish_non_exhaustive()
    }
}

/// A name and a value, for meanings that the contract does not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// For example `status`.
    pub name: String,
    /// Free text.
    pub value: String,
}

/// The carrier took the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The carrier's ids of the message; several when it was split.
    pub carrier_references: Vec<String>,
    /// Whatever else the plugin wants kept.
    pub attributes: Vec<Attribute>,
}

/// What a failure means, as the plugin judges it. The host decides what it believes: see
/// [`crate::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Come back later. Nothing was sent.
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

/// The plugin says that the message cannot be sent, or was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub class: FailureClass,
    /// The carrier's own code where it has one, for example `21610`.
    pub code: String,
    /// For people. May quote what the carrier said, so mask it before it is kept.
    pub text: String,
    /// How long the carrier asked to wait.
    pub retry_after: Option<Duration>,
    /// Whatever else the plugin wants kept.
    pub attributes: Vec<Attribute>,
}

impl Failure {
    /// Whether the plugin says that every message over this route would fail alike, by the attribute `scope` =
    /// `route`. Said of a message that will never be taken, or may have been, it means nothing.
    pub fn is_about_route(&self) -> bool {
        matches!(self.class, FailureClass::Retryable | FailureClass::Throttled)
            && self.attributes.iter().any(|a| a.name == "scope" && a.value == "route")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}

/// Why a carrier plugin gave no request, or read no acceptance from a response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin worked and said no.
    #[error("the carrier plugin refused the message: {0}")]
    Failure(Failure),
    /// The plugin itself failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}
