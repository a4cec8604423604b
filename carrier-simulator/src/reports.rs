//! What the carrier tells afterwards: reports on messages, and messages from people, signed as each carrier's
//! documentation says, read in November 2026.
//!
//! * Twilio: a form, and HMAC-SHA1 of the address and the sorted parameters ([security]).
//! * Telnyx: JSON, and Ed25519 of the time and the body ([webhooks]). The key pair follows from the account's token.
//! * Vonage: JSON, and a JSON web token with the body's hash ([signed webhooks]).
//!
//! [security]: https://www.twilio.com/docs/usage/security
//! [webhooks]: https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks
//! [signed webhooks]: https://developer.vonage.com/en/getting-started/concepts/webhooks

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{digest, hmac};
use serde::Deserialize;
use serde_json::json;

use crate::messages::Account;

/// Whether and how the carrier reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Teller {
    Telnyx,
    Twilio,
    Vonage,
}

/// How the carrier reports, as a fault plan says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportRules {
    /// Who is called, whatever host a message's callback names: what a name server would say.
    pub deliver_to: SocketAddr,
    /// Numbers that end so are reported as not delivered, all others as delivered.
    pub undelivered: Option<String>,
    /// How often each report is made.
    #[serde(default = "once")]
    pub times: u32,
    /// How often one is tried until it is answered with 2xx.
    #[serde(default = "once")]
    pub tries: u32,
    /// Between a message and its report, and between two tries.
    #[serde(default)]
    pub after_ms: u64,
    /// Signs with another key, as somebody does who is not the carrier.
    #[serde(default)]
    pub forged: bool,
}

fn once() -> u32 {
    1
}

impl ReportRules {
    /// [`ReportRules::after_ms`] as a duration.
    pub fn after(&self) -> Duration {
        Duration::from_millis(self.after_ms)
    }

    /// Whether a message to this number is reported as delivered.
    pub(crate) fn delivers(&self, number: &str) -> bool {
        !self.undelivered.as_ref().is_some_and(|end| number.ends_with(end.as_str()))
    }
}

/// What is told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// How a message ended.
    Report { delivered: bool },
    /// What somebody writes.
    Inbound { text: String },
}

/// One call of the carrier.
#[derive(Clone, Debug)]
pub(crate) struct Telling {
    pub(crate) teller: Teller,
    /// The address that was given with the message, or in the carrier's console.
    pub(crate) callback: String,
    /// The carrier's id of the message.
    pub(crate) sid: String,
    pub(crate) from: String,
    pub(crate) to: String,
    /// Ours, where the carrier gives it back.
    pub(crate) reference: Option<String>,
    pub(crate) told: Told,
}

/// A call, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Teller {
    /// By the name in a request of a test.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "telnyx" => Some(Self::Telnyx),
            "twilio" => Some(Self::Twilio),
            "vonage" => Some(Self::Vonage),
            _ => None,
        }
    }
}

impl Telling {
    /// The call, signed with the account's key at this time, or with a stranger's.
    pub(crate) fn call(&self, account: &Account, at: DateTime<Utc>, forged: bool) -> Call {
        let key = if forged { "the key of somebody else" } else { account.token() };
        match self.teller {
            Teller::Telnyx => self.telnyx(key, at),
            Teller::Twilio => self.twilio(account.sid(), key),
            Teller::Vonage => self.vonage(key, at),
        }
    }

    fn twilio(&self, account: &str, key: &str) -> Call {
        let mut parameters = vec![
            ("AccountSid", account),
            ("ApiVersion", "2010-04-01"),
            ("From", &*self.from),
            ("MessageSid", &*self.sid),
            ("SmsSid", &*self.sid),
            ("To", &*self.to),
        ];
        match &self.told {
            Told::Report { delivered: true } => {
                parameters.extend([("MessageStatus", "delivered"), ("SmsStatus", "delivered")]);
            }
            Told::Report { delivered: false } => parameters.extend([
                ("MessageStatus", "undelivered"),
                ("SmsStatus", "undelivered"),
                ("ErrorCode", "30003"),
            ]),
            Told::Inbound { text } => {
                parameters.extend([("Body", text.as_str()), ("NumMedia", "0")]);
            }
        }
        parameters.sort_unstable();
        let signed = parameters
            .iter()
            .fold(self.callback.clone(), |text, (name, value)| text + name + value);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        let body =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        Call {
            headers: vec![
                ("content-type", "application/x-www-form-urlencoded; charset=UTF-8".to_owned()),
                ("x-twilio-signature", signature),
            ],
            body: body.into_bytes(),
        }
    }

