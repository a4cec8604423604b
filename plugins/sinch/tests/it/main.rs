//! The cases of the carrier, as data.

use dripline_plugin_sdk::testing;
use sinch::Sinch;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");

#[test]
fn cases() {
    testing::carrier_cases::<Sinch>(CASES);
}

#[test]
fn webhooks() {
    testing::webhook_cases::<Sinch>(CASES);
}

#[test]
fn questions() {
    testing::lookup_cases::<Sinch>(CASES);
}
