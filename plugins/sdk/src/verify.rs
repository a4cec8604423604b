//! Checks of signatures, for [`crate::Webhook`]. Secrets are named as the manifest declares them; their
//! values never enter the plugin. All of them say no when the route gives no secret of the name.
//!
//! Natively, in tests, the secrets are those of the case.

use crate::{Hash, Rejection};

/// That the signature is the HMAC of the message under the secret of this name.
///
/// # Errors
/// [`Rejection::forged`] when it is not.
pub fn hmac(hash: Hash, secret: &str, message: &[u8], signature: &[u8]) -> Result<(), Rejection> {
    proved(under::verify_hmac(hash, secret, message, signature))
}

/// That the signature is that of this public key, of 32 bytes, under the message.
///
/// # Errors
/// [`Rejection::forged`] when it is not.
pub fn ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Rejection> {
    proved(under::verify_ed25519(public_key, message, signature))
}

/// The claims of a JSON web token, as JSON, when it is signed by HS256 under the secret of this name and
/// neither expired nor too early.
///
/// # Errors
/// [`Rejection::forged`] when it is not.
pub fn jwt_hs256(secret: &str, token: &str) -> Result<String, Rejection> {
    under::verify_jwt_hs256(secret, token).ok_or_else(Rejection::forged)
}

/// That the value is the secret of this name itself.
///
/// # Errors
/// [`Rejection::forged`] when it is not.
pub fn equal(secret: &str, value: &str) -> Result<(), Rejection> {
    proved(under::verify_equal(secret, value))
}

fn proved(yes: bool) -> Result<(), Rejection> {
    if yes { Ok(()) } else { Err(Rejection::forged()) }
}

#[cfg(target_family = "wasm")]
mod under {
    use crate::Hash;
    use crate::edge::imports_world::dripline::plugin::verify;

    pub(super) fn verify_hmac(hash: Hash, secret: &str, message: &[u8], signature: &[u8]) -> bool {
        verify::hmac(hash.into(), secret, message, signature)
    }

    pub(super) fn verify_ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        verify::ed25519(public_key, message, signature)
    }

    pub(super) fn verify_jwt_hs256(secret: &str, token: &str) -> Option<String> {
        verify::jwt_hs256(secret, token)
    }

    pub(super) fn verify_equal(secret: &str, value: &str) -> bool {
        verify::equal(secret, value)
    }
}

#[cfg(all(not(target_family = "wasm"), feature = "testing"))]
use crate::testing::keyed as under;

/// Outside of a component and of tests there is no host to ask.
#[cfg(all(not(target_family = "wasm"), not(feature = "testing")))]
mod under {
    use crate::Hash;

    pub(super) fn verify_hmac(_: Hash, _: &str, _: &[u8], _: &[u8]) -> bool {
        false
    }

    pub(super) fn verify_ed25519(_: &[u8], _: &[u8], _: &[u8]) -> bool {
        false
    }

    pub(super) fn verify_jwt_hs256(_: &str, _: &str) -> Option<String> {
        None
    }

    pub(super) fn verify_equal(_: &str, _: &str) -> bool {
        false
    }
}
