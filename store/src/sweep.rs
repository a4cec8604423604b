//! Sweeps: each reads the state, puts right what a fault left behind, and takes no hints about what
//! happened. Each can run at any time, in any number of processes at once, and finds nothing to do
//! where all is well. Its cost is that of what is due or on the wire, not of what is waiting: of that, one
//! of them looks at a part each time.

mod abandoned_enrolments;
mod dead_workers;
mod missing_tickets;
mod stray_tickets;
mod unfinished_purges;
mod unknown_deliveries;

pub use abandoned_enrolments::abandoned_enrolments;
pub use dead_workers::{Buried, dead_workers};
pub use missing_tickets::missing_tickets;
pub use stray_tickets::{Ahead, Strays, stray_tickets};
pub use unfinished_purges::unfinished_purges;
pub use unknown_deliveries::{Decided, unknown_deliveries};

/// Rows in one transaction of a sweep.
const BATCH: i64 = 5_000;
