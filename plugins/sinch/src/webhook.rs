//! What Sinch tells: reports on batches and recipients, and messages from contacts ([callbacks]).
//!
//! [callbacks]: https://developers.sinch.com/docs/sms/api-reference/sms/tag/Webhooks/

use dripline_plugin_sdk::{
    Hash, Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook, clock, encoding,
    log, verify,
};
use serde::Deserialize;

use crate::Sinch;

/// Seconds for which a signature is good.
const TOLERANCE: u64 = 300;

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    batch_id: String,
    #[serde(default)]
    client_reference: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    body: String,
    status: Option<String>,
    code: Option<u32>,
    #[serde(default)]
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    status: String,
    code: Option<u32>,
}

impl Webhook for Sinch {
    fn parse(_: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        prove(hook)?;
        let told: Told = hook.json()?;
        let statuses = match told.kind.as_str() {
            "mo_text" if !told.id.is_empty() => {
                return Ok(Heard::inbound(Inbound::new(told.id, &told.from, told.to, told.body)));
            }
            "recipient_delivery_report_sms" => {
                vec![Status { status: told.status.unwrap_or_default(), code: told.code }]
            }
            // A batch has one recipient here.
            "delivery_report_sms" => told.statuses,
            _ => {
                log::write(log::Level::Info, "a callback has a type that is not known");
                return Ok(Heard::nothing());
            }
        };
        if told.batch_id.is_empty() {
            return Err(Rejection::not_understood());
        }
        let receipts = statuses.into_iter().filter_map(|status| {
            let progress = progress(&status.status)?;
            let receipt = Receipt::new(&*told.batch_id, progress)
                .reference(Some(told.client_reference.as_str()));
            Some(match (progress, status.code) {
                (Progress::Undelivered, Some(code)) => {
                    receipt.because(code.to_string(), "the message did not arrive")
                }
                _ => receipt,
            })
        });
        Ok(Heard { receipts: receipts.collect(), inbound: Vec::new() })
    }
}

fn progress(status: &str) -> Option<Progress> {
    match status {
        "Queued" | "Scheduled" => Some(Progress::Queued),
        // The network gave no report: it left, and that is all that is known.
        "Dispatched" | "Unknown" => Some(Progress::Sent),
        "Delivered" => Some(Progress::Delivered),
        "Aborted" | "Cancelled" | "Deleted" | "Expired" | "Failed" | "Rejected" => {
            Some(Progress::Undelivered)
        }
        _ => {
            log::write(log::Level::Info, "a message has a status that is not known");
            None
        }
    }
}

fn prove(hook: &Hook) -> Result<(), Rejection> {
    let signature = encoding::from_base64(hook.require("x-sinch-webhook-signature")?)
        .ok_or_else(Rejection::forged)?;
    let nonce = hook.require("x-sinch-webhook-signature-nonce")?;
    let timestamp = hook.require("x-sinch-webhook-signature-timestamp")?;
    let mut signed = hook.body.clone();
    signed.extend_from_slice(format!(".{nonce}.{timestamp}").as_bytes());
    verify::hmac(Hash::Sha256, "webhook_secret", &signed, &signature)?;
    let at: u64 = timestamp.parse().map_err(|_| Rejection::forged())?;
    if at.abs_diff(clock::now_seconds()) > TOLERANCE {
        return Err(Rejection::stale());
    }
    Ok(())
}
