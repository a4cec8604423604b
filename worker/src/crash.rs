//! Points at which the tests kill the process, to see what the next one makes of it.
//!
//! Without the feature `failpoints` (that is, in every release) they compile to nothing. With it,
//! the environment variable `FAILPOINTS` names the ones that strike, for example
//! `mark-committed=40*off->return`: the 41st passage aborts the process, as `kill -9` would.

/// Every crash point, in the order in which a ticket passes them.
pub const POINTS: &[&str] = &[
    "claim-begin",
    "claim-committed",
    "load-begin",
    "load-done",
    "render-done",
    "build-done",
    "mark-begin",
    "mark-committed",
    "wire-begin",
    "wire-answered",
    "read-done",
    "settle-begin",
    "settle-committed",
    "acknowledge-begin",
    "acknowledge-committed",
];

/// Aborts the process here when `FAILPOINTS` says so.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name, |_| std::process::abort());
    };
}

/// Aborts the process when `FAILPOINTS` names this delivery, as in `handle=return(17)`: a message whose
/// handling kills its worker.
macro_rules! poison_point {
    ($name:literal, $delivery_id:expr) => {
        #[cfg(feature = "failpoints")]
        fail::eval($name, |named: Option<String>| {
            if named == Some($delivery_id.to_string()) {
                std::process::abort()
            }
        });
    };
}

pub(crate) use crash_point;
pub(crate) use poison_point;

/// Reads `FAILPOINTS`. Without the feature there is nothing to read.
pub fn arm() {
    #[cfg(feature = "failpoints")]
    {
        // The scenario disarms the points when it is dropped; they are to last as long as we do.
        std::mem::forget(fail::FailScenario::setup());
    }
}
