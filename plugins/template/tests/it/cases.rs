//! The renderer's cases, as data.

#[test]
fn cases() {
    dripline_plugin_sdk::testing::renderer_cases::<template::Template>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/cases"
    ));
}
