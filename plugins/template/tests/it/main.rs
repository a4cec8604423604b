//! The renderer as its users see it.

mod cases;
mod examples;
