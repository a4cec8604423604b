//! The errors of [SendTextMessage] and what they mean for a message. The texts are ours.
//!
//! [SendTextMessage]: https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html

use dripline_plugin_sdk::Meaning::{Permanent, Route, Stopped, Throttled};
use dripline_plugin_sdk::{Code, Codes, Failure, Response};
use serde::Deserialize;

/// Types of errors, and reasons of those that have several, sorted by their text.
const CODES: Codes = Codes(&[
    Code("AccessDeniedException", Route, "the access key may not send"),
    Code("ConflictException", Route, "the sender's settings contradict the request"),
    Code("DESTINATION_COUNTRY_BLOCKED", Permanent, "the account may not send to this country"),
    Code(
        "DESTINATION_PHONE_NUMBER_NOT_VERIFIED",
        Permanent,
        "a trial account sends to verified numbers only",
    ),
    Code("DESTINATION_PHONE_NUMBER_OPTED_OUT", Stopped, "the recipient opted out of this sender"),
    Code("IncompleteSignatureException", Route, "the signature is not complete"),
    Code("InvalidSignatureException", Route, "the access key's secret is not valid"),
    Code("MissingAuthenticationTokenException", Route, "the signature is missing"),
    Code("NO_ORIGINATION_IDENTITIES_FOUND", Route, "no sender can reach the recipient's country"),
    Code("ResourceNotFoundException", Route, "the sender or the configuration set does not exist"),
    Code("ServiceQuotaExceededException", Route, "the account's spending limit is used up"),
    Code("SignatureDoesNotMatch", Route, "the access key's secret is not valid"),
    Code("ThrottlingException", Throttled, "too many requests at once"),
    Code("UnrecognizedClientException", Route, "the access key is not valid"),
    Code("ValidationException", Permanent, "the recipient's number or the text is not valid"),
]);

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(rename = "Reason", default)]
    reason: String,
}

/// The failure that an answer other than 2xx stands for.
pub(crate) fn refused(response: &Response) -> Failure {
    let by_status = Failure::from_status(response);
    // Whoever answers 5xx may have sent.
    if response.status >= 500 {
        return by_status;
    }
    let Ok(Problem { kind, reason }) = response.json::<Problem>() else { return by_status };
    // A namespace may stand before the type.
    let kind = kind.rsplit_once('#').map_or(&*kind, |(_, kind)| kind);
    let known = CODES.failure(&reason).or_else(|| CODES.failure(kind));
    match known {
        Some(failure) => failure.retry_after_ms(response.retry_after_ms()),
        None => by_status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_sorted() {
        assert!(CODES.is_sorted());
    }
}
