//! The errors of [SendTextMessage], their reasons, and what they mean for a message. Reasons are from the
//! service's own model, as [botocore] has it in November 2026 (1.44.8); those that no message can cause are left out.
//! Errors of the signature are among the [common errors]. The texts are ours.
//!
//! [SendTextMessage]: https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
//! [botocore]: https://github.com/boto/botocore/tree/develop/botocore/data/pinpoint-sms-voice-v2
//! [common errors]: https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/CommonErrors.html

use dripline_plugin_sdk::Meaning::{Permanent, Route, Stopped, Throttled};
use dripline_plugin_sdk::{Code, Codes, Failure, Response};
use serde::Deserialize;

/// Types of errors, and reasons of those that have several, sorted by their text.
const CODES: Codes = Codes(&[
    Code("ACCOUNT_DISABLED", Route, "the account is disabled"),
    Code("AccessDeniedException", Route, "the access key may not send"),
    Code("CHANNEL_NOT_ENABLED", Route, "the account may not send messages"),
    Code("COUNTRY_NOT_ENABLED", Permanent, "the account may not send to this country"),
    Code("ConflictException", Route, "the sender's settings contradict the request"),
    Code("DESTINATION_COUNTRY_BLOCKED", Permanent, "the account may not send to this country"),
    Code(
        "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION",
        Permanent,
        "the protect configuration blocks the recipient's country",
    ),
    Code(
        "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE",
        Permanent,
        "the protect configuration blocks the recipient's number",
    ),
    Code(
        "DESTINATION_PHONE_NUMBER_NOT_VERIFIED",
        Permanent,
        "a trial account sends to verified numbers only",
    ),
    Code("DESTINATION_PHONE_NUMBER_OPTED_OUT", Stopped, "the recipient opted out of this sender"),
    Code("INSUFFICIENT_ACCOUNT_REPUTATION", Route, "the account's reputation is too low"),
    Code(
        "INTERNATIONAL_SENDING_NOT_SUPPORTED",
        Permanent,
        "this sender cannot reach the recipient's country",
    ),
    Code(
        "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY",
        Permanent,
        "this sender cannot reach the recipient's country",
    ),
    Code("IncompleteSignature", Route, "the signature is not complete"),
    Code("IncompleteSignatureException", Route, "the signature is not complete"),
    Code("InvalidClientTokenId", Route, "the access key is not valid"),
    Code("InvalidSignatureException", Route, "the access key's secret is not valid"),
    Code("MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT", Route, "this month's spending limit is used up"),
    Code("MissingAuthenticationToken", Route, "the signature is missing"),
    Code("MissingAuthenticationTokenException", Route, "the signature is missing"),
    Code("NO_ORIGINATION_IDENTITIES_FOUND", Route, "no sender can reach the recipient's country"),
    Code("NotAuthorized", Route, "the access key may not send"),
    Code("OptInRequired", Route, "the account has not subscribed to the service"),
    Code("REGISTRATION_NOT_COMPLETE", Route, "the sender's registration is not complete"),
    Code("RESOURCE_NOT_ACCESSIBLE", Route, "the sender is not the account's"),
    Code("RESOURCE_NOT_ACTIVE", Route, "the sender is not active"),
    Code("RequestExpired", Route, "this machine's clock is wrong"),
    Code("ResourceNotFoundException", Route, "the sender or the configuration set does not exist"),
    Code("SENDER_ID_NOT_REGISTERED", Route, "the sender's name is not registered"),
    Code(
        "SENDER_ID_NOT_SUPPORTED",
        Permanent,
        "the recipient's country allows no name as the sender",
    ),
    Code("SENDER_ID_REQUIRES_REGISTRATION", Route, "the sender's name is not registered"),
    Code("ServiceQuotaExceededException", Route, "the account's quota is used up"),
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
    // A namespace may stand before the type and an address behind it, as the protocol's specification has it:
    // https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#operation-error-serialization
    let kind = kind.split(':').next().unwrap_or_default();
    let kind = kind.rsplit_once('#').map_or(kind, |(_, kind)| kind);
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
