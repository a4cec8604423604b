//! What AWS tells: [events] on messages and [messages] from contacts, unsigned as far as a plugin can see.
//!
//! Both come through a topic of SNS, in its [envelope], or bare where the subscription asks for raw delivery. An
//! event's `context` is what the message was sent with, our reference; its types are [documented] with what they mean.
//! SNS signs the envelope with an X.509 certificate that a receiver has to fetch. A plugin fetches nothing and the
//! contract knows no such signature, so that the secret part of the callback's address is what protects it.
//!
//! Before its first notification SNS sends a [confirmation] with an address that somebody has to open. A plugin opens
//! none, and rejects it as `subscription-confirmation`.
//!
//! [events]: https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html
//! [documented]: https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-types.html
//! [messages]: https://docs.aws.amazon.com/sms-voice/latest/userguide/two-way-sms-payload.html
//! [envelope]: https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html
//! [confirmation]: https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html

use dripline_plugin_sdk::{
    Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook, log,
};
use serde::Deserialize;

use crate::AwsSms;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    message_id: String,
    context: Option<Context>,
    #[serde(default)]
    inbound_message_id: String,
    #[serde(default)]
    origination_number: String,
    #[serde(default)]
    destination_number: String,
    #[serde(default)]
    message_body: String,
}

#[derive(Deserialize)]
struct Context {
    reference: Option<String>,
}

impl Webhook for AwsSms {
    fn parse(_: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        let envelope: Envelope = hook.json()?;
        let told = match envelope.kind.as_str() {
            "" => hook.json()?,
            "Notification" => {
                let inside = Hook { body: envelope.message.into_bytes(), ..hook.clone() };
                inside.json()?
            }
            "SubscriptionConfirmation" => {
                let text = "SNS waits until somebody opens the address in its confirmation";
                return Err(Rejection::new("subscription-confirmation", text));
            }
            _ => {
                log::write(log::Level::Info, "SNS sent something else than a notification");
                return Ok(Heard::nothing());
            }
        };
        read(told)
    }
}

fn read(told: Told) -> Result<Heard, Rejection> {
    if !told.inbound_message_id.is_empty() {
        let Told { inbound_message_id: id, origination_number: from, .. } = told;
        if from.is_empty() {
            return Err(Rejection::not_understood());
        }
        let inbound = Inbound::new(id, &from, told.destination_number, told.message_body);
        return Ok(Heard::inbound(inbound));
    }
    if told.event_type.is_empty() || told.message_id.is_empty() {
        return Err(Rejection::not_understood());
    }
    let (progress, text) = match told.event_type.as_str() {
        "TEXT_QUEUED" | "TEXT_PENDING" => (Progress::Queued, ""),
        // The recipient's carrier has it; in some countries nobody says more. Unknown is both what failed for a
        // reason without a name and what AWS has heard nothing of for 72 hours, so that it says no more than this.
        "TEXT_SENT" | "TEXT_SUCCESSFUL" | "TEXT_UNKNOWN" => (Progress::Sent, ""),
        "TEXT_DELIVERED" => (Progress::Delivered, ""),
        "TEXT_BLOCKED" => (Progress::Undelivered, "the recipient's device or network blocks it"),
        "TEXT_CARRIER_BLOCKED" => (Progress::Undelivered, "the recipient's network blocked it"),
        "TEXT_CARRIER_UNREACHABLE" => {
            (Progress::Undelivered, "the recipient's network had an error")
        }
        "TEXT_INVALID" => (Progress::Undelivered, "the recipient's number is not valid"),
        "TEXT_INVALID_MESSAGE" => (Progress::Undelivered, "the text is not valid"),
        "TEXT_PROTECT_BLOCKED" => {
            (Progress::Undelivered, "the account's protect configuration blocked it")
        }
        "TEXT_SPAM" => (Progress::Undelivered, "the recipient's network took it for spam"),
        "TEXT_TTL_EXPIRED" => (Progress::Undelivered, "it was not delivered in time"),
        "TEXT_UNREACHABLE" => (Progress::Undelivered, "the recipient's device is not available"),
        _ => {
            log::write(log::Level::Info, "an event has a type that is not known");
            return Ok(Heard::nothing());
        }
    };
    let reference = told.context.and_then(|context| context.reference);
    let receipt = Receipt::new(told.message_id, progress).reference(reference);
    Ok(Heard::receipt(match progress {
        Progress::Undelivered => receipt.because(told.event_type, text),
        _ => receipt,
    }))
}