    fn telnyx(&self, key: &str, at: DateTime<Utc>) -> Call {
        let (kind, status) = match &self.told {
            Told::Report { delivered: true } => ("message.finalized", "delivered"),
            Told::Report { delivered: false } => ("message.finalized", "delivery_failed"),
            Told::Inbound { .. } => ("message.received", "webhook_delivered"),
        };
        let (text, errors) = match &self.told {
            Told::Report { delivered: false } => ("", json!([{"code": "40008"}])),
            Told::Report { delivered: true } => ("", json!([])),
            Told::Inbound { text } => (text.as_str(), json!([])),
        };
        let body = json!({"data": {
            "event_type": kind, "id": self.sid, "record_type": "event",
            "occurred_at": at.to_rfc3339(),
            "payload": {
                "id": self.sid, "record_type": "message", "type": "SMS", "text": text,
                "from": {"phone_number": self.from},
                "to": [{"phone_number": self.to, "status": status}],
                "errors": errors,
            },
        }});
        let body = body.to_string().into_bytes();
        let timestamp = at.timestamp().to_string();
        let mut signed = format!("{timestamp}|").into_bytes();
        signed.extend_from_slice(&body);
        let signature = STANDARD.encode(telnyx_keys(key).sign(&signed));
        Call {
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("telnyx-signature-ed25519", signature),
                ("telnyx-timestamp", timestamp),
            ],
            body,
        }
    }

    fn vonage(&self, key: &str, at: DateTime<Utc>) -> Call {
        let digits = |number: &str| number.trim_start_matches('+').to_owned();
        let mut told = json!({
            "message_uuid": self.sid, "channel": "sms", "timestamp": at.to_rfc3339(),
            "from": digits(&self.from), "to": digits(&self.to),
        });
        match &self.told {
            Told::Report { delivered } => {
                told["status"] = if *delivered { "delivered" } else { "undeliverable" }.into();
                told["client_ref"] = self.reference.clone().into();
                if !delivered {
                    told["error"] = json!({
                        "type": "https://developer.vonage.com/api-errors/messages#1260",
                        "title": "1260",
                    });
                }
            }
            Told::Inbound { text } => {
                told["message_type"] = "text".into();
                told["text"] = text.as_str().into();
            }
        }
        let body = told.to_string().into_bytes();
        let claims = json!({
            "iss": "Vonage", "iat": at.timestamp(), "exp": at.timestamp() + 300, "jti": self.sid,
            "payload_hash": hex(digest::digest(&digest::SHA256, &body).as_ref()),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
        Call {
            headers: vec![
                ("authorization", format!("Bearer {signed}.{signature}")),
                ("content-type", "application/json".to_owned()),
            ],
            body,
        }
    }
}

/// The key by which clients of Telnyx check what it tells, in base64.
pub fn telnyx_public_key(account: &Account) -> String {
    STANDARD.encode(telnyx_keys(account.token()).public_key())
}

fn telnyx_keys(token: &str) -> Ed25519KeyPair {
    let seed = digest::digest(&digest::SHA256, token.as_bytes());
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).expect("a digest is as long as a seed")
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Twilio's page on security, with its key.
    #[test]
    fn twilios_signature_is_that_of_its_documentation() {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345");
        let signed = "https://example.com/myapp.php?foo=1&bar=2CallSidCA1234567890ABCDECaller+14158675310Digits1234\
                      From+14158675310To+18005551212";
        let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        assert_eq!(signature, "L/OH5YylLD5NRKLltdqwSvS0BnU=");
    }

    #[test]
    fn each_carrier_signs_what_it_tells() {
        let account =
            Account::new("AC00000000000000000000000000000001", None, "k").expect("an account");
        for teller in [Teller::Telnyx, Teller::Twilio, Teller::Vonage] {
            let telling = Telling {
                teller,
                callback: "https://sms.example.com/hooks/1".to_owned(),
                sid: "SM1".to_owned(),
                from: "+12025550100".to_owned(),
                to: "+12025550123".to_owned(),
                reference: None,
                told: Told::Report { delivered: true },
            };
            let at = DateTime::UNIX_EPOCH;
            let (ours, forged) =
                (telling.call(&account, at, false), telling.call(&account, at, true));
            assert_eq!(ours.body, forged.body, "{teller:?}");
            assert_ne!(ours.headers, forged.headers, "{teller:?}");
        }
    }
}
