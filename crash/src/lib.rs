//! Every point at which a program can die, and what becomes of the installation then.
//!
//! For each point there is a [`scene`] that passes it: a worker with messages under way, a sweep with
//! something to sweep, or a command of the operator. A trial ([`trial`]) plays it on a database of its
//! own, with the carrier in a process of its own, lets the program abort at some passage of the point,
//! starts what comes after (another worker; the same command again), waits until everything is quiet,
//! and compares: the ten invariants, the carrier's log, and that what was asked for has happened
//! exactly once.
//!
//! `cargo xtask crash` plays every scene many times ([`run`]); the tests of this package play each
//! once. The programs must have been built with their feature `failpoints`.
//!
//! To add a crash point: declare it where the others of its program are ([`points::all`] gathers
//! them), and give it a scene in [`scene::scenes`]; a test demands both.

pub mod points;
pub mod process;
pub mod run;
pub mod scene;
pub mod stage;
pub mod trial;

mod command;
