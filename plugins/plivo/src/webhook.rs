//! What Plivo tells: [message states] and [incoming messages], as forms, signed in version 3: HMAC-SHA256 under
//! the Auth Token of the URL, its query and the form, each sorted, and a nonce ([signatures]). Several
//! signatures may stand in the header, separated by commas.
//!
//! [message states]: https://www.plivo.com/docs/messaging/api/message#callbacks
//! [incoming messages]: https://www.plivo.com/docs/messaging/concepts/receive-messages
//! [signatures]: https://www.plivo.com/docs/messaging/concepts/signature-validation

use dripline_plugin_sdk::Meaning::{Permanent, Retryable, Route, Stopped};
use dripline_plugin_sdk::{
    Code, Codes, Hash, Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook,
    encoding, log, verify,
};

use crate::Plivo;

/// Sorted by their text. From [error codes](https://www.plivo.com/docs/messaging/troubleshooting/error-codes), as
/// of November 2026; the texts are ours.
const CODES: Codes = Codes(&[
    Code("10", Permanent, "the recipient's carrier found the message not valid"),
    Code("100", Permanent, "the recipient's network does not support the message"),
    Code("1000", Permanent, "the message failed for a reason that is not known"),
    Code("110", Permanent, "the text is too long"),
    Code("20", Retryable, "the recipient's network had an error"),
    Code("200", Stopped, "the recipient opted out of this sender"),
    Code("201", Permanent, "a toll-free sender of the United States cannot reach Canada"),
    Code("30", Permanent, "the message was filtered as unwanted"),
    Code("300", Retryable, "the message could not be handed on"),
    Code("40", Route, "the sender is not valid, or not the account's"),
    Code("420", Permanent, "the message waited too long"),
    Code("450", Permanent, "the account may not send to this country"),
    Code("50", Permanent, "the recipient's number is not valid or takes no messages"),
    Code("60", Permanent, "sender and recipient answer each other without an end"),
    Code("70", Permanent, "the recipient's number is not in service"),
    Code("80", Retryable, "the recipient's phone cannot be reached now"),
    Code("90", Permanent, "there is no route to the recipient"),
    Code("900", Route, "the account's credit is used up"),
    Code("910", Route, "the account is disabled"),
]);

impl Webhook for Plivo {
    fn parse(_: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        let form = if hook.method == "POST" { hook.form() } else { hook.query() };
        prove(hook, &form)?;
        let given = |name: &str| {
            let found = form.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let id = given("MessageUUID");
        if id.is_empty() {
            return Err(Rejection::not_understood());
        }
        let progress = match given("Status").as_str() {
            "" => {
                let inbound = Inbound::new(id, &given("From"), given("To"), given("Text"));
                return Ok(Heard::inbound(inbound));
            }
            "queued" => Progress::Queued,
            "sent" => Progress::Sent,
            "delivered" | "read" => Progress::Delivered,
            "undelivered" | "failed" | "rejected" => Progress::Undelivered,
            _ => {
                log::write(log::Level::Info, "a message has a status that is not known");
                return Ok(Heard::nothing());
            }
        };
        let receipt = Receipt::new(id, progress);
        if progress != Progress::Undelivered {
            return Ok(Heard::receipt(receipt));
        }
        let code = given("ErrorCode");
        let text = CODES.text(&code).unwrap_or("the message did not arrive");
        Ok(Heard::receipt(receipt.because(code, text)))
    }
}

fn prove(hook: &Hook, form: &[(String, String)]) -> Result<(), Rejection> {
    let signatures = hook.require("x-plivo-signature-v3")?;
    let nonce = hook.require("x-plivo-signature-v3-nonce")?;
    let mut query = hook.query();
    query.sort();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (query, posted) = (query.join("&"), hook.method == "POST" && !form.is_empty());
    let mut signed = hook.url_without_query().to_owned();
    if !query.is_empty() || posted {
        signed.push('?');
        signed.push_str(&query);
    }
    if posted {
        if !query.is_empty() {
            signed.push('.');
        }
        let mut form = form.to_vec();
        form.sort();
        signed.extend(form.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    }
    signed.push('.');
    signed.push_str(nonce);
    let proved = signatures
        .split(',')
        .filter_map(|signature| encoding::from_base64(signature.trim()))
        .any(|signature| {
            verify::hmac(Hash::Sha256, "auth_token", signed.as_bytes(), &signature).is_ok()
        });
    if proved { Ok(()) } else { Err(Rejection::forged()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_sorted() {
        assert!(CODES.is_sorted());
    }
}
