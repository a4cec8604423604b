//! The simulator over real HTTP.

mod api;
mod apis;
mod beyond;
mod client;
mod faults;
mod process;
