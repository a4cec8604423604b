//! The time, as far as a plugin is told it.

/// When this call's batch began, in seconds since 1970. It stands still during a call. Natively, in tests,
/// it is the time that the case gives.
pub fn now_seconds() -> u64 {
    under()
}

#[cfg(target_family = "wasm")]
#[expect(clippy::disallowed_methods, reason = "the host's clock, which stands still during a call")]
fn under() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

#[cfg(all(not(target_family = "wasm"), feature = "testing"))]
use crate::testing::keyed::now_seconds as under;

/// Outside of a component and of tests there is no host to ask.
#[cfg(all(not(target_family = "wasm"), not(feature = "testing")))]
fn under() -> u64 {
    0
}
