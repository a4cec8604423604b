//! Vonage's error codes and what they mean for a message.
//!
//! From the [error list] of the Messages API, as of November 2026. The texts are ours.
//!
//! [error list]: https://developer.vonage.com/en/api-errors/messages

use dripline_plugin_sdk::Meaning::{Permanent, Retryable, Route, Throttled};
use dripline_plugin_sdk::{Code, Codes, Failure, Response};
use serde::Deserialize;

/// Sorted by code. What Vonage calls a barred number may be one that opted out or one that nobody may write
/// to, so that it does not count as a stop.
pub(crate) const CODES: Codes = Codes(&[
    Code("1000", Throttled, "too many requests at once"),
    Code("1010", Permanent, "a parameter is missing"),
    Code("1020", Permanent, "a parameter is not valid"),
    Code("1030", Retryable, "Vonage had an error of its own"),
    Code("1040", Permanent, "the recipient's number is not known to any network"),
    Code("1050", Permanent, "the recipient's number is barred"),
    Code("1060", Route, "the account is barred"),
    Code("1070", Route, "the account's credit is used up"),
    Code("1080", Route, "the account may not use this API"),
    Code("1090", Permanent, "the text is too long"),
    Code("1100", Retryable, "the message could not be handed on"),
    Code("1120", Route, "the sender is not allowed in the recipient's country"),
    Code("1140", Route, "the account may not do this"),
    Code("1160", Permanent, "a trial account sends to known numbers only"),
    Code("1170", Permanent, "the recipient's number is not valid"),
    Code("1180", Retryable, "the recipient's phone cannot be reached now"),
    Code("1190", Permanent, "the recipient's number is no longer in service"),
    Code("1210", Permanent, "the message was filtered as unwanted"),
    Code("1220", Permanent, "the recipient's handset has no place for the message"),
    Code("1230", Permanent, "the recipient's network refused the message"),
    Code("1240", Permanent, "the recipient's number takes no messages"),
    Code("1250", Permanent, "the recipient's network cannot be reached"),
    Code("1260", Permanent, "the recipient's network cannot be reached"),
    Code("1280", Permanent, "the recipient's network blocks this sender or number"),
    Code("1290", Permanent, "the recipient's plan does not allow messages"),
]);

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
