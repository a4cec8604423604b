//! The cases of the carrier, as data.

use aws_sms::AwsSms;
use dripline_plugin_sdk::testing;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");

#[test]
fn cases() {
    testing::carrier_cases::<AwsSms>(CASES);
}

#[test]
fn webhooks() {
    testing::webhook_cases::<AwsSms>(CASES);
}
