//! Rebuilds the crate when a migration changes, since its macros read them.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
