//! The states of a delivery and what moves it from one to the next.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a delivery stands. `Sent`, `Failed`, `Cancelled` and `Expired` are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its due time and a worker. Everything about it is revocable.
    Queued,
    /// Marked: it may be on the wire. Nothing is refunded as unsent from here on.
    Sending,
    /// Handed over, and nobody knows whether the carrier took it. Its money stays held.
    Unknown,
    /// Accepted by the carrier; captured.
    Sent,
    /// Refused, or given up before the wire; released.
    Failed,
    /// Revoked before hand-over; released.
    Cancelled,
    /// Not sent in time; released.
    Expired,
}

/// What happened to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The carrier took it.
    Accepted {
        /// The carrier's own id of the message, as far as it gave one.
        carrier_reference: Option<String>,
    },
    /// The carrier said no, for good.
    Refused(Reason),
    /// It certainly did not reach the carrier, or the carrier asked to come back later.
    NotSent {
        /// Why.
        reason: Reason,
        /// How long the carrier asked to wait.
        retry_after: Option<Duration>,
    },
    /// It may have reached the carrier.
    Unknown(Reason),
}

/// A code for programs and a text for people. Never contains a secret, a phone number or message
/// text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For example `twilio:21610`, `connect` or `plugin_trap`.
    pub code: String,
    /// One sentence.
    pub text: String,
}

impl Reason {
    /// A reason from its two parts.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }
}
