//! Points at which the tests kill the process, to see what the next one makes of it.
//!
//! See [`dripline_store::crash`], which has the points of every commit and says how one is chosen.

/// Every point of the worker itself, in the order in which it passes them: between the transactions, which
/// have their own.
pub const POINTS: &[&str] = &[
    "load-begin",
    "load-done",
    "render-done",
    "build-done",
    "journal-start-begin",
    "journal-start-written",
    "wire-begin",
    "wire-answered",
    "read-done",
    "journal-end-begin",
    "journal-end-written",
    "journal-compact-begin",
    "journal-compacted",
    "journal-close",
    "journal-settle-begin",
    "journal-settled",
    "journal-removed",
];

/// Aborts the process here when `FAILPOINTS` says so.
macro_rules! crash_point {
    ($name:expr) => {
        dripline_store::crash::point($name)
    };
}

pub(crate) use crash_point;
