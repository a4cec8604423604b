//! The carrier `vonage`: Vonage's Messages API, version 1.
//!
//! One message is one `POST {api_base}/v1/messages` with JSON, as the [Messages API] documents it; the answer is
//! 202 with the message's UUID, or a problem (RFC 7807) whose type ends in a code of the [error list]. Checked in
//! November 2026 against these pages and Vonage's own client ([vonage-python-sdk]).
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `api_key` | the account's key |
//! | `api_secret` | a secret: the account's secret |
//! | `signature_secret` | optional, a secret: the account's signature secret, which webhooks are signed with |
//! | `api_base` | optional: another origin, such as a simulator's |
//!
//! # Facts that shape it
//! * There is no idempotency key and no search by our reference, which is given as `client_ref` and comes back
//!   with reports: the class is *lost*.
//! * Numbers are written without a plus, and the reference has at most 100 characters.
//! * A text is sent in GSM-7 or UCS-2, whichever it needs ([encoding]). How long one may be is not documented; this carrier
//!   stops at 10 segments.
//! * An API key may make 30 requests a second ([throughput]), and so send 30 segments at least. 10DLC numbers in the United
//!   States have limits of their own, by campaign.
//! * Webhooks carry a JSON web token, signed by HS256, whose claim `payload_hash` is the SHA-256 of the body
//!   ([signed webhooks]).
//!
//! [Messages API]: https://developer.vonage.com/en/api/messages
//! [error list]: https://developer.vonage.com/en/api-errors/messages
//! [vonage-python-sdk]: https://github.com/Vonage/vonage-python-sdk
//! [encoding]: https://developer.vonage.com/en/messages/guides/sms/concatenation-and-encoding
//! [throughput]: https://api.support.vonage.com/hc/en-us/articles/203993598-What-is-the-Throughput-Limit-for-Outbound-SMS
//! [signed webhooks]: https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks

mod errors;
mod webhook;

use dripline_plugin_sdk::{
    Accepted, Carrier, DuplicateClass, Failure, Manifest, Outgoing, Request, Response,
    SegmentRules, Setting, Settings, TextEncoding, export_carrier, export_webhook,
};
use serde::{Deserialize, Serialize};

const API_BASE: &str = "https://api.nexmo.com";

/// The carrier.
pub struct Vonage;

#[derive(Serialize)]
struct Send<'a> {
    message_type: &'a str,
    channel: &'a str,
    from: &'a str,
    to: &'a str,
    text: &'a str,
    client_ref: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_version: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    message_uuid: String,
}

impl Carrier for Vonage {
    fn describe() -> Manifest {
        Manifest::new("vonage", env!("CARGO_PKG_VERSION"))
            .setting(Setting::required("api_key", "The account's API key."))
            .setting(Setting::secret("api_secret", "The account's API secret."))
            .setting(Setting::optional_secret(
                "signature_secret",
                "The account's signature secret, which webhooks are signed with.",
            ))
            .setting(
                Setting::optional("api_base", "The origin of Vonage's API.")
                    .default(API_BASE)
                    .origin(),
            )
            .origin("{api_base}")
            .duplicates(DuplicateClass::Lost)
            .encodings(&[TextEncoding::Gsm7, TextEncoding::Ucs2])
            .segments_per_second(30)
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let base = settings.get_or("api_base", API_BASE).trim_end_matches('/');
        let callback = message.callback_url.as_deref();
        let send = Send {
            message_type: "text",
            channel: "sms",
            from: message.sender.trim_start_matches('+'),
            to: message.recipient.expose().trim_start_matches('+'),
            text: message.text.expose(),
            client_ref: &message.reference,
            webhook_url: callback,
            webhook_version: callback.map(|_| "v1"),
        };
        Ok(Request::post(format!("{base}/v1/messages"))
            .json(&send)
            .basic(settings.require("api_key")?, "api_secret"))
    }

    fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
        if !response.is_success() {
            return Err(errors::refused(response));
        }
        let Answer { message_uuid } = response.json()?;
        if message_uuid.is_empty() {
            return Err(Failure::uncertain("no-id", "Vonage took the message and gave it no id"));
        }
        Ok(Accepted::new(message_uuid))
    }
}

export_carrier!(Vonage);
export_webhook!(Vonage);
