//! Races, over several connections at full speed. What must not happen is looked for in the rows after
//! each, and where there is a statement that everybody writes first, the same race with it shows that
//! the test would notice.
//!
//! `cargo xtask races` runs the long forms.

use dripline_domain::clock::ManualClock;
use dripline_store::{Pool, audit};

use crate::support::noon;

mod closing;
mod enrolment;
mod pause;
mod removal;

/// Stands still, so that everything stays due.
fn clock() -> ManualClock {
    ManualClock::new(noon())
}

/// The number of a race's rounds: `long` of them where `DRIPLINE_RACES` says so.
fn rounds(short: usize, long: usize) -> usize {
    match std::env::var("DRIPLINE_RACES") {
        Ok(form) if form == "long" => long,
        _ => short,
    }
}

/// Every invariant holds.
async fn assert_sound(pool: &Pool) {
    for result in audit::run(pool, &clock()).await.unwrap() {
        assert!(result.holds(), "{result:?}");
    }
}

/// How often an invariant is broken.
async fn violations(pool: &Pool, number: usize) -> u64 {
    let invariant = audit::INVARIANTS[number - 1];
    audit::check(pool, &clock(), invariant).await.unwrap().violations
}
