//! The cases of the carrier, as data.

use dripline_plugin_sdk::testing;
use telnyx::Telnyx;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");

#[test]
fn cases() {
    testing::carrier_cases::<Telnyx>(CASES);
}

#[test]
fn webhooks() {
    testing::webhook_cases::<Telnyx>(CASES);
}
