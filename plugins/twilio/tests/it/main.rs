//! The cases of the carrier, as data.

use dripline_plugin_sdk::testing;
use twilio::Twilio;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");

#[test]
fn cases() {
    testing::carrier_cases::<Twilio>(CASES);
}

#[test]
fn webhooks() {
    testing::webhook_cases::<Twilio>(CASES);
}
