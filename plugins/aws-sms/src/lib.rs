//! The carrier `aws-sms`: AWS End User Messaging SMS, version 2.
//!
//! One message is one call of [SendTextMessage] in JSON, signed in [version 4] with the host's keyed hashes; the
//! answer is 200 with the message's id, or an error with a type and often a reason. Checked in November 2026 against
//! the service's own model in [botocore].
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `region` | for example `eu-central-1` |
//! | `access_key_id` | of a user or role that may `sms-voice:SendTextMessage` |
//! | `secret_access_key` | a secret |
//! | `message_type` | `TRANSACTIONAL` (the default) or `PROMOTIONAL` |
//! | `configuration_set` | optional: where events go |
//! | `api_base` | optional: another origin, such as a simulator's |
//!
//! # Facts that shape it
//! * There is no idempotency key, and no search: the class is *lost*. `Context` comes back with events, and holds
//!   our reference.
//! * Events and contacts' messages leave through SNS, whose signatures a plugin cannot check: the secret part of the
//!   callback's address is what protects them (`webhook`).
//! * A text has at most 1,600 characters ([SendTextMessage]), and is sent in GSM-7 or UCS-2, whichever it needs
//!   ([characters]).
//! * How many parts a second a sender may send depends on country and kind: a 10DLC number in the United States and a long
//!   code in Canada 1, a toll-free number 3, a short code 100, a long code elsewhere 10 ([limits]). The hint is the least of
//!   these.
//! * Temporary credentials are not supported, since their session token changes by the hour.
//!
//! [SendTextMessage]: https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
//! [characters]: https://docs.aws.amazon.com/sms-voice/latest/userguide/sms-limitations-character.html
//! [limits]: https://docs.aws.amazon.com/sms-voice/latest/userguide/sms-limitations-mps.html
//! [botocore]: https://github.com/boto/botocore/tree/develop/botocore/data/pinpoint-sms-voice-v2
//! [version 4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

mod errors;
mod signature;
mod webhook;

use dripline_plugin_sdk::{
    Accepted, Carrier, DuplicateClass, Failure, Manifest, Outgoing, Request, Response,
    SegmentRules, Setting, Settings, TextEncoding, export_carrier, export_webhook,
};
use serde::{Deserialize, Serialize};

/// The carrier.
pub struct AwsSms;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Send<'a> {
    destination_phone_number: &'a str,
    origination_identity: &'a str,
    message_body: &'a str,
    message_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration_set_name: Option<&'a str>,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    reference: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    message_id: String,
}

impl Carrier for AwsSms {
    fn describe() -> Manifest {
        Manifest::new("aws-sms", env!("CARGO_PKG_VERSION"))
            .setting(Setting::required("region", "The region, for example eu-central-1."))
            .setting(Setting::required(
                "access_key_id",
                "The access key's id, AKIA and 16 characters, of a user that may send.",
            ))
            .setting(Setting::secret("secret_access_key", "The access key's secret."))
            .setting(
                Setting::optional("message_type", "What kind of messages the route sends.")
                    .default("TRANSACTIONAL")
                    .one_of(&["TRANSACTIONAL", "PROMOTIONAL"]),
            )
            .setting(Setting::optional("configuration_set", "The configuration set for events."))
            .setting(
                Setting::required(
                    "api_base",
                    "The region's origin, https://sms-voice.REGION.amazonaws.com.",
                )
                .origin(),
            )
            .origin("{api_base}")
            .duplicates(DuplicateClass::Lost)
            .unsigned_webhooks()
            .encodings(&[TextEncoding::Gsm7, TextEncoding::Ucs2])
            .max_characters(1_600)
            .segments_per_second(1)
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let send = Send {
            destination_phone_number: message.recipient.expose(),
            origination_identity: &message.sender,
            message_body: message.text.expose(),
            message_type: settings.get_or("message_type", "TRANSACTIONAL"),
            configuration_set_name: settings.get("configuration_set"),
            context: Context { reference: &message.reference },
        };
        let base = settings.require("api_base")?.trim_end_matches('/');
        let mut request = Request::post(format!("{base}/")).json(&send);
        request.headers.clear();
        signature::sign(
            settings,
            base,
            request
                .header("content-type", "application/x-amz-json-1.0")
                .header("x-amz-target", "PinpointSMSVoiceV2.SendTextMessage"),
        )
    }

    fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
        if !response.is_success() {
            return Err(errors::refused(response));
        }
        let Answer { message_id } = response.json()?;
        if message_id.is_empty() {
            return Err(Failure::uncertain("no-id", "AWS took the message and gave it no id"));
        }
        Ok(Accepted::new(message_id))
    }
}

export_carrier!(AwsSms);
export_webhook!(AwsSms);
