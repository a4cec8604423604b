//! The imports `sign` and `verify`: keyed hashes with secrets that a plugin only names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::{hmac, signature};
use serde_json::Value;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::imports::dripline::plugin::sign::{self, Hash};
use crate::bindings::imports::dripline::plugin::verify;
use crate::egress::Secrets;
use crate::inspect;
use crate::state::State;

/// Steps of one chain. AWS' signature has five.
const MOST_STEPS: usize = 8;

/// Seconds by which the clocks of a carrier and of this machine may differ.
const CLOCK_SKEW: i64 = 60;

/// What one batch may hash with, and whether a signature was found good.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    secrets: Secrets,
    /// Whether one of the functions of `verify` has said yes since the call began.
    pub(crate) proved: bool,
}

impl Keys {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, proved: false }
    }

    fn key(&self, hash: Hash, secret: &str) -> Option<hmac::Key> {
        Some(key(hash, self.secrets.get(secret)?.as_bytes()))
    }

    fn says(&mut self, yes: bool) -> bool {
        self.proved |= yes;
        yes
    }
}

fn key(hash: Hash, octets: &[u8]) -> hmac::Key {
    let algorithm = match hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => hmac::HMAC_SHA256,
    };
    hmac::Key::new(algorithm, octets)
}

impl sign::Host for State {
    fn hmac(&mut self, hash: Hash, secret: String, message: Vec<u8>) -> Option<Vec<u8>> {
        let key = self.keys.key(hash, &secret)?;
        Some(hmac::sign(&key, &message).as_ref().to_vec())
    }

    fn hmac_chain(
        &mut self,
        hash: Hash,
        prefix: String,
        secret: String,
        steps: Vec<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        // Without a step the secret itself would be the result.
        if steps.is_empty() || steps.len() > MOST_STEPS {
            return None;
        }
        let first = [prefix.as_bytes(), self.keys.secrets.get(&secret)?.as_bytes()].concat();
        let next =
            |under: Vec<u8>, step: &Vec<u8>| hmac::sign(&key(hash, &under), step).as_ref().to_vec();
        Some(steps.iter().fold(first, next))
    }
}

impl verify::Host for State {
    fn hmac(&mut self, hash: Hash, secret: String, message: Vec<u8>, signature: Vec<u8>) -> bool {
        let key = self.keys.key(hash, &secret);
        self.keys.says(key.is_some_and(|key| hmac::verify(&key, &message, &signature).is_ok()))
    }

    fn ed25519(&mut self, public_key: Vec<u8>, message: Vec<u8>, signature: Vec<u8>) -> bool {
        let key = signature::UnparsedPublicKey::new(&signature::ED25519, public_key);
        self.keys.says(key.verify(&message, &signature).is_ok())
    }

    fn jwt_hs256(&mut self, secret: String, token: String) -> Option<String> {
        let key = self.keys.key(Hash::Sha256, &secret)?;
        let claims = claims(&key, &token, self.wasi.now());
        self.keys.says(claims.is_some());
        claims
    }

    fn equal(&mut self, secret: String, value: String) -> bool {
        // Comparing hashes under a key takes the same time wherever two values differ.
        let Some(key) = self.keys.key(Hash::Sha256, &secret) else { return false };
        let known = self.keys.secrets.get(&secret).unwrap_or_default();
        let expected = hmac::sign(&key, known.as_bytes());
        self.keys.says(hmac::verify(&key, value.as_bytes(), expected.as_ref()).is_ok())
    }
}

/// The claims of a token (RFC 7519) that is signed by HS256 and neither expired nor too early.
fn claims(key: &hmac::Key, token: &str, now: DateTime<Utc>) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    hmac::verify(key, signed.as_bytes(), &decode(signature)?).ok()?;
    // A token under another algorithm, `none` above all, is not what was asked for.
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    if header["alg"] != "HS256" {
        return None;
    }
    let text = String::from_utf8(decode(claims)?).ok()?;
    let claims: Value = serde_json::from_str(&text).ok()?;
    let seconds = |name: &str| match &claims[name] {
        Value::Null => Some(None),
        // Seconds may have a fraction, which decides nothing here.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "out of range, it is far away all the same"
        )]
        value => value.as_f64().map(|seconds| Some(seconds as i64)),
    };
    let now = now.timestamp();
    let expired = seconds("exp")?.is_some_and(|at| at.saturating_add(CLOCK_SKEW) < now);
    let early = seconds("nbf")?.is_some_and(|at| at.saturating_sub(CLOCK_SKEW) > now);
    (!expired && !early).then_some(text)
}

/// Offers `sign` and `verify` to a plugin under the version that it asks for.
pub(crate) fn add_to_linker(
    linker: &mut Linker<State>,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, _) in component.component_type().imports(component.engine()) {
        match inspect::contract_interface(name) {
            Some(("sign", _)) => sign::add_to_linker_instance::<State, HasSelf<State>>(
                &mut linker.instance(name)?,
                |state| state,
            )?,
            Some(("verify", _)) => verify::add_to_linker_instance::<State, HasSelf<State>>(
                &mut linker.instance(name)?,
                |state| state,
            )?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The HMAC-SHA256 token of RFC 7515, appendix A.1, which expired in 2011.
    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const KEY: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

    #[test]
    fn tokens_are_believed_when_signed_and_in_time() {
        let key = key(Hash::Sha256, &URL_SAFE_NO_PAD.decode(KEY).expect("base64"));
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("in range");
        let read = claims(&key, TOKEN, at(1_300_819_380)).expect("in time");
        assert!(read.contains("is_root"), "{read}");
        assert_eq!(claims(&key, TOKEN, at(1_300_819_380 + 61)), None);
        assert_eq!(claims(&key, &TOKEN.replace("eyJpc3M", "eyJpc3N"), at(0)), None);
        assert_eq!(claims(&super::key(Hash::Sha256, b"x"), TOKEN, at(0)), None);
        let unsigned = URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#);
        let signed = format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode("{}"));
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
        assert_eq!(claims(&key, &format!("{signed}.{signature}"), at(0)), None);
    }
}
