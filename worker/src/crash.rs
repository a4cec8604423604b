//! Points at which the tests kill the process, to see what the next one makes of it.
//!
//! See [`dripline_store::crash`], which has the points of every commit and says how one is chosen.

/// Every point of the worker itself, in the order in which it passes them.
pub const POINTS: &[&str] = &[
    "claim-begin",
    "claim-committed",
    "load-begin",
    "load-done",
    "render-done",
    "build-done",
    "mark-begin",
    "mark-committed",
    "journal-start-begin",
    "journal-start-written",
    "wire-begin",
    "wire-answered",
    "read-done",
    "journal-end-begin",
    "journal-end-written",
    "settle-begin",
    "settle-committed",
    "acknowledge-begin",
    "acknowledge-committed",
    "release-begin",
    "release-committed",
    "journal-compact-begin",
    "journal-compacted",
    "journal-close",
    "journal-settle-begin",
    "journal-settled",
    "journal-removed",
    "heartbeat-begin",
    "heartbeat-done",
    "goodbye-begin",
    "goodbye-said",
];

/// Aborts the process here when `FAILPOINTS` says so.
macro_rules! crash_point {
    ($name:expr) => {
        dripline_store::crash::point($name)
    };
}

pub(crate) use crash_point;
