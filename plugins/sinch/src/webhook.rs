//! What Sinch tells: reports on batches and recipients, and messages from contacts ([callbacks]), with codes of the
//! [delivery reports].
//!
//! [callbacks]: https://developers.sinch.com/docs/sms/api-reference/sms/tag/Webhooks/
//! [delivery reports]: https://developers.sinch.com/docs/sms/api-reference/sms/tag/Delivery-reports/

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
                    receipt.because(code.to_string(), reason(code))
                }
                _ => receipt,
            })
        });
        Ok(Heard { receipts: receipts.collect(), inbound: Vec::new() })
    }
}

/// Sinch's pages write statuses as `Delivered`, its clients as `DELIVERED`.
fn progress(status: &str) -> Option<Progress> {
    match status.to_ascii_lowercase().as_str() {
        "queued" | "scheduled" => Some(Progress::Queued),
        // The network gave no report: it left, and that is all that is known.
        "dispatched" | "unknown" => Some(Progress::Sent),
        "delivered" => Some(Progress::Delivered),
        "aborted" | "cancelled" | "deleted" | "expired" | "failed" | "rejected" => {
            Some(Progress::Undelivered)
        }
        _ => {
            log::write(log::Level::Info, "a message has a status that is not known");
            None
        }
    }
}

/// What a delivery report's code says. Those of pictures are left out.
fn reason(code: u32) -> &'static str {
    match code {
        402 => "the message could not be routed",
        403 => "Sinch had an error of its own",
        404 => "the message could not be delivered for the moment",
        406 => "the message expired on its way",
        407 => "the message was canceled",
        408 => "the message was refused",
        410 => "there is no sender for the recipient",
        411 => "the message has too many parts",
        412 => "the account may not send to this region",
        413 => "the account is blocked, or its credit is used up",
        _ => "the message did not arrive",
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
