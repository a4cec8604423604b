//! Secrets that nobody else knows, looked for in whatever a plugin says.
//!
//! A plugin is never given a secret, but some reach it: a carrier that repeats its password when it reports, an answer
//! that quotes a key in a form which the door does not know, a signature that whoever sees it can use.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use dripline_plugin_host::egress::{Redactor, Secrets};
use dripline_plugin_host::{Manifest, Token};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::cases::{CarrierFile, Cases, Map};

/// A case's own secret that is shorter may be part of an ordinary word.
const TELLING: usize = 8;

/// What each secret is in this run, and the eye for it.
pub(crate) struct Canaries {
    named: Map,
    token: String,
    redactor: Redactor,
}

impl Canaries {
    /// One for each secret that the manifest declares. The cases' own are looked for as well.
    pub(crate) fn new(manifest: &Manifest, files: &[Cases<CarrierFile>]) -> Self {
        let named: Map = manifest.secret_names().map(|name| (name.to_owned(), canary())).collect();
        let token = canary();
        let given = files.iter().flat_map(|file| {
            let cases = file.content.cases.iter().filter_map(|case| case.secrets.as_ref());
            cases.chain([&file.content.secrets]).flatten()
        });
        let mut looked_for = Secrets::default();
        let given = given.filter(|(_, value)| value.len() >= TELLING);
        for (number, (name, value)) in given.enumerate() {
            // One that cannot be a secret fails its own case.
            let _ = looked_for.insert(format!("{name}, the cases' {number}"), value);
        }
        let ours =
            named.iter().map(|(name, value)| (&**name, value)).chain([("of the token", &token)]);
        for (name, value) in ours {
            looked_for.insert(name, value).expect("a canary is text");
        }
        Self { redactor: Redactor::new(&looked_for), named, token }
    }

    /// What every secret is in a case: what the case says, or else a canary.
    pub(crate) fn values(&self, given: &Map) -> Map {
        let mut values = self.named.clone();
        for (name, value) in &mut values {
            if let Some(given) = given.get(name) {
                value.clone_from(given);
            }
        }
        values
    }

    pub(crate) fn token(&self) -> Token {
        Token::new(&self.token, None).expect("a canary fits in a header")
    }

    /// Every canary, as a carrier might quote them.
    pub(crate) fn sentence(&self) -> String {
        let all: Vec<_> = self.named.values().chain([&self.token]).map(String::as_str).collect();
        format!("nobody knows {} here", all.join(" "))
    }

    /// Which secret shows in a text, if one does.
    pub(crate) fn find(&self, text: &[u8]) -> Option<&str> {
        self.redactor.find(text)
    }
}

/// What `sign` gives for messages that everybody knows, under each of the secrets, as it would be written down. It
/// belongs into a request, and nowhere else: who reads the one that was expected can forge the next.
pub(crate) fn signatures(secrets: &Map, messages: &[&[u8]]) -> Vec<String> {
    let mut written = Vec::new();
    for algorithm in [hmac::HMAC_SHA256, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY] {
        for secret in secrets.values() {
            let key = hmac::Key::new(algorithm, secret.as_bytes());
            for message in messages {
                let tag = hmac::sign(&key, message);
                let digits = tag.as_ref().iter().map(|octet| format!("{octet:02x}"));
                let hex = digits.fold(String::new(), |hex, digits| hex + &digits);
                written.extend([hex.to_uppercase(), hex]);
                written.extend([STANDARD_NO_PAD.encode(tag), URL_SAFE_NO_PAD.encode(tag)]);
            }
        }
    }
    written
}

/// Letters that no innocent text has, in an order that no other run has. Their hex has no long number in it, which
/// would be masked in a log line; the two signs in their midst are escaped wherever anything is.
fn canary() -> String {
    const LETTERS: &[u8; 14] = b"jklmnozJKLMNOZ";
    let mut drawn = [0; 24];
    SystemRandom::new().fill(&mut drawn).expect("the system has random numbers");
    let letter = |octet: &u8| char::from(LETTERS[usize::from(*octet) % LETTERS.len()]);
    let (first, second) = drawn.split_at(12);
    first.iter().map(letter).chain(['/', '+']).chain(second.iter().map(letter)).collect()
}
