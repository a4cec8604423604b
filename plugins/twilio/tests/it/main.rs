//! The cases of the carrier, as data.

#[test]
fn cases() {
    dripline_plugin_sdk::testing::carrier_cases::<twilio::Twilio>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/cases"
    ));
}
