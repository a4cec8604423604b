//! Every bundled carrier sends through the worker to its own API at the simulator, and what is lost on the way
//! is found out as its class allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dripline_domain::delivery::DeliveryState;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::testing::factory::{Route, step};

use crate::support::{ACCOUNT_SID, PATIENCE, Stage, pause};

const CONTACTS: usize = 6;

/// The carrier, its settings beside `api_base` or with a `url`, whose `{origin}` stands for the simulator's, and the name
/// of its secret.
type Known = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// Twilio's API, as a route of `http-template` describes it.
const BY_FORM: Known = (
    "http-template",
    &[
        ("url", "{origin}/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json"),
        ("content_type", "application/x-www-form-urlencoded"),
        ("body", "To={{to}}&From={{from}}&Body={{text}}"),
        ("headers", "X-Dripline-Reference: {{reference}}"),
        ("authorization", "basic"),
        ("user", ACCOUNT_SID),
        ("id_path", "/sid"),
        ("code_path", "/code"),
    ],
    "password",
);

/// Telnyx'.
const BY_JSON: Known = (
    "http-template",
    &[
        ("url", "{origin}/v2/messages"),
        ("body", r#"{"to":"{{to}}","from":"{{from}}","text":"{{text}}"}"#),
        ("headers", "X-Dripline-Reference: {{reference}}"),
        ("authorization", "bearer"),
        ("id_path", "/data/id"),
        ("code_path", "/errors/0/code"),
    ],
    "password",
);

const CARRIERS: [Known; 10] = [
    ("aws-sms", &[("region", "eu-central-1"), ("access_key_id", ACCOUNT_SID)], "secret_access_key"),
    ("bird", &[("workspace_id", ACCOUNT_SID), ("channel_id", "c1")], "access_key"),
    BY_FORM,
    BY_JSON,
    ("infobip", &[], "api_key"),
    ("plivo", &[("auth_id", ACCOUNT_SID)], "auth_token"),
    ("sinch", &[("service_plan_id", ACCOUNT_SID)], "api_token"),
    ("telnyx", &[], "api_key"),
    ("twilio", &[("account_sid", ACCOUNT_SID)], "auth_token"),
    ("vonage", &[("api_key", ACCOUNT_SID)], "api_secret"),
];

fn route((carrier, settings, secret): Known, origin: &str, reference: &str) -> Route {
    let mut all: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    match all.get_mut("url") {
        Some(url) => *url = url.replace("{origin}", origin),
        None => drop(all.insert("api_base".to_owned(), origin.to_owned())),
    }
    Route {
        carrier: Some(carrier.to_owned()),
        settings: all,
        secrets: BTreeMap::from([(secret.to_owned(), reference.to_owned())]),
        allowed_origins: vec![origin.to_owned()],
        ..Route::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bundled_carrier_sends() {
    for known in CARRIERS {
        let carrier = known.0;
        let stage = Stage::new().await;
        let route = route(known, &stage.carrier.origin(), "env:TEST_AUTH_TOKEN");
        let scene = stage.enrol_on(route, vec![step(Duration::ZERO)], CONTACTS).await;
        let worker = stage.worker().start();
        stage.wait_for(&scene, DeliveryState::Sent, CONTACTS as u64).await;
        worker.stop().await;

        let log = stage.carrier.log();
        assert_eq!(log.len(), CONTACTS, "{carrier}: {log:?}");
        assert!(log.iter().all(|entry| entry.accepted), "{carrier}: {log:?}");
        let references: BTreeSet<_> = log.iter().map(|entry| entry.reference.clone()).collect();
        assert_eq!(references.len(), CONTACTS, "{carrier}");
        assert!(references.iter().all(Option::is_some), "{carrier}: {references:?}");
        let filter = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
        let sent = deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap();
        assert!(sent.iter().all(|delivery| delivery.carrier_reference.is_some()), "{carrier}");
        stage.assert_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bundled_carrier_took_and_did_not_say_is_found_out_as_its_class_allows() {
    let lost = "[[rules]]\nattempts = 1\nfault = \"reset-after\"\n";
    for (known, decision) in CARRIERS.into_iter().filter_map(|known| match known.0 {
        "telnyx" => Some((known, "replay")),
        "infobip" | "sinch" => Some((known, "look-up")),
        _ => None,
    }) {
        let carrier = known.0;
        let stage = Stage::with_faults(lost).await;
        let route = route(known, &stage.carrier.origin(), "env:TEST_AUTH_TOKEN");
        let scene = stage.enrol_on(route, vec![step(Duration::ZERO)], CONTACTS).await;
        let worker = stage.worker().setting("WORKER__BREAKER__FAILURES", &100_000).start();
        stage.wait_for(&scene, DeliveryState::Sent, CONTACTS as u64).await;
        worker.stop().await;
        let log = stage.carrier.log();
        assert_eq!(log.iter().filter(|entry| entry.accepted).count(), CONTACTS, "{carrier}");
        let asked = log.iter().filter(|entry| entry.decision == decision).count();
        assert!(asked >= CONTACTS, "{carrier}: {log:?}");
        stage.assert_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_took_and_did_not_say_waits_and_is_never_sent_again() {
    let lost = "[[rules]]\nattempts = 1\nfault = \"reset-after\"\n";
    for known in [BY_FORM, BY_JSON] {
        let stage = Stage::with_faults(lost).await;
        let route = route(known, &stage.carrier.origin(), "env:TEST_AUTH_TOKEN");
        let scene = stage.enrol_on(route, vec![step(Duration::ZERO)], CONTACTS).await;
        let worker = stage.worker().setting("WORKER__BREAKER__FAILURES", &100_000).start();
        stage.wait_for(&scene, DeliveryState::Unknown, CONTACTS as u64).await;
        // Nothing is known of what it could be asked, so that without a report only the deadline decides.
        stage.sql("UPDATE attempts SET finished_at = finished_at - INTERVAL '72 hours'");
        stage.wait_for(&scene, DeliveryState::Sent, CONTACTS as u64).await;
        worker.stop().await;
        let log = stage.carrier.log();
        assert_eq!(log.len(), CONTACTS, "{log:?}");
        assert!(log.iter().all(|entry| entry.accepted), "{log:?}");
        stage.assert_invariants().await;
    }
}

/// One message's refusal comes in an answer that is 200 as a whole, beside those of others that are taken.
#[tokio::test(flavor = "multi_thread")]
async fn what_infobip_rejects_with_200_fails_alone() {
    let stage = Stage::new().await;
    let known = CARRIERS.into_iter().find(|known| known.0 == "infobip").unwrap();
    let route = route(known, &stage.carrier.origin(), "env:TEST_AUTH_TOKEN");
    let scene = stage.enrol_on(route, vec![step(Duration::ZERO)], CONTACTS).await;
    stage.sql(
        "UPDATE contacts SET phone = '+15005550009'
         WHERE contact_id = (SELECT min(contact_id) FROM contacts)",
    );
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sent, CONTACTS as u64 - 1).await;
    stage.wait_for(&scene, DeliveryState::Failed, 1).await;
    worker.stop().await;
    let log = stage.carrier.log();
    assert_eq!(log.len(), CONTACTS, "{log:?}");
    let refused: Vec<_> = log.iter().filter(|entry| !entry.accepted).collect();
    assert!(matches!(refused[..], [entry] if entry.code == Some(52)), "{log:?}");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_costs_nobody_a_message() {
    for known in CARRIERS {
        let carrier = known.0;
        let stage = Stage::new().await;
        let route = route(known, &stage.carrier.origin(), "env:TEST_WRONG_TOKEN");
        let scene = stage.enrol_on(route, vec![step(Duration::ZERO)], CONTACTS).await;
        let worker = stage
            .worker()
            .environment("TEST_WRONG_TOKEN", "not-the-token")
            .setting("WORKER__BREAKER__FAILURES", &2)
            .setting("WORKER__BREAKER__COOL_DOWN_SECONDS", &60)
            .setting("WORKER__BREAKER__CEILING_SECONDS", &60)
            .start();
        let begun = Instant::now();
        while stage.number("SELECT count(*) FROM route_halts") == 0 {
            assert!(begun.elapsed() < PATIENCE, "{carrier}: its route is not halted");
            pause().await;
        }
        worker.stop().await;
        let log = stage.carrier.log();
        assert!(!log.is_empty() && log.iter().all(|entry| !entry.accepted), "{carrier}: {log:?}");
        assert_eq!(stage.count(&scene, DeliveryState::Failed).await, 0, "{carrier}");
        stage.assert_invariants().await;
    }
}
