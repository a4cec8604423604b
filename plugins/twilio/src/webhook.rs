//! What Twilio tells: [status callbacks] and [incoming messages], signed as its [security] page says: HMAC-SHA1
//! under the account's auth token of the URL and of all parameters, sorted by name, one behind the other.
//!
//! [status callbacks]: https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
//! [incoming messages]: https://www.twilio.com/docs/messaging/guides/webhook-request
//! [security]: https://www.twilio.com/docs/usage/security

use dripline_plugin_sdk::{
    Hash, Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook, encoding, log,
    verify,
};

use crate::{Twilio, errors};

impl Webhook for Twilio {
    fn parse(settings: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        let mut parameters = if hook.method == "POST" { hook.form() } else { Vec::new() };
        let given = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let (sid, status, code) = (given("MessageSid"), given("MessageStatus"), given("ErrorCode"));
        let (from, to, body) = (given("From"), given("To"), given("Body"));

        let signature = encoding::from_base64(hook.require("x-twilio-signature")?)
            .ok_or_else(Rejection::forged)?;
        parameters.sort();
        let mut signed = hook.url.clone();
        for (name, value) in &parameters {
            signed.push_str(name);
            signed.push_str(value);
        }
        // An API key signs nothing.
        let secret =
            if settings.get("api_key_sid").is_some() { "account_token" } else { "auth_token" };
        verify::hmac(Hash::Sha1, secret, signed.as_bytes(), &signature)?;

        if sid.is_empty() {
            return Err(Rejection::not_understood());
        }
        let progress = match status.as_str() {
            "" => return Ok(Heard::inbound(Inbound::new(sid, &from, to, body))),
            "accepted" | "scheduled" | "queued" | "sending" => Progress::Queued,
            "sent" => Progress::Sent,
            "delivered" | "read" => Progress::Delivered,
            "undelivered" | "failed" | "canceled" => Progress::Undelivered,
            _ => {
                log::write(log::Level::Info, "a message has a status that is not known");
                return Ok(Heard::nothing());
            }
        };
        let receipt = Receipt::new(sid, progress);
        if progress != Progress::Undelivered {
            return Ok(Heard::receipt(receipt));
        }
        let text = errors::CODES.text(&code).unwrap_or("the message did not arrive");
        Ok(Heard::receipt(receipt.because(code, text)))
    }
}
