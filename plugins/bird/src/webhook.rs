//! What Bird tells: the [lifecycle events] `sms.outbound` and `sms.inbound` of a channel, signed as [verifying] says.
//! A message that failed has a code of the [failure codes].
//!
//! [lifecycle events]: https://docs.bird.com/api/channels-api/message-status-and-interactions
//! [verifying]: https://docs.bird.com/api/notifications-api/api-reference/webhooks/verifying-a-webhook
//! [failure codes]: https://docs.bird.com/api/channels-api/message-status-and-interactions/message-failure-codes

use dripline_plugin_sdk::{
    Hash, Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook, clock, encoding,
    log, verify,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::Bird;

/// Seconds for which a signature is good.
const TOLERANCE: u64 = 300;

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    event: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    id: String,
    #[serde(default)]
    channel_id: String,
    #[serde(default)]
    status: String,
    reference: Option<String>,
    #[serde(default)]
    sender: Sender,
    #[serde(default)]
    receiver: Receiver,
    body: Option<Body>,
    failure: Option<Cause>,
}

#[derive(Default, Deserialize)]
struct Sender {
    contact: Option<Party>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receiver {
    connector: Option<Party>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Party {
    #[serde(default)]
    identifier_value: String,
}

#[derive(Deserialize)]
struct Body {
    text: Option<Text>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Cause {
    code: Option<u32>,
}

impl Webhook for Bird {
    fn parse(_: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        prove(hook)?;
        let Event { event, payload } = hook.json()?;
        if payload.id.is_empty() {
            return Err(Rejection::not_understood());
        }
        if event == "sms.inbound" {
            let value =
                |party: Option<Party>| party.map(|p| p.identifier_value).unwrap_or_default();
            let text = payload.body.and_then(|body| body.text).map(|text| text.text);
            let (from, number) = (value(payload.sender.contact), value(payload.receiver.connector));
            // The documented event names our number by its channel alone.
            let to = if number.is_empty() { payload.channel_id } else { number };
            let inbound = Inbound::new(payload.id, &from, to, text.unwrap_or_default());
            return Ok(Heard::inbound(inbound));
        }
        let progress = match payload.status.as_str() {
            "accepted" | "processing" => Progress::Queued,
            "sent" => Progress::Sent,
            "delivered" => Progress::Delivered,
            "delivery_failed" | "sending_failed" | "rejected" | "skipped" => Progress::Undelivered,
            _ => {
                log::write(log::Level::Info, "a message has a status that is not known");
                return Ok(Heard::nothing());
            }
        };
        let receipt = Receipt::new(payload.id, progress).reference(payload.reference);
        let code = payload.failure.and_then(|failure| failure.code);
        Ok(Heard::receipt(match (progress, code) {
            (Progress::Undelivered, Some(code)) => receipt.because(code.to_string(), reason(code)),
            _ => receipt,
        }))
    }
}

/// What a failure code says, as far as it is documented: a few have a page's words, the rest their group's.
fn reason(code: u32) -> &'static str {
    match code {
        11_001 => "the channel does not support the request",
        12_003 => "the sender may not reach this destination",
        15_005 => "the recipient's number is not in service",
        11_000..12_000 => "Bird found the message not valid",
        12_000..13_000 => "Bird could not process the message",
        14_000..15_000 => "the account or its settings stood in the way",
        15_000..16_000 => "the recipient's network or phone did not take the message",
        _ => "the message did not arrive",
    }
}

fn prove(hook: &Hook) -> Result<(), Rejection> {
    let signature = encoding::from_base64(hook.require("messagebird-signature")?)
        .ok_or_else(Rejection::forged)?;
    let timestamp = hook.require("messagebird-request-timestamp")?;
    let mut signed = format!("{timestamp}\n{}\n", hook.url).into_bytes();
    signed.extend_from_slice(&Sha256::digest(&hook.body));
    verify::hmac(Hash::Sha256, "signing_key", &signed, &signature)?;
    let at: u64 = timestamp.parse().map_err(|_| Rejection::forged())?;
    if at.abs_diff(clock::now_seconds()) > TOLERANCE {
        return Err(Rejection::stale());
    }
    Ok(())
}
