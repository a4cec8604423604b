//! The states of a delivery and what moves it from one to the next.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::named::named;

/// Where a delivery stands. `Sent`, `Failed`, `Cancelled` and `Expired` are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

named!(DeliveryState is "a delivery state" {
    Queued = "queued",
    Sending = "sending",
    Unknown = "unknown",
    Sent = "sent",
    Failed = "failed",
    Cancelled = "cancelled",
    Expired = "expired",
});

impl DeliveryState {
    /// Whether nothing can happen to it any more: its hold is settled.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Sent | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Whether it still holds its enrollment and its money.
    pub const fn is_live(self) -> bool {
        !self.is_terminal()
    }

    /// Whether it may have left: nothing about it is refunded as unsent without evidence.
    pub const fn is_on_the_wire(self) -> bool {
        matches!(self, Self::Sending | Self::Unknown)
    }

    /// Whether a delivery may go from this state straight to `next`. To stay is not a transition.
    ///
    /// An attempt that certainly was not sent ends as anything that a queued delivery can become,
    /// since its workflow may have closed and its time may have passed meanwhile. An unknown one goes
    /// back on the wire only to repeat its request under the key that the carrier keeps.
    ///
    /// What is said of an earlier attempt overrules all of this: a queued delivery that was sent after all
    /// ends as sent.
    pub const fn may_become(self, next: Self) -> bool {
        use DeliveryState::{Cancelled, Expired, Failed, Queued, Sending, Sent, Unknown};
        match self {
            Queued => matches!(next, Sending | Failed | Cancelled | Expired),
            Sending => matches!(next, Sent | Failed | Unknown | Queued | Cancelled | Expired),
            Unknown => matches!(next, Sending | Sent | Failed | Queued | Cancelled | Expired),
            Sent | Failed | Cancelled | Expired => false,
        }
    }
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

impl AttemptOutcome {
    /// The outcome's one name, as it stands in the database: `accepted`, `refused`, `not_sent` or
    /// `unknown`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused(_) => "refused",
            Self::NotSent { .. } => "not_sent",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why, unless it was accepted.
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepted { .. } => None,
            Self::Refused(reason) | Self::Unknown(reason) | Self::NotSent { reason, .. } => {
                Some(reason)
            }
        }
    }
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

    /// The reason of a refusal because the contact asked to hear nothing more: `code` stands behind
    /// `stopped:`. It ends all of the contact's enrollments.
    pub fn stop(code: impl fmt::Display, text: impl Into<String>) -> Self {
        Self::new(format!("{STOPPED}:{code}"), text)
    }

    /// Whether it is one of [`Reason::stop`].
    pub fn is_stop(&self) -> bool {
        self.code.split(':').next() == Some(STOPPED)
    }
}

/// The first part of the code of a reason that is an opt-out.
const STOPPED: &str = "stopped";

/// The code and, where it says more, the text: `twilio:21610: the recipient has unsubscribed`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.as_str() {
            "" => f.write_str(&self.code),
            text => write!(f, "{}: {text}", self.code),
        }
    }
}
