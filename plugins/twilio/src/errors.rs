//! Twilio's error codes and what they mean for a message.
//!
//! From the [error dictionary](https://www.twilio.com/docs/api/errors), where each code has a page of its own, as of
//! November 2026. The texts are ours. Twilio splits codes up now and then ([July 2024]), so that an unknown one is judged by its
//! status.
//!
//! [July 2024]: https://www.twilio.com/en-us/changelog/updates-to-the-error-code-dictionary-to-clarify-number-validatio

use dripline_plugin_sdk::Meaning::{Permanent, Retryable, Route, Stopped, Throttled};
use dripline_plugin_sdk::{Code, Codes, Failure, Response};
use serde::Deserialize;

/// Sorted by code.
pub(crate) const CODES: Codes = Codes(&[
    Code("14107", Throttled, "too many messages at once"),
    Code("20003", Route, "the account and the auth token do not fit together"),
    Code("20005", Route, "the account is not active"),
    Code("20006", Route, "the account may not do this"),
    Code("20404", Route, "the account does not exist at this origin"),
    Code("20429", Throttled, "too many requests at once"),
    Code("21211", Permanent, "the recipient's number is not valid"),
    Code("21212", Route, "the sender is not valid"),
    Code("21214", Permanent, "the recipient's number cannot be reached"),
    Code("21217", Permanent, "the recipient's number does not seem valid"),
    Code("21265", Permanent, "the recipient is a short code"),
    Code("21266", Permanent, "the recipient is the sender"),
    Code("21267", Route, "the account may not send from a name"),
    Code("21408", Permanent, "the account may not send to this region"),
    Code("21601", Route, "the sender is not a number that can send messages"),
    Code("21602", Permanent, "the text is empty"),
    Code("21603", Route, "there is no sender"),
    Code("21604", Permanent, "there is no recipient"),
    Code("21606", Route, "the sender cannot send messages to this destination"),
    Code("21608", Permanent, "a trial account sends to verified numbers only"),
    Code("21609", Route, "the callback's URL is not valid"),
    Code("21610", Stopped, "the recipient opted out of this sender"),
    Code("21611", Throttled, "the sender has too many messages queued"),
    Code("21612", Permanent, "this sender cannot reach the recipient"),
    Code("21614", Permanent, "the recipient's number is not a mobile number"),
    Code("21617", Permanent, "the text is longer than 1,600 characters"),
    Code("21618", Permanent, "the text cannot be sent"),
    Code("21619", Permanent, "the text is empty"),
    Code("21635", Permanent, "the recipient's number is a landline"),
    Code("21658", Permanent, "the text is longer than 1,600 characters"),
    Code("21659", Route, "the sender is not a number of Twilio's"),
    Code("21660", Route, "the sender belongs to another account"),
    Code("21661", Route, "the sender cannot send messages"),
    Code("21701", Route, "the messaging service does not exist"),
    Code("21703", Route, "the messaging service has no sender for this message"),
    Code("21704", Route, "the messaging service has no senders"),
    Code("21705", Route, "the messaging service is not valid"),
    Code("30001", Throttled, "the carrier's queue is full"),
    Code("30002", Route, "the account is suspended"),
    Code("30003", Retryable, "the recipient's phone cannot be reached now"),
    Code("30004", Permanent, "the message is blocked"),
    Code("30005", Permanent, "the recipient's number is unknown or no longer in service"),
    Code(
        "30006",
        Permanent,
        "the recipient's number is a landline or its network cannot be reached",
    ),
    Code("30007", Permanent, "the message was filtered as unwanted"),
    Code("30010", Permanent, "the message would cost more than is allowed"),
    Code("30017", Retryable, "the recipient's network is congested"),
    Code("30018", Route, "the recipient's carrier wants the sender's name registered"),
    Code("30019", Permanent, "the message is too large for the recipient's carrier"),
    Code("30022", Throttled, "the campaign's rate is used up"),
    Code("30023", Throttled, "the campaign's messages for today are used up"),
    Code("30024", Route, "the recipient's carrier does not know the sender's number"),
    Code("30027", Throttled, "the brand's messages for today are used up"),
    Code("30032", Route, "the toll-free sender is not verified"),
    Code("30033", Route, "the campaign is suspended"),
    Code("30034", Route, "the sender is not registered with a campaign"),
    Code("30035", Route, "the sender is still being set up"),
    Code("30450", Permanent, "the message was blocked as fraud"),
    Code("30610", Throttled, "the recipient's local law allows no message at this hour"),
]);

#[derive(Deserialize)]
struct Answer {
    code: Option<u32>,
}

/// The failure that an answer other than 2xx stands for.
pub(crate) fn refused(response: &Response) -> Failure {
    let by_status = Failure::from_status(response);
    // Whoever answers 5xx may have sent; sending is not idempotent, whatever the code.
    if response.status >= 500 {
        return by_status;
    }
    let code = response.json::<Answer>().ok().and_then(|answer| answer.code);
    match (code, response.status) {
        (Some(code), _) if CODES.failure(&code.to_string()).is_some() => {
            failure(code).retry_after_ms(response.retry_after_ms())
        }
        (None, 401 | 403) => failure(20003),
        (None, 404) => failure(20404),
        (Some(code), _) => {
            let text =
                format!("{}, see https://www.twilio.com/docs/api/errors/{code}", by_status.text);
            Failure { code: code.to_string(), text, ..by_status }
        }
        (None, _) => by_status,
    }
}

/// The failure of a code. An unknown one is *uncertain*.
pub(crate) fn failure(code: u32) -> Failure {
    let code = code.to_string();
    CODES.failure(&code).unwrap_or_else(|| {
        let text = format!("Twilio gave up, see https://www.twilio.com/docs/api/errors/{code}");
        Failure::uncertain(code, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_sorted() {
        assert!(CODES.is_sorted());
    }
}
