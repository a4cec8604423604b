//! Plugins in other languages than Rust at work: a renderer in JavaScript and a carrier in C. Their languages' own tools
//! build them, which the machine that runs the other tests need not have: `cargo xtask languages` builds them and
//! runs this.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use dripline_domain::delivery::DeliveryState;
use dripline_domain::workflow::StepDraft;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::testing::factory::{Route, step};

use crate::support::{ACCOUNT_SID, Stage};

/// Where `cargo xtask languages` has built them.
const BUILT: &str = "DRIPLINE_TEST_LANGUAGES";

const CONTACTS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "its plugins are built by `cargo xtask languages`, which runs it"]
async fn a_renderer_in_javascript_and_a_carrier_in_c_send() {
    let built = PathBuf::from(std::env::var_os(BUILT).expect("run `cargo xtask languages`"));
    let stage = Stage::new().await;
    for component in ["c-carrier/c_carrier.wasm", "js-renderer/merge_tags.wasm"] {
        stage.add_plugin(&built.join(component));
    }
    let origin = stage.carrier.origin();
    let route = Route {
        carrier: Some("c-carrier".to_owned()),
        settings: BTreeMap::from([
            ("account".to_owned(), ACCOUNT_SID.to_owned()),
            ("api_base".to_owned(), origin.clone()),
        ]),
        secrets: BTreeMap::from([("token".to_owned(), "env:TEST_AUTH_TOKEN".to_owned())]),
        allowed_origins: vec![origin],
        ..Route::default()
    };
    // Two segments while the tag stands in it, and one with a name in its place.
    let template = format!("*|TITLE:NAME|*{}", "x".repeat(147));
    let greeting =
        StepDraft { template, renderer: "merge-tags".to_owned(), ..step(Duration::ZERO) };
    let scene = stage.enrol_on(route, vec![greeting; 2], CONTACTS).await;
    stage.sql(
        "UPDATE contacts SET phone = '+15005550004'
         WHERE contact_id = (SELECT min(contact_id) FROM contacts)",
    );
    let worker = stage.worker().start();
    let sent = 2 * (CONTACTS - 1);
    stage.wait_for(&scene, DeliveryState::Sent, sent as u64).await;
    stage.wait_for(&scene, DeliveryState::Failed, 1).await;
    worker.stop().await;

    let log = stage.carrier.log();
    let taken: Vec<_> = log.iter().filter(|entry| entry.accepted).collect();
    let references: BTreeSet<_> = taken.iter().map(|entry| entry.reference.clone()).collect();
    assert_eq!((taken.len(), references.len()), (sent, sent), "{log:?}");
    assert!(taken.iter().all(|entry| entry.segments == 1), "the names are not in it: {log:?}");
    let filter = DeliveryFilter { limit: 1_000, ..DeliveryFilter::default() };
    for delivery in deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap() {
        match delivery.state {
            DeliveryState::Sent => assert!(delivery.carrier_reference.is_some(), "{delivery:?}"),
            _ => assert_eq!(delivery.reason.unwrap().code, "stopped:c-carrier:21610"),
        }
    }
    stage.assert_invariants().await;
}
