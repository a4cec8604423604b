//! The cases of the renderer, as data.

#[test]
fn cases() {
    dripline_plugin_sdk::testing::renderer_cases::<plain::Plain>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/cases"
    ));
}
