//! The carrier `telnyx`: Telnyx' Messaging API, version 2.
//!
//! One message is one `POST {api_base}/v2/messages` with JSON, as [Send a message] documents it; the answer is
//! 200 with the message's id, or a list of errors with codes from the [error reference]. Checked in November 2026
//! against these pages and Telnyx' own client, which is generated from its specification ([telnyx-python] 4.189).
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `api_key` | a secret: an API key, `KEY…` |
//! | `messaging_profile_id` | optional: the profile; needed where the sender is a name |
//! | `webhook_public_key` | optional: the account's public key, base64, which webhooks are signed with |
//! | `api_base` | optional: another origin, such as a simulator's |
//!
//! # Facts that shape it
//! * The request takes an `Idempotency-Key` of letters, digits and `_:-`. The same request under it is answered as
//!   before, for up to 24 hours when it succeeded ([idempotency]): the class is *key*, with half of that promised. While
//!   the first one is at work the answer is 409, and 422 when the key stands for another request.
//! * At most 10 segments, in GSM-7 or UTF-16 ([encoding]), after a messaging profile has replaced look-alikes where it is set
//!   up so ([smart encoding]). Telnyx' own alphabet is smaller than GSM-7: a text with `€`, `§` or a Greek letter is
//!   sent in UTF-16, and has more segments than it was priced for.
//! * An account sends 50 messages a second, and a number as its kind may ([rates]): a long code outside the United States one
//!   in ten seconds, one inside as its campaign says, a toll-free number 20 a second, a short code 1,000. No whole number of
//!   segments a second is right for a long code, so that there is no hint. What is more waits at Telnyx.
//! * Codes of 40xxx are refusals of one message; those of 1xxxx concern the request or the account.
//! * Webhooks are signed by Ed25519 over `{timestamp}|{body}`, good for five minutes ([webhooks]).
//!
//! [Send a message]: https://developers.telnyx.com/api-reference/messages/send-a-message
//! [error reference]: https://developers.telnyx.com/docs/messaging/messages/error-codes/index
//! [telnyx-python]: https://github.com/team-telnyx/telnyx-python
//! [idempotency]: https://developers.telnyx.com/docs/development/api-fundamentals/idempotency
//! [webhooks]: https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks
//! [rates]: https://developers.telnyx.com/docs/messaging/messages/rate-limiting
//! [encoding]: https://developers.telnyx.com/docs/messaging/messages/message-encoding
//! [smart encoding]: https://developers.telnyx.com/docs/messaging/messages/smart-encoding

mod errors;
mod webhook;

use dripline_plugin_sdk::{
    Accepted, Carrier, Failure, Manifest, Outgoing, Request, Response, SegmentRules, Setting,
    Settings, TextEncoding, export_carrier, export_webhook,
};
use serde::{Deserialize, Serialize};

const API_BASE: &str = "https://api.telnyx.com";

/// Seconds for which a key is surely kept: half of the 24 hours that the documentation gives as the most.
const KEY_LIFETIME: u32 = 43_200;

/// The carrier.
pub struct Telnyx;

#[derive(Serialize)]
struct Send<'a> {
    from: &'a str,
    to: &'a str,
    text: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    messaging_profile_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    data: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: String,
    parts: Option<u32>,
}

impl Carrier for Telnyx {
    fn describe() -> Manifest {
        Manifest::new("telnyx", env!("CARGO_PKG_VERSION"))
            .setting(Setting::secret("api_key", "An API key, KEY and more."))
            .setting(Setting::optional(
                "messaging_profile_id",
                "The messaging profile; needed where the sender is a name.",
            ))
            .setting(Setting::optional(
                "webhook_public_key",
                "The account's public key in base64, which webhooks are signed with.",
            ))
            .setting(
                Setting::optional("api_base", "The origin of Telnyx' API.")
                    .default(API_BASE)
                    .origin(),
            )
            .origin("{api_base}")
            .key_lifetime(KEY_LIFETIME)
            .encodings(&[TextEncoding::Gsm7, TextEncoding::Ucs2, TextEncoding::Smart])
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let profile = settings.get("messaging_profile_id");
        let is_name = message.sender.bytes().any(|octet| octet.is_ascii_alphabetic());
        if is_name && profile.is_none() {
            let text = "a sender that is a name needs `messaging_profile_id`";
            return Err(Failure::retryable("40305", text).about_route());
        }
        let base = settings.get_or("api_base", API_BASE).trim_end_matches('/');
        let send = Send {
            from: &message.sender,
            to: message.recipient.expose(),
            text: message.text.expose(),
            kind: "SMS",
            messaging_profile_id: profile,
            webhook_url: message.callback_url.as_deref(),
        };
        Ok(Request::post(format!("{base}/v2/messages"))
            .json(&send)
            .header("idempotency-key", &message.reference)
            .header("x-dripline-reference", &message.reference)
            .bearer("api_key"))
    }

    fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
        if !response.is_success() {
            return Err(errors::refused(response));
        }
        let Message { id, parts } = response.json::<Answer>()?.data;
        if id.is_empty() {
            return Err(Failure::uncertain("no-id", "Telnyx took the message and gave it no id"));
        }
        let accepted = Accepted::new(id);
        Ok(match parts {
            Some(parts) => accepted.attribute("segments", parts.to_string()),
            None => accepted,
        })
    }
}

export_carrier!(Telnyx);
export_webhook!(Telnyx);
