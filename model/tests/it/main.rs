//! Explores every scene to its end, and every deliberate mistake until it is found.

#![expect(clippy::print_stdout, reason = "how much was looked at belongs to what the tests say")]

mod bugs;
mod scenes;
