//! The simulator over real HTTP.

mod api;
mod client;
mod faults;
mod process;
