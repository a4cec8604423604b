//! Keyed hashes, for carriers that want a request signed. Secrets are named as the manifest declares them;
//! their values never enter the plugin.
//!
//! Natively, in tests, the secrets are those of the case.

use crate::Failure;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, which HMAC may still be used with.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// HMAC of the message under the secret of this name.
///
/// # Errors
/// A failure of the route when it gives no such secret.
pub fn hmac(hash: Hash, secret: &str, message: &[u8]) -> Result<Vec<u8>, Failure> {
    under::hmac(hash, secret, message).ok_or_else(|| missing(secret))
}

/// HMAC of the first step under `prefix` and the secret, of the second step under that, and so on, as AWS'
/// signatures of version 4 are made. At most 8 steps.
///
/// # Errors
/// A failure of the route when it gives no such secret.
pub fn hmac_chain(
    hash: Hash,
    prefix: &str,
    secret: &str,
    steps: &[&[u8]],
) -> Result<Vec<u8>, Failure> {
    under::hmac_chain(hash, prefix, secret, steps).ok_or_else(|| missing(secret))
}

fn missing(secret: &str) -> Failure {
    Failure::retryable("missing-secret", format!("the route gives no secret `{secret}`"))
        .about_route()
}

#[cfg(target_family = "wasm")]
mod under {
    use crate::Hash;
    use crate::edge::imports_world::dripline::plugin::sign;

    pub(super) fn hmac(hash: Hash, secret: &str, message: &[u8]) -> Option<Vec<u8>> {
        sign::hmac(hash.into(), secret, message)
    }

    pub(super) fn hmac_chain(
        hash: Hash,
        prefix: &str,
        secret: &str,
        steps: &[&[u8]],
    ) -> Option<Vec<u8>> {
        let steps: Vec<Vec<u8>> = steps.iter().map(|step| step.to_vec()).collect();
        sign::hmac_chain(hash.into(), prefix, secret, &steps)
    }
}

#[cfg(all(not(target_family = "wasm"), feature = "testing"))]
use crate::testing::keyed as under;

/// Outside of a component and of tests there is no host to ask.
#[cfg(all(not(target_family = "wasm"), not(feature = "testing")))]
mod under {
    use crate::Hash;

    pub(super) fn hmac(_: Hash, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn hmac_chain(_: Hash, _: &str, _: &str, _: &[&[u8]]) -> Option<Vec<u8>> {
        None
    }
}
