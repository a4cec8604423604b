//! What Vonage tells: message statuses and inbound messages, with a signed token in `Authorization`.

use dripline_plugin_sdk::{
    Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook, encoding, log, verify,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{Vonage, errors};

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    payload_hash: String,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    message_uuid: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    status: Option<String>,
    #[serde(default)]
    client_ref: String,
    message_type: Option<String>,
    #[serde(default)]
    text: String,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    title: String,
}

impl Webhook for Vonage {
    fn parse(_: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        prove(hook)?;
        let told: Told = hook.json()?;
        if told.message_uuid.is_empty() {
            return Err(Rejection::not_understood());
        }
        let Some(status) = told.status.as_deref() else {
            if told.message_type.as_deref() != Some("text") {
                log::write(log::Level::Info, "a contact sent something that is no text");
                return Ok(Heard::nothing());
            }
            let inbound = Inbound::new(told.message_uuid, &told.from, told.to, told.text);
            return Ok(Heard::inbound(inbound));
        };
        let progress = match status {
            "submitted" => Progress::Sent,
            "delivered" | "read" => Progress::Delivered,
            "rejected" | "undeliverable" => Progress::Undelivered,
            _ => {
                log::write(log::Level::Info, "a message has a status that is not known");
                return Ok(Heard::nothing());
            }
        };
        let receipt =
            Receipt::new(told.message_uuid, progress).reference(Some(told.client_ref.as_str()));
        if progress != Progress::Undelivered {
            return Ok(Heard::receipt(receipt));
        }
        let code = told.error.map(|error| code_of(&error)).unwrap_or_default();
        let text = errors::CODES.text(&code).unwrap_or("the message did not arrive");
        Ok(Heard::receipt(receipt.because(code, text)))
    }
}

/// The code stands behind the type's `#`, in the title, or in both.
fn code_of(problem: &Problem) -> String {
    let code = problem.kind.rsplit_once('#').map_or(&*problem.title, |(_, code)| code);
    code.to_owned()
}

fn prove(hook: &Hook) -> Result<(), Rejection> {
    let token = hook.require("authorization")?;
    let token = token.strip_prefix("Bearer ").ok_or_else(Rejection::forged)?;
    let claims = verify::jwt_hs256("signature_secret", token)?;
    let claims: Claims = serde_json::from_str(&claims).map_err(|_| Rejection::forged())?;
    let hash = encoding::hex(&Sha256::digest(&hook.body));
    if claims.payload_hash.eq_ignore_ascii_case(&hash) { Ok(()) } else { Err(Rejection::forged()) }
}
