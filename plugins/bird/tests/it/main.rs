//! The cases of the carrier, as data.

use bird::Bird;
use dripline_plugin_sdk::testing;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");

#[test]
fn cases() {
    testing::carrier_cases::<Bird>(CASES);
}

#[test]
fn webhooks() {
    testing::webhook_cases::<Bird>(CASES);
}
