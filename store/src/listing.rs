//! The lists that people read: what stands in the tables, joined and filtered, a page at a time.
//! Nothing here is locked or decided.

pub mod deliveries;
pub mod enrollments;
pub mod evidence;
pub mod failed;
pub mod operations;
pub mod queue;
