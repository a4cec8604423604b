//! Points on the wire at which the tests kill the process.
//!
//! Without the feature `failpoints` (that is, in every release) they compile to nothing.

/// Every point, in the order in which a request passes them.
pub const POINTS: &[&str] = &["wire-bytes-written", "wire-answer-begun"];

/// Aborts the process here when the environment variable `FAILPOINTS` says so.
#[inline]
pub(crate) fn point(name: &str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
