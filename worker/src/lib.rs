//! The worker daemon: takes tickets from the queue, and renders, marks, sends and settles the
//! deliveries they name.
//!
//! Layout: [`queue`] is our apalis backend, [`jobs`] holds its handlers, [`sweeps`] the periodic
//! repairs, [`journal`] what outlives the process and the database's outages, [`plugin_log`] what plugins log, [`webhooks`] hears what carriers report, [`batch`] the natural batching that every stage of a handler uses. [`outage`] repeats
//! what a lost database did not answer, [`lifecycle`] stops in three levels, [`environment`] is
//! what a handler may touch, and [`daemon`] puts all of it together.
//!
//! To add a periodic repair: add a module to `sweeps` with a `run_once` that reads state and takes
//! no hints, and start it in `sweeps::start`. To add a stage to a delivery: add a module under
//! `jobs::deliver` with one batcher, and call it in `Deliver::deliver`.

pub mod batch;
pub mod clock;
pub mod crash;
pub mod daemon;
pub mod environment;
pub mod installed;
pub mod jobs;
pub mod journal;
pub mod lifecycle;
pub mod open_files;
pub mod options;
pub mod outage;
pub mod plugin_log;
pub mod queue;
pub mod sweeps;
pub mod telemetry;
pub mod webhooks;
