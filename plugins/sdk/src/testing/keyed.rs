//! The host's side of `sign`, `verify` and `clock` in native tests: secrets and time of the case that is
//! being run, on its thread.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};

use crate::Hash;

#[derive(Clone, Default)]
struct World {
    secrets: BTreeMap<String, String>,
    now_seconds: u64,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Runs `case` with these secrets at this time.
pub(crate) fn within<T>(
    secrets: &BTreeMap<String, String>,
    now_seconds: u64,
    case: impl FnOnce() -> T,
) -> T {
    let world = World { secrets: secrets.clone(), now_seconds };
    let before = WORLD.replace(world);
    let result = case();
    WORLD.set(before);
    result
}

fn secret(name: &str) -> Option<String> {
    WORLD.with_borrow(|world| world.secrets.get(name).cloned())
}

pub(crate) fn now_seconds() -> u64 {
    WORLD.with_borrow(|world| world.now_seconds)
}

fn key(hash: Hash, octets: &[u8]) -> hmac::Key {
    let algorithm = match hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => hmac::HMAC_SHA256,
    };
    hmac::Key::new(algorithm, octets)
}

pub(crate) fn hmac(hash: Hash, name: &str, message: &[u8]) -> Option<Vec<u8>> {
    Some(hmac::sign(&key(hash, secret(name)?.as_bytes()), message).as_ref().to_vec())
}

pub(crate) fn hmac_chain(hash: Hash, prefix: &str, name: &str, steps: &[&[u8]]) -> Option<Vec<u8>> {
    let first = format!("{prefix}{}", secret(name)?).into_bytes();
    let next =
        |under: Vec<u8>, step: &&[u8]| hmac::sign(&key(hash, &under), step).as_ref().to_vec();
    Some(steps.iter().fold(first, next))
}

pub(crate) fn verify_hmac(hash: Hash, name: &str, message: &[u8], signature: &[u8]) -> bool {
    secret(name).is_some_and(|secret| {
        hmac::verify(&key(hash, secret.as_bytes()), message, signature).is_ok()
    })
}

pub(crate) fn verify_ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = signature::UnparsedPublicKey::new(&signature::ED25519, public_key);
    key.verify(message, signature).is_ok()
}

pub(crate) fn verify_jwt_hs256(name: &str, token: &str) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (_, claims) = signed.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !verify_hmac(Hash::Sha256, name, signed.as_bytes(), &signature) {
        return None;
    }
    String::from_utf8(URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

pub(crate) fn verify_equal(name: &str, value: &str) -> bool {
    secret(name).is_some_and(|secret| secret == value)
}
