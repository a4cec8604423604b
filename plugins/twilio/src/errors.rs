//! Twilio's error codes and what they mean for a message.
//!
//! From the [error dictionary](https://www.twilio.com/docs/api/errors), as of November 2026. The texts
//! are ours. Twilio splits codes up now and then ([July 2024]), so that an unknown one is judged by its
//! status.
//!
//! [July 2024]: https://www.twilio.com/en-us/changelog/updates-to-the-error-code-dictionary-to-clarify-number-validatio

use dripline_plugin_sdk::{Failure, Response};
use serde::Deserialize;

#[derive(Clone, Copy)]
enum Meaning {
    /// Later: nothing was sent.
    Throttled,
    /// Nothing was sent, and another attempt may succeed.
    Retryable,
    /// Nothing is sent on this route until an operator has put it right. Retryable, so that a mistake in
    /// the route does not cost a whole audience its messages.
    Route,
    /// This message will never be taken.
    Permanent,
    /// The recipient opted out.
    Stopped,
}

use Meaning::{Permanent, Retryable, Route, Stopped, Throttled};

/// Sorted by code.
const CODES: &[(u32, Meaning, &str)] = &[
    (14107, Throttled, "too many messages at once"),
    (20003, Route, "the account and the auth token do not fit together"),
    (20005, Route, "the account is not active"),
    (20006, Route, "the account may not do this"),
    (20404, Route, "the account does not exist at this origin"),
    (20429, Throttled, "too many requests at once"),
    (21211, Permanent, "the recipient's number is not valid"),
    (21212, Route, "the sender is not valid"),
    (21214, Permanent, "the recipient's number cannot be reached"),
    (21217, Permanent, "the recipient's number does not seem valid"),
    (21265, Permanent, "the recipient is a short code"),
    (21266, Permanent, "the recipient is the sender"),
    (21267, Route, "the account may not send from a name"),
    (21408, Permanent, "the account may not send to this region"),
    (21602, Permanent, "the text is empty"),
    (21603, Route, "there is no sender"),
    (21604, Permanent, "there is no recipient"),
    (21606, Route, "the sender cannot send messages to this destination"),
    (21608, Permanent, "a trial account sends to verified numbers only"),
    (21609, Route, "the callback's URL is not valid"),
    (21610, Stopped, "the recipient opted out of this sender"),
    (21611, Throttled, "the sender has too many messages queued"),
    (21612, Permanent, "this sender cannot reach the recipient"),
    (21614, Permanent, "the recipient's number is not a mobile number"),
    (21617, Permanent, "the text is longer than 1,600 characters"),
    (21618, Permanent, "the text cannot be sent"),
    (21619, Permanent, "the text is empty"),
    (21635, Permanent, "the recipient's number is a landline"),
    (21658, Permanent, "the text is longer than 1,600 characters"),
    (21659, Route, "the sender is not a number of Twilio's"),
    (21660, Route, "the sender belongs to another account"),
    (21661, Route, "the sender cannot send messages"),
    (21701, Route, "the messaging service does not exist"),
    (21703, Route, "the messaging service has no sender for this message"),
    (21704, Route, "the messaging service has no senders"),
    (21705, Route, "the messaging service is not valid"),
    (30001, Throttled, "the carrier's queue is full"),
    (30002, Route, "the account is suspended"),
    (30003, Retryable, "the recipient's phone cannot be reached now"),
    (30004, Permanent, "the message is blocked"),
    (30005, Permanent, "the recipient's number is unknown or no longer in service"),
    (30006, Permanent, "the recipient's number is a landline or its network cannot be reached"),
    (30007, Permanent, "the message was filtered as unwanted"),
    (30022, Throttled, "the campaign's rate is used up"),
    (30023, Throttled, "the campaign's messages for today are used up"),
    (30032, Route, "the toll-free sender is not verified"),
    (30034, Route, "the sender is not registered with a campaign"),
    (30610, Throttled, "the recipient's local law allows no message at this hour"),
    (30615, Throttled, "the recipient's local law allows no message at this hour"),
];

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
        (Some(code), _) if known(code).is_some() => {
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
    let Some((meaning, text)) = known(code) else {
        let text = format!("Twilio gave up, see https://www.twilio.com/docs/api/errors/{code}");
        return Failure::uncertain(code.to_string(), text);
    };
    let code = code.to_string();
    match meaning {
        Throttled => Failure::throttled(code, text),
        Retryable => Failure::retryable(code, text),
        Route => Failure::retryable(code, text).about_route(),
        Permanent => Failure::permanent(code, text),
        Stopped => Failure::stopped(code, text),
    }
}

fn known(code: u32) -> Option<(Meaning, &'static str)> {
    let index = CODES.binary_search_by_key(&code, |(code, ..)| *code).ok()?;
    Some((CODES[index].1, CODES[index].2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_sorted() {
        assert!(CODES.is_sorted_by(|(left, ..), (right, ..)| left < right));
    }
}
