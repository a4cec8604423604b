//! The cases of the carrier, as data.

use dripline_plugin_sdk::testing;
use http_template::HttpTemplate;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");

#[test]
fn cases() {
    testing::carrier_cases::<HttpTemplate>(CASES);
}

#[test]
fn webhooks() {
    testing::webhook_cases::<HttpTemplate>(CASES);
}
