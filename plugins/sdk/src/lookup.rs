//! Carriers that can be asked: did you take this message?

use crate::{Accepted, Failure, Request, Response, Sensitive, Settings};

/// An ability of carriers of the class [`crate::DuplicateClass::Query`]: the carrier can be asked by our
/// reference what became of a message whose hand-over got no answer.
///
/// The host asks, with growing pauses, until the carrier has an answer. That the carrier has the message
/// is believed at once; that it does not, only some time after the hand-over, for which
/// [`crate::Manifest::lookup_final_after`] is: a request that was given up may still reach its books.
pub trait Lookup {
    /// The one request that would ask about a message. It changes nothing at the carrier.
    ///
    /// # Errors
    /// A [`Failure`] when this carrier cannot be asked over this route.
    fn lookup_request(settings: &Settings, question: &Question) -> Result<Request, Failure>;

    /// What the answer means: the carrier took the message, or `None`: it did not and will not, which
    /// includes one that it has and refused.
    ///
    /// # Errors
    /// A [`Failure`], of whatever class, when that cannot be told. The host asks again.
    fn lookup_outcome(
        settings: &Settings,
        question: &Question,
        response: &Response,
    ) -> Result<Option<Accepted>, Failure>;
}

/// One message to ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Ours, as the carrier was given it with the message.
    pub reference: String,
    /// The number or name that the message came from.
    pub sender: String,
    /// E.164.
    pub recipient: Sensitive,
    /// When it was handed over, in milliseconds since 1970.
    pub attempted_at_ms: u64,
}
