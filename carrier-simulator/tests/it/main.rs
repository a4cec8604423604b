//! The simulator over real HTTP.

mod api;
mod beyond;
mod client;
mod faults;
mod process;
