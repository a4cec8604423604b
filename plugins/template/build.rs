//! Gives the component a stack in which the deepest template that the engine allows can be parsed. A
//! small one keeps a fresh instance cheap.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo:rustc-link-arg-cdylib=-zstack-size=262144");
    }
}
