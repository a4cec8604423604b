//! Telnyx' error codes and what they mean for a message.
//!
//! From the [messaging error codes] and the [API error codes], as of November 2026. The texts are ours.
//!
//! [messaging error codes]: https://developers.telnyx.com/docs/messaging/messages/error-codes/index
//! [API error codes]: https://developers.telnyx.com/development/api-fundamentals/api-errors/index

use dripline_plugin_sdk::Meaning::{Permanent, Retryable, Route, Stopped, Throttled};
use dripline_plugin_sdk::{Code, Codes, Failure, Response};
use serde::Deserialize;

/// Sorted by code.
pub(crate) const CODES: Codes = Codes(&[
    Code("10001", Permanent, "the recipient's number is not active"),
    Code("10002", Permanent, "the recipient's number is not valid"),
    Code("10003", Route, "the callback's URL is not valid"),
    Code("10004", Permanent, "a parameter is missing"),
    Code("10005", Route, "the address or a resource of the account does not exist"),
    Code("10006", Route, "an id among the settings is not valid"),
    Code("10009", Route, "the API key is not valid"),
    Code("10010", Route, "the API key may not do this"),
    Code("10011", Throttled, "too many requests at once"),
    Code("10014", Permanent, "the request is not understood"),
    Code("10015", Permanent, "the request is not valid"),
    Code("10016", Permanent, "a number is not in E.164"),
    Code("20002", Route, "the API key was revoked"),
    Code("20006", Route, "the API key has expired"),
    Code("20012", Route, "the account is not active, perhaps for want of funds"),
    Code("20013", Route, "the account is blocked"),
    Code("20014", Route, "the account is not verified"),
    Code("20015", Route, "the account may not use this feature"),
    Code("20016", Route, "the account is not verified far enough"),
    Code("20017", Route, "the account is not verified far enough"),
    Code("20100", Route, "the account's funds are used up"),
    Code("40001", Permanent, "the recipient's number is a landline or cannot be reached"),
    Code("40002", Retryable, "the message was filtered as unwanted for now"),
    Code("40003", Route, "the sender is blocked as unwanted"),
    Code("40004", Permanent, "the recipient's carrier refused the message"),
    Code("40005", Permanent, "the message expired on its way"),
    Code("40006", Retryable, "the recipient's carrier cannot be reached now"),
    Code("40008", Permanent, "the recipient's carrier did not take the message"),
    Code("40009", Permanent, "the text cannot be sent"),
    Code("40010", Route, "the sender is not registered with a campaign"),
    Code("40011", Throttled, "the recipient's carrier takes no more at this rate"),
    Code("40012", Permanent, "the recipient's number is not valid"),
    Code("40013", Route, "the sender is not valid"),
    Code("40014", Permanent, "the message waited too long"),
    Code("40015", Permanent, "the message was filtered as unwanted"),
    Code("40016", Throttled, "the campaign's messages for today are used up"),
    Code("40017", Permanent, "the message was filtered as unwanted"),
    Code("40018", Throttled, "the campaign's rate is used up"),
    Code("40100", Route, "the sender cannot send messages"),
    Code("40150", Route, "the toll-free sender is not registered"),
    Code("40151", Route, "the sender is still being set up"),
    Code("40300", Stopped, "the recipient opted out of this sender"),
    Code("40301", Permanent, "this type of message is not supported"),
    Code("40302", Permanent, "the message is too large"),
    Code("40304", Permanent, "the message's contents contradict each other"),
    Code("40305", Route, "the sender is not valid"),
    Code("40306", Route, "the sender's name is not set up"),
    Code("40309", Permanent, "the account may not send to this region"),
    Code("40310", Permanent, "the recipient's number is not valid"),
    Code("40311", Route, "the messaging profile's secret is not valid"),
    Code("40312", Route, "the messaging profile is disabled"),
    Code("40313", Route, "the messaging profile's secret is missing"),
    Code("40314", Route, "the account may not send messages"),
    Code("40315", Route, "the sender is unhealthy"),
    Code("40316", Permanent, "the text is empty"),
    Code("40318", Throttled, "the sender's queue is full"),
    Code("40319", Permanent, "the recipient cannot take this type of message"),
    Code("40320", Retryable, "the sender cannot be used for the moment"),
    Code("40321", Route, "the messaging profile has no usable number"),
    Code("40322", Permanent, "the message is blocked for its content"),
    Code("40328", Permanent, "the text is longer than Telnyx recommends"),
    Code("40329", Route, "the toll-free sender is not verified"),
]);

#[derive(Deserialize)]
struct Answer {
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
}

/// The failure that an answer other than 2xx stands for.
pub(crate) fn refused(response: &Response) -> Failure {
    let by_status = Failure::from_status(response);
    // Whoever answers 5xx may have sent.
    if response.status >= 500 || response.status == 429 {
        return by_status;
    }
    let answer = response.json::<Answer>().ok();
    let code = answer.and_then(|answer| answer.errors.into_iter().next()).map(|first| first.code);
    match code.as_deref().and_then(|code| CODES.failure(code)) {
        Some(failure) => failure.retry_after_ms(response.retry_after_ms()),
        None if matches!(response.status, 401 | 403) => {
            Failure::retryable("10009", "the API key is not valid").about_route()
        }
        None if response.status == 402 => {
            Failure::retryable("20100", "the account's funds are used up").about_route()
        }
        // So is a key answered that stands for another request, which may have been sent.
        None if response.status == 422 => {
            let text = "Telnyx refused the message, or the key for having taken it before";
            Failure::uncertain("http-422", text)
        }
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
