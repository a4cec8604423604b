//! The carrier `bird`: Bird's Channels API.
//!
//! One message is one `POST {api_base}/workspaces/{workspace_id}/channels/{channel_id}/messages` with JSON, as
//! [Sending SMS messages] documents it; the answer is 202 with the message's id, or an error with a code that is
//! a word. Read in November 2026.
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `workspace_id` | the workspace |
//! | `channel_id` | the SMS channel, which has the sender; the route's own sender is not sent |
//! | `access_key` | a secret: an access key that may send |
//! | `signing_key` | optional, a secret: the webhook subscription's signing key |
//! | `api_base` | optional: another origin, such as a simulator's |
//!
//! # Facts that shape it
//! * Requests with the header `Idempotency-Key` are answered as before when they come again, for about three
//!   hours ([common usage]): the class is *key*, with two and a half hours promised.
//! * Webhooks are signed by HMAC-SHA256 over timestamp, URL and the body's SHA-256 ([verifying]).
//!
//! [Sending SMS messages]: https://docs.bird.com/api/channels-api/supported-channels/programmable-sms/sending-sms-messages
//! [common usage]: https://docs.bird.com/api/api-access/common-api-usage
//! [verifying]: https://docs.bird.com/api/notifications-api/api-reference/webhook-subscriptions/verifying-a-webhook-subscription

mod webhook;

use dripline_plugin_sdk::Meaning::{Permanent, Route, Stopped};
use dripline_plugin_sdk::{
    Accepted, Carrier, Code, Codes, Failure, Manifest, Outgoing, Request, Response, SegmentRules,
    Setting, Settings, export_carrier, export_webhook, http,
};
use serde::{Deserialize, Serialize};

const API_BASE: &str = "https://api.bird.com";

/// Seconds for which a key is surely kept: less than the about three hours of the documentation.
const KEY_LIFETIME: u32 = 9_000;

/// Sorted by their text. The texts are ours.
const CODES: Codes = Codes(&[
    Code("AccessDenied", Route, "the access key may not do this"),
    Code("ContactUnsubscribed", Stopped, "the recipient opted out"),
    Code("InsufficientBalance", Route, "the account's credit is used up"),
    Code("InvalidPayload", Permanent, "the recipient's number or the text is not valid"),
    Code("ResourceNotFound", Route, "the workspace or the channel does not exist"),
    Code("Unauthorized", Route, "the access key is not valid"),
]);

/// The carrier.
pub struct Bird;

#[derive(Serialize)]
struct Send<'a> {
    receiver: Receiver<'a>,
    body: Body<'a>,
    reference: &'a str,
}

#[derive(Serialize)]
struct Receiver<'a> {
    contacts: [Contact<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contact<'a> {
    identifier_key: &'a str,
    identifier_value: &'a str,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    text: Text<'a>,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
}

impl Carrier for Bird {
    fn describe() -> Manifest {
        Manifest::new("bird", env!("CARGO_PKG_VERSION"))
            .setting(Setting::required("workspace_id", "The workspace's id."))
            .setting(Setting::required("channel_id", "The id of the SMS channel."))
            .setting(Setting::secret("access_key", "An access key that may send."))
            .setting(Setting::optional_secret(
                "signing_key",
                "The signing key of the webhook subscription.",
            ))
            .setting(
                Setting::optional("api_base", "The origin of Bird's API.")
                    .default(API_BASE)
                    .origin(),
            )
            .origin("{api_base}")
            .key_lifetime(KEY_LIFETIME)
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let base = settings.get_or("api_base", API_BASE).trim_end_matches('/');
        let workspace = http::path_segment(settings.require("workspace_id")?);
        let channel = http::path_segment(settings.require("channel_id")?);
        let send = Send {
            receiver: Receiver {
                contacts: [Contact {
                    identifier_key: "phonenumber",
                    identifier_value: message.recipient.expose(),
                }],
            },
            body: Body { kind: "text", text: Text { text: message.text.expose() } },
            reference: &message.reference,
        };
        Ok(Request::post(format!("{base}/workspaces/{workspace}/channels/{channel}/messages"))
            .json(&send)
            .header("idempotency-key", &message.reference)
            .header("authorization", "AccessKey {{secret:access_key}}"))
    }

    fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
        if response.is_success() {
            let Answer { id } = response.json()?;
            return if id.is_empty() {
                Err(Failure::uncertain("no-id", "Bird took the message and gave it no id"))
            } else {
                Ok(Accepted::new(id))
            };
        }
        let by_status = Failure::from_status(response);
        // Whoever answers 5xx may have sent.
        if response.status >= 500 || response.status == 429 {
            return Err(by_status);
        }
        let code = response.json::<Problem>().map(|problem| problem.code).unwrap_or_default();
        Err(match (CODES.failure(&code), response.status) {
            (Some(failure), _) => failure,
            (None, 401 | 403) => {
                Failure::retryable("Unauthorized", "the access key is not valid").about_route()
            }
            (None, 402) => {
                Failure::retryable("InsufficientBalance", "the account's credit is used up")
                    .about_route()
            }
            (None, 404) => {
                let text = "the workspace or the channel does not exist";
                Failure::retryable("ResourceNotFound", text).about_route()
            }
            (None, _) => by_status,
        })
    }
}

export_carrier!(Bird);
export_webhook!(Bird);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_sorted() {
        assert!(CODES.is_sorted());
    }
}
