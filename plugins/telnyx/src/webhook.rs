//! What Telnyx tells: `message.sent` and `message.finalized` on messages, `message.received` from contacts ([webhooks]).
//!
//! [webhooks]: https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks

use dripline_plugin_sdk::{
    Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook, clock, encoding, log,
    verify,
};
use serde::Deserialize;

use crate::{Telnyx, errors};

/// Seconds for which a signature is good, by the documentation's advice.
const TOLERANCE: u64 = 300;

#[derive(Deserialize)]
struct Event {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    event_type: String,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    id: String,
    #[serde(default)]
    from: Party,
    #[serde(default)]
    to: Vec<Party>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    errors: Vec<Problem>,
}

#[derive(Default, Deserialize)]
struct Party {
    #[serde(default)]
    phone_number: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
}

impl Webhook for Telnyx {
    fn parse(settings: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        prove(settings, hook)?;
        let Data { event_type, payload } = hook.json::<Event>()?.data;
        if payload.id.is_empty() {
            return Err(Rejection::not_understood());
        }
        let to = payload.to.first();
        if event_type == "message.received" {
            let recipient = to.map(|to| to.phone_number.clone()).unwrap_or_default();
            let inbound =
                Inbound::new(payload.id, &payload.from.phone_number, recipient, payload.text);
            return Ok(Heard::inbound(inbound));
        }
        let progress = match to.map(|to| to.status.as_str()).unwrap_or_default() {
            "queued" | "sending" => Progress::Queued,
            // The network gave no report: it left, and that is all that is known.
            "sent" | "delivery_unconfirmed" => Progress::Sent,
            "delivered" | "read" => Progress::Delivered,
            "sending_failed" | "delivery_failed" | "expired" => Progress::Undelivered,
            _ => {
                log::write(log::Level::Info, "a message has a status that is not known");
                return Ok(Heard::nothing());
            }
        };
        let receipt = Receipt::new(payload.id, progress);
        if progress != Progress::Undelivered {
            return Ok(Heard::receipt(receipt));
        }
        let code = payload.errors.into_iter().next().map(|first| first.code).unwrap_or_default();
        let text = errors::CODES.text(&code).unwrap_or("the message did not arrive");
        Ok(Heard::receipt(receipt.because(code, text)))
    }
}

fn prove(settings: &Settings, hook: &Hook) -> Result<(), Rejection> {
    let key = settings
        .get("webhook_public_key")
        .ok_or_else(|| Rejection::new("no-key", "the route does not set `webhook_public_key`"))?;
    let key = encoding::from_base64(key)
        .ok_or_else(|| Rejection::new("no-key", "`webhook_public_key` is not base64"))?;
    let signature = encoding::from_base64(hook.require("telnyx-signature-ed25519")?)
        .ok_or_else(Rejection::forged)?;
    let timestamp = hook.require("telnyx-timestamp")?;
    let mut signed = format!("{timestamp}|").into_bytes();
    signed.extend_from_slice(&hook.body);
    verify::ed25519(&key, &signed, &signature)?;
    let at: u64 = timestamp.parse().map_err(|_| Rejection::forged())?;
    if at.abs_diff(clock::now_seconds()) > TOLERANCE {
        return Err(Rejection::stale());
    }
    Ok(())
}
