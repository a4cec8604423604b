//! Vonage's error codes and what they mean for a message.
//!
//! From the lists of the [Messages API] and of [all APIs], as of November 2026, without those that concern other
//! channels than SMS. The texts are ours.
//!
//! [Messages API]: https://developer.vonage.com/en/api-errors/messages
//! [all APIs]: https://developer.vonage.com/en/api-errors

use dripline_plugin_sdk::Meaning::{Permanent, Retryable, Route, Stopped, Throttled};
use dripline_plugin_sdk::{Code, Codes, Failure, Response};
use serde::Deserialize;

/// Sorted by code. A barred number (1050) is one that nobody may write to; one that sent STOP has a code of its own
/// (1240).
pub(crate) const CODES: Codes = Codes(&[
    Code("1000", Throttled, "too many requests at once"),
    Code("1010", Permanent, "a parameter is missing"),
    Code("1020", Permanent, "a parameter is not valid"),
    Code("1030", Retryable, "Vonage had an error of its own"),
    Code("1040", Permanent, "the recipient's number is not known to any network"),
    Code("1050", Permanent, "the recipient's number is barred"),
    Code("1060", Route, "the account is barred"),
    Code("1070", Route, "the account's quota is used up"),
    Code("1080", Route, "the account may not use this API"),
    Code("1090", Permanent, "the text is too long"),
    Code("1100", Retryable, "the message could not be handed on"),
    Code("1120", Route, "the sender is not allowed in the recipient's country"),
    Code("1140", Route, "the account may not do this"),
    Code("1160", Permanent, "a trial account sends to known numbers only"),
    Code("1170", Permanent, "the recipient's number is not valid"),
    Code("1180", Retryable, "the recipient's phone cannot be reached now"),
    Code("1190", Permanent, "the recipient's number is no longer in service"),
    Code("1200", Permanent, "the recipient's number is between two networks"),
    Code("1210", Permanent, "the message was filtered as unwanted"),
    Code("1220", Retryable, "the recipient's handset is busy"),
    Code("1230", Retryable, "the recipient's network had an error"),
    Code("1240", Stopped, "the recipient opted out"),
    Code("1241", Throttled, "too many messages to the same recipient"),
    Code("1242", Route, "the number pool does not exist"),
    Code("1250", Permanent, "the recipient's network cannot be reached"),
    Code("1251", Permanent, "there is no route to the recipient's network"),
    Code("1260", Permanent, "the recipient's network cannot be reached"),
    Code("1270", Permanent, "the message is not suitable for the recipient's age"),
    Code("1280", Permanent, "the recipient's network blocks this message"),
    Code("1282", Permanent, "the message is blocked for its content"),
    Code("1290", Permanent, "the recipient's plan has no credit for the message"),
    Code("1330", Permanent, "the recipient's network did not deliver the message"),
    Code("1331", Retryable, "the recipient's network does not answer"),
    Code("1360", Permanent, "the message waited too long"),
    Code("1420", Route, "the sender is not valid"),
    Code("1430", Permanent, "the recipient's number is not valid"),
    Code("1450", Permanent, "the reference is longer than 100 characters"),
    Code("1460", Throttled, "the campaign's messages for today are used up"),
    Code("1461", Throttled, "the recipient's network takes no more messages for now"),
    Code("1470", Permanent, "the message was blocked as fraud"),
    Code("1472", Throttled, "too many messages at once, which looks like fraud"),
    Code("1473", Permanent, "the message was blocked as fraud"),
    Code("1474", Permanent, "the account blocks the recipient's country"),
    Code("1475", Permanent, "the account blocks the recipient's network"),
    Code("1476", Route, "the sender may not send messages"),
    Code("1480", Route, "the entity's registration is missing or wrong"),
    Code("1481", Route, "the sender's registration is missing or wrong"),
    Code("1482", Permanent, "the text is not registered"),
    Code("1483", Permanent, "the recipient's consent is not registered"),
    Code("1484", Route, "the sender does not fulfil the regulations"),
    Code("1490", Permanent, "parts of the message got no report"),
    Code("2001", Permanent, "the message was blocked as fraud"),
    Code("account-suspended", Route, "the account is suspended"),
    Code("application-suspended", Route, "the application is suspended"),
    Code("forbidden", Route, "the account may not do this"),
    Code("invalid-api-key", Route, "the key is not valid"),
    Code("invalid-ip", Route, "this machine's address is not on the account's list"),
    Code("invalid-signature", Route, "the signature is not valid"),
    Code("jwt-expired", Route, "the token has expired"),
    Code("jwt-revoked", Route, "the token was revoked"),
    Code("low-balance", Route, "the account's credit is used up"),
    Code("multiple-auth-methods", Route, "the request has several credentials"),
    Code("not-found", Route, "the account or the address does not exist"),
    Code("throttled", Throttled, "too many requests at once"),
    Code("unauthorized", Route, "the key and the secret do not fit together"),
    Code("unavailable-legal", Permanent, "Vonage may not serve this region"),
    Code("unprovisioned", Route, "the account may not use this API"),
]);

/// A message that was sent before: no refusal of this one can be told from it.
const ALREADY_SENT: &str = "1320";

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type", default)]
    kind: String,
}

/// The failure that an answer other than 2xx stands for.
pub(crate) fn refused(response: &Response) -> Failure {
    let by_status = Failure::from_status(response);
    // Whoever answers 5xx may have sent.
    if response.status >= 500 || response.status == 429 {
        return by_status;
    }
    let kind = response.json::<Problem>().map(|problem| problem.kind).unwrap_or_default();
    let code = kind.rsplit_once('#').map_or("", |(_, code)| code);
    if code == ALREADY_SENT {
        return Failure::uncertain(code, "Vonage sent the message before");
    }
    match (CODES.failure(code), response.status) {
        (Some(failure), _) => failure.retry_after_ms(response.retry_after_ms()),
        (None, 401 | 403) => {
            Failure::retryable("unauthorized", "the key and the secret do not fit together")
                .about_route()
        }
        (None, 402) => {
            Failure::retryable("low-balance", "the account's credit is used up").about_route()
        }
        (None, _) => by_status,
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
