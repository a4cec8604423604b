//! What Bird tells: the [events] of a channel, signed as [verifying] says.
//!
//! [events]: https://docs.bird.com/api/notifications-api/supported-webhook-events
//! [verifying]: https://docs.bird.com/api/notifications-api/api-reference/webhook-subscriptions/verifying-a-webhook-subscription

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
struct Payload {
    #[serde(default)]
    id: String,
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
            let (from, to) = (value(payload.sender.contact), value(payload.receiver.connector));
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
            (Progress::Undelivered, Some(code)) => {
                receipt.because(code.to_string(), "the message did not arrive")
            }
            _ => receipt,
        }))
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
