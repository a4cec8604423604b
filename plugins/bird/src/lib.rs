//! The carrier `bird`: Bird's Channels API.
//!
//! One message is one `POST {api_base}/workspaces/{workspace_id}/channels/{channel_id}/messages` with JSON, as
//! [Sending SMS messages] documents it; the answer is 202 with the message's id, or a 4xx with JSON that says what
//! was wrong. Checked against the documentation in November 2026.
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
//! * [Common API usage] has no idempotency key, and no reference of ours can be asked for: the class is *lost*. The
//!   header `Idempotency-Key` that Bird keeps for about three hours is of [another API], at `platform.bird.com` and
//!   with other keys.
//! * It documents that a wrong key, an empty balance and a wrong parameter are 4xx, and no list of codes for them: the
//!   status decides. It calls a 5xx safe to repeat, and does not say that nothing was sent: that stays *uncertain*.
//! * A text is sent in GSM-7 or UCS-2 ([charsets]). Bird replaces look-alikes where a request asks for it ([smart encoding]),
//!   which none here does. How long a text may be is not documented; this carrier stops at 10 segments.
//! * A workspace may make 500 such requests a second ([rate limit]), and so send 500 segments at least. What a channel may
//!   send depends on its number; what is more waits at Bird.
//! * Webhooks are signed by HMAC-SHA256 over timestamp, URL and the body's SHA-256 ([verifying]).
//!
//! [Sending SMS messages]: https://docs.bird.com/api/channels-api/supported-channels/programmable-sms/sending-sms-messages
//! [Common API usage]: https://docs.bird.com/api/api-access/common-api-usage
//! [another API]: https://bird.com/fr-fr/documentation/guides/idempotency/
//! [charsets]: https://docs.bird.com/connectivity-platform/sending-sms/using-special-characters-unicode-and-gsm-t-charsets-for-sending-sms-in-different-languages
//! [smart encoding]: https://docs.bird.com/api/channels-api/supported-channels/programmable-sms/sending-sms-messages/smart-encoding
//! [rate limit]: https://docs.bird.com/api/channels-api/rate-limit
//! [verifying]: https://docs.bird.com/api/notifications-api/api-reference/webhooks/verifying-a-webhook

mod webhook;

use dripline_plugin_sdk::{
    Accepted, Carrier, DuplicateClass, Failure, Manifest, Outgoing, Request, Response,
    SegmentRules, Setting, Settings, TextEncoding, export_carrier, export_webhook, http,
};
use serde::{Deserialize, Serialize};

const API_BASE: &str = "https://api.bird.com";

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
            .duplicates(DuplicateClass::Lost)
            .encodings(&[TextEncoding::Gsm7, TextEncoding::Ucs2])
            .segments_per_second(500)
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let base = settings.get_or("api_base", API_BASE).trim_end_matches('/');
        let workspace = http::path_segment(settings.require("workspace_id")?)?;
        let channel = http::path_segment(settings.require("channel_id")?)?;
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
        let code = format!("http-{}", response.status);
        let of_route = |text: &str| Failure::retryable(&*code, text).about_route();
        Err(match response.status {
            401 => of_route("the access key is not valid"),
            402 => of_route("the account's credit is used up"),
            403 => of_route("the access key may not do this"),
            404 => of_route("the workspace or the channel does not exist"),
            _ => Failure::from_status(response),
        })
    }
}

export_carrier!(Bird);
export_webhook!(Bird);
