//! What a carrier's answer to a question about a message is worth.
//!
//! | what came back | worth |
//! |---|---|
//! | 2xx | as the plugin reads it |
//! | 404 that the plugin reads as "not here" | the carrier does not have it |
//! | anything else, or no whole answer | nothing: ask again |

use dripline_domain::delivery::Reason;

use super::{failure_reason, plugin_reason, references, status_code};
use crate::egress::WireOutcome;
use crate::message::{Accepted, CallError};

/// What the carrier knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It took the message.
    Has {
        /// Its own id of the message, as far as it gave one.
        carrier_reference: Option<String>,
    },
    /// It did not take the message, as far as it knows now.
    HasNot,
    /// It gave no answer that says either.
    Nothing(Reason),
}

/// Judges an answer, from what the wire did and how the plugin read it. `reading` is `None` when there
/// was no whole answer to read.
pub fn answered(
    carrier: &str,
    wire: &WireOutcome,
    reading: Option<&Result<Option<Accepted>, CallError>>,
) -> Answered {
    let response = match wire {
        WireOutcome::Response(response) => response,
        WireOutcome::NotSent { reason } | WireOutcome::Uncertain { reason, .. } => {
            return Answered::Nothing(reason.clone());
        }
    };
    let status = response.status;
    match (status, reading) {
        (200..=299, Some(Ok(Some(accepted)))) => {
            Answered::Has { carrier_reference: references(accepted) }
        }
        (200..=299 | 404, Some(Ok(None))) => Answered::HasNot,
        (_, Some(Err(CallError::Failure(failure)))) => {
            Answered::Nothing(failure_reason(carrier, failure))
        }
        (_, Some(Err(CallError::Plugin(error)))) => Answered::Nothing(plugin_reason(error)),
        (_, Some(Ok(_)) | None) => {
            let text = format!("the carrier answered {status} to our question");
            Answered::Nothing(Reason::new(status_code(status), text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Response;
    use crate::message::{Failure, FailureClass};

    #[test]
    fn only_a_plain_answer_says_anything() {
        let has =
            || Ok(Some(Accepted { carrier_references: vec!["SM1".into()], attributes: vec![] }));
        let failed = || {
            Err(CallError::Failure(Failure {
                // Not even a failure that claims to be final says that nothing was sent.
                class: FailureClass::Permanent,
                code: "x".into(),
                text: String::new(),
                retry_after: None,
                attributes: vec![],
            }))
        };
        let check = |status, reading: Result<Option<Accepted>, CallError>, expected: &str| {
            let response = Response { status, headers: vec![], body: vec![] };
            let answer = answered("acme", &WireOutcome::Response(response), Some(&reading));
            let word = match &answer {
                Answered::Has { carrier_reference } => {
                    carrier_reference.as_deref().unwrap_or("has")
                }
                Answered::HasNot => "has not",
                Answered::Nothing(reason) => &reason.code,
            };
            assert_eq!(word, expected, "{status}");
        };
        check(200, has(), "SM1");
        check(200, Ok(None), "has not");
        check(404, Ok(None), "has not");
        check(404, has(), "http:404");
        check(200, failed(), "acme:x");
        for status in [301, 401, 403, 408, 429, 500, 503] {
            check(status, Ok(None), &format!("http:{status}"));
            check(status, has(), &format!("http:{status}"));
        }
    }

    #[test]
    fn no_answer_says_nothing() {
        let reason = Reason::new("timeout", "no answer");
        let lost = [
            WireOutcome::NotSent { reason: reason.clone() },
            WireOutcome::Uncertain { status: Some(404), reason: reason.clone() },
        ];
        for wire in lost {
            assert_eq!(answered("acme", &wire, None), Answered::Nothing(reason.clone()));
        }
    }
}
