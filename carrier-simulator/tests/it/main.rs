//! The simulator over real HTTP.

mod api;
mod apis;
mod aws;
mod beyond;
mod client;
mod faults;
mod process;
