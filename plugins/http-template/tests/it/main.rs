//! The cases of the carrier, as data.

#[test]
fn cases() {
    dripline_plugin_sdk::testing::carrier_cases::<http_template::HttpTemplate>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/cases"
    ));
}
