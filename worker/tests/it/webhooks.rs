//! Carriers report to a worker, and bring it what contacts write; so do strangers.

mod caller;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::evidence::{Verdict, Witness};
use dripline_embedded_postgres::{EmbeddedOptions, EmbeddedPostgres};
use dripline_store::ConnectOptions;
use dripline_store::listing::deliveries::{self, DeliveryDetail, DeliveryFilter};
use dripline_store::testing::factory::{Account, Route, step};

use crate::support::{
    ACCOUNT_SID, AUTH_TOKEN, PATIENCE, Scene, Stage, Worker, WorkerCommand, pause, route_to,
};
use caller::{Caller, call, request, signed, signed_with, write};

/// What carriers call, as a proxy in front of the worker would have it.
pub(crate) const PUBLIC_URL: &str = "https://sms.example.com";
const CONTACTS: usize = 12;
/// Of the factory's numbers from 1 to 12.
const END_WITH_1: usize = 2;

/// A worker that listens there.
fn listening(stage: &Stage, listen: &str) -> WorkerCommand {
    stage
        .worker()
        .setting("WORKER__WEBHOOKS__LISTEN", &listen)
        .setting("WORKER__WEBHOOKS__PUBLIC_URL", &PUBLIC_URL)
        .setting("WORKER__BREAKER__FAILURES", &100_000)
        .setting("TELEMETRY__FILTER", &"trace")
}

/// One that listens anywhere, and a carrier that reports to it by this plan.
fn reporting(stage: &mut Stage, plan: &str) -> Worker {
    let worker = listening(stage, "127.0.0.1:0").start();
    let reports = format!("[reports]\ndeliver_to = \"{}\"\n", worker.webhooks());
    stage.carrier.restart_with(&format!("{reports}{plan}"));
    worker
}

/// The path of the callback of an account's route to that carrier.
fn callback(stage: &Stage, scene: &Scene, carrier: &str) -> String {
    let account_id = scene.account_id;
    let token = stage.text(&format!(
        "SELECT callback_token FROM routes WHERE account_id = {account_id} AND carrier = '{carrier}'"
    ));
    assert_eq!(token.len(), 48, "{token}");
    format!("/hooks/{token}")
}

async fn shown(stage: &Stage, scene: &Scene) -> Vec<DeliveryDetail> {
    let filter = DeliveryFilter { limit: 1_000, ..DeliveryFilter::default() };
    let mut shown = Vec::new();
    for delivery in deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap() {
        shown.push(deliveries::show(&stage.pool, delivery.delivery_id).await.unwrap().unwrap());
    }
    shown
}

/// How often each status was answered to the carrier's reports.
fn answers(stage: &Stage) -> BTreeMap<u32, usize> {
    let mut answers = BTreeMap::new();
    for entry in stage.carrier.log().into_iter().filter(|entry| entry.decision == "report") {
        *answers.entry(entry.code.unwrap_or(0)).or_default() += 1;
    }
    answers
}

/// Nothing that a carrier or a contact says is in the log, nor the secret part of an address.
fn assert_discreet(log: &str, callback: &str) {
    let token = callback.rsplit('/').next().unwrap();
    assert!(!log.contains(token), "the log has a callback's token");
    assert!(!log.contains("+1555000000"), "the log has a contact's number");
    assert!(!log.contains(AUTH_TOKEN), "the log has a secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_signed_reports_say_is_recorded_once() {
    for carrier in ["twilio", "telnyx", "vonage"] {
        let mut stage = Stage::new().await;
        let plan = "undelivered = \"1\"\ntimes = 2\nafter_ms = 20\n";
        let worker = reporting(&mut stage, plan);
        let origin = stage.carrier.origin();
        let key = stage.carrier.telnyx_public_key.clone();
        let (settings, secrets): (&[(&str, &str)], &[&str]) = match carrier {
            "twilio" => (&[("account_sid", ACCOUNT_SID)], &["auth_token"]),
            "telnyx" => (&[("webhook_public_key", &key)], &["api_key"]),
            _ => (&[("api_key", ACCOUNT_SID)], &["api_secret", "signature_secret"]),
        };
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut settings: BTreeMap<String, String> = settings.iter().map(own).collect();
        settings.insert("api_base".to_owned(), origin.clone());
        let route = Route {
            carrier: Some(carrier.to_owned()),
            settings,
            secrets: secrets
                .iter()
                .map(|name| ((*name).to_owned(), "env:TEST_AUTH_TOKEN".to_owned()))
                .collect(),
            allowed_origins: vec![origin],
            ..Route::default()
        };
        let scene = stage.enrol_on(route, vec![step(Duration::ZERO)], CONTACTS).await;
        let ended = "SELECT count(*) FROM receipts WHERE rank = 3";
        stage.wait_for_number(ended, i64::try_from(CONTACTS).unwrap()).await;
        stage.wait_until_quiet(&scene).await;
        while answers(&stage).values().sum::<usize>() < 2 * CONTACTS {
            pause().await;
        }
        let log = worker.stop().await;

        assert_eq!(answers(&stage), BTreeMap::from([(200, 2 * CONTACTS)]), "{carrier}");
        let mut undelivered = 0;
        for delivery in shown(&stage, &scene).await {
            let [receipt] = &delivery.receipts[..] else { panic!("{carrier}: {delivery:?}") };
            // The address of a message under a key is of all its attempts.
            assert_eq!(receipt.attempt, u32::from(carrier != "telnyx"), "{carrier}");
            undelivered += usize::from(receipt.status.to_string() == "undelivered");
            assert_eq!(receipt.carrier_reference, delivery.delivery.carrier_reference, "{carrier}");
        }
        assert_eq!(undelivered, END_WITH_1, "{carrier}");
        assert_discreet(&log, &callback(&stage, &scene, carrier));
        stage.assert_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_decides_about_a_message_of_which_nobody_knew() {
    let mut stage = Stage::new().await;
    let plan = "after_ms = 300\n[[rules]]\nattempts = 1\nfault = \"error-after\"\n";
    let worker = reporting(&mut stage, plan);
    let scene = stage.enrol(2, CONTACTS).await;
    // The first of each was taken, and answered with 500.
    stage.wait_for(&scene, DeliveryState::Sent, 2 * CONTACTS as u64).await;
    worker.stop().await;
    let mut decided = 0;
    for delivery in shown(&stage, &scene).await {
        assert_eq!(delivery.attempts.len(), 1);
        if let [piece] = &delivery.evidence[..] {
            assert_eq!((piece.witness, piece.verdict), (Witness::Receipt, Verdict::Sent));
            assert!(delivery.delivery.carrier_reference.is_some());
            decided += 1;
        }
    }
    assert_eq!(decided, CONTACTS);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_believed_of_a_forged_report() {
    let mut stage = Stage::new().await;
    let worker = reporting(&mut stage, "forged = true\n");
    let scene = stage.enrol(1, CONTACTS).await;
    stage.wait_for(&scene, DeliveryState::Sent, CONTACTS as u64).await;
    while answers(&stage).values().sum::<usize>() < CONTACTS {
        pause().await;
    }
    let path = callback(&stage, &scene, "twilio");
    let words = [("From", "+1555000000001"), ("To", "+1"), ("Body", "STOP"), ("MessageSid", "SM1")];
    assert_eq!(call(&worker.webhooks(), &signed_with("guess", &path, &words)).await.status, 403);
    // What is signed, and nothing that it could be.
    assert_eq!(call(&worker.webhooks(), &signed(&path, &[("Body", "STOP")])).await.status, 400);
    // The address is signed, too.
    let elsewhere = signed(&path, &words);
    let moved =
        String::from_utf8(elsewhere).unwrap().replacen(&path, &format!("{path}/in5-1-1"), 1);
    assert_eq!(call(&worker.webhooks(), moved.as_bytes()).await.status, 403);
    let log = worker.stop().await;
    assert_eq!(answers(&stage), BTreeMap::from([(403, CONTACTS)]));
    // People hear of it, and not each time.
    let lines: Vec<_> = log.lines().filter(|line| line.contains("callback is not heard")).collect();
    assert!(lines.len() == 2 && lines[0].contains("(forged)"), "{lines:?}");
    for table in ["receipts", "evidence", "inbound_messages"] {
        assert_eq!(stage.number(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(stage.number("SELECT count(*) FROM contacts WHERE opted_out_at IS NOT NULL"), 0);
    assert_discreet(&log, &path);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_account_hears_of_what_is_said_over_anothers_route() {
    let stage = Stage::with_faults("[[rules]]\nfault = \"error-after\"\n").await;
    let worker = listening(&stage, "127.0.0.1:0").start();
    let ours = stage.enrol(1, 1).await;
    stage.wait_for(&ours, DeliveryState::Unknown, 1).await;
    let strangers = Account::default().create(&stage.pool, &SystemClock).await;
    route_to(&stage.carrier.origin()).create(&stage.pool, &SystemClock, strangers).await;
    let strangers = Scene { account_id: strangers, contacts: 0 };
    let (own, other) = (callback(&stage, &ours, "twilio"), callback(&stage, &strangers, "twilio"));
    assert_ne!(own, other);
    let reference = stage.carrier.log()[0].reference.clone().unwrap();
    let sid = stage.carrier.log()[0].sid.clone().unwrap();

    let report = [("MessageSid", sid.as_str()), ("MessageStatus", "delivered")];
    let stop = [("MessageSid", "SM2"), ("From", "+1555000000001"), ("To", "+1"), ("Body", "STOP")];
    for said in [
        signed(&format!("{other}/{reference}"), &report),
        signed(&other, &report),
        signed(&other, &stop),
    ] {
        assert_eq!(call(&worker.webhooks(), &said).await.status, 200);
    }
    assert_eq!(stage.number("SELECT count(*) FROM receipts"), 0);
    assert_eq!(stage.count(&ours, DeliveryState::Unknown).await, 1);
    assert_eq!(stage.number("SELECT count(*) FROM contacts WHERE opted_out_at IS NOT NULL"), 0);
    assert_eq!(stage.number("SELECT count(contact_id) FROM inbound_messages"), 0);
    // Over its own route it counts.
    let said = signed(&format!("{own}/{reference}"), &report);
    assert_eq!(call(&worker.webhooks(), &said).await.status, 200);
    assert_eq!(stage.count(&ours, DeliveryState::Sent).await, 1);
    worker.stop().await;
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_stop_gets_nothing_more_and_the_rest_is_given_back() {
    let mut stage = Stage::new().await;
    let worker = reporting(&mut stage, "");
    let later = vec![step(Duration::ZERO), step(Duration::from_hours(1))];
    let scene = stage.enrol_in(later, 3).await;
    stage.wait_for(&scene, DeliveryState::Sent, 3).await;
    let path = callback(&stage, &scene, "twilio");
    let (first, second) = ("+1555000000001", "+1555000000002");
    for (id, from, text) in [
        ("SM1", first, "Please stop the music"),
        ("SM2", second, " stop "),
        // The carrier brings it again, and so it does with the other.
        ("SM2", second, " stop "),
        ("SM1", first, "Please stop the music"),
        ("SM3", "+12025550123", "STOP"),
    ] {
        assert_eq!(write(&stage, "twilio", &path, (id, from, text)).await, 200, "{id}");
    }
    assert_eq!(stage.number("SELECT count(*) FROM inbound_messages"), 3);
    assert_eq!(stage.number("SELECT count(contact_id) FROM inbound_messages"), 2);
    let kept = stage.text("SELECT text FROM inbound_messages WHERE carrier_reference = 'SM1'");
    assert_eq!(kept, "Please stop the music");
    let out = stage.text("SELECT phone FROM contacts WHERE opted_out_at IS NOT NULL");
    assert_eq!(out, second);
    let left = "SELECT count(*) FROM enrollments WHERE exit_cause = 'opted_out'";
    assert_eq!(stage.number(left), 1);
    assert_eq!(stage.count(&scene, DeliveryState::Cancelled).await, 1);
    assert_eq!(stage.count(&scene, DeliveryState::Queued).await, 2);
    let log = worker.stop().await;
    assert!(!log.contains("the music"), "the log has what a contact wrote");
    assert_discreet(&log, &path);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_come_no_further_than_the_door() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 1).await;
    let worker = listening(&stage, "127.0.0.1:0")
        .setting("WORKER__WEBHOOKS__TIMEOUT_SECONDS", &1)
        .setting("WORKER__WEBHOOKS__MAX_BODY_KIB", &64)
        .start();
    let (at, path) = (worker.webhooks(), callback(&stage, &scene, "twilio"));
    let unknown = format!("/hooks/{}", "7".repeat(48));
    let mut nowhere = Vec::new();
    for path in ["/", "/hooks/", "/hooks/123", &unknown, "/metrics", "/hooks/%2e%2e/etc/passwd"] {
        let answered = call(&at, &request("POST", path, "", "a body")).await;
        assert_eq!((answered.status, &*answered.body), (404, ""), "{path}");
        nowhere.push(answered.head.lines().filter(|l| !l.starts_with("date")).collect::<String>());
    }
    assert!(nowhere.windows(2).all(|two| two[0] == two[1]), "{nowhere:?}");
    for method in ["DELETE", "HEAD", "OPTIONS", "PATCH"] {
        for path in [&path, &unknown] {
            let answered = call(&at, &request(method, path, "", "")).await;
            assert_eq!(answered.status, 405, "{method}");
            assert!(answered.head.contains("allow: get, post, put"), "{answered:?}");
        }
    }
    // Too large, by its own word and without one.
    let large = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    assert_eq!(call(&at, large.as_bytes()).await.status, 413);
    let chunk = format!("10001\r\n{}\r\n", "a".repeat(0x1_0001));
    let chunked =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    assert_eq!(call(&at, chunked.as_bytes()).await.status, 413);
    // One that takes its time is cut off.
    let slow = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(call(&at, slow.as_bytes()).await.status, 408);
    // Not even a whole head, and a large one.
    let head = Caller::begin(&at, b"POST /hooks/1 HTTP/1.1\r\nHost: a\r\n").await;
    assert!(matches!(head.answered().await.status, 0 | 408));
    let cookie = format!("Cookie: {}\r\n", "a".repeat(100_000));
    assert!(matches!(call(&at, &request("POST", &path, &cookie, "")).await.status, 0 | 400 | 431));
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..], b"GET\r\n\r\n", &[0; 1024]] {
        assert!(matches!(call(&at, garbage).await.status, 0 | 400));
    }
    // It works as before.
    let report = [("MessageSid", "SM1"), ("MessageStatus", "delivered")];
    assert_eq!(call(&at, &signed(&path, &report)).await.status, 200);
    let log = worker.stop().await;
    assert!(!log.contains("panicked"), "{log}");
    assert_discreet(&log, &path);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_room_is_told_to_come_back() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 1).await;
    let worker = listening(&stage, "127.0.0.1:0")
        .setting("WORKER__WEBHOOKS__TIMEOUT_SECONDS", &60)
        .setting("WORKER__WEBHOOKS__MAX_REQUESTS", &1)
        .start();
    let (at, path) = (worker.webhooks(), callback(&stage, &scene, "twilio"));
    let report = signed(&path, &[("MessageSid", "SM1"), ("MessageStatus", "delivered")]);
    let slow = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    let started = std::time::Instant::now();
    loop {
        // It holds the one place, unless the report was quicker.
        let holds = Caller::begin(&at, slow.as_bytes()).await;
        let answered = call(&at, &report).await;
        drop(holds);
        if answered.status == 503 {
            assert!(answered.head.contains("retry-after: 10"), "{answered:?}");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "two are read at once");
    }
    // The place is free again.
    while call(&at, &report).await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "the place is never given back");
        pause().await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_is_answered_when_the_worker_stops() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 1).await;
    let worker = listening(&stage, "127.0.0.1:0").start();
    stage.wait_for(&scene, DeliveryState::Sent, 1).await;
    let path = callback(&stage, &scene, "twilio");
    let sid = stage.carrier.log()[0].sid.clone().unwrap();
    let report = signed(&path, &[("MessageSid", &sid), ("MessageStatus", "delivered")]);
    let (begun, rest) = report.split_at(report.len() - 4);
    let mut caller = Caller::begin(&worker.webhooks(), begun).await;
    // Somebody who says nothing keeps nobody waiting.
    let silent = Caller::begin(&worker.webhooks(), b"").await;
    // Both have been taken on: a later one has its answer.
    assert_eq!(call(&worker.webhooks(), &request("GET", "/", "", "")).await.status, 404);
    worker.terminate();
    worker.says("stopping: finishing").await;
    caller.go_on(rest).await;
    assert_eq!(caller.answered().await.status, 200);
    assert_eq!(silent.answered().await.status, 0);
    worker.stop().await;
    assert_eq!(stage.number("SELECT count(*) FROM receipts"), 1);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_on_under_a_new_name_listens_as_before() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 1).await;
    let worker = listening(&stage, "127.0.0.1:0").start();
    stage.wait_for(&scene, DeliveryState::Sent, 1).await;
    stage.sql("UPDATE workers SET stopped_at = now()");
    worker.says("going on under a new name").await;
    let path = callback(&stage, &scene, "twilio");
    let sid = stage.carrier.log()[0].sid.clone().unwrap();
    let report = signed(&path, &[("MessageSid", &sid), ("MessageStatus", "delivered")]);
    assert_eq!(call(&worker.webhooks(), &report).await.status, 200);
    worker.stop().await;
    assert_eq!(stage.number("SELECT count(*) FROM receipts"), 1);
    stage.assert_invariants().await;
}

/// An operator who changes the callback is heard within seconds, and what was said to the old one is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_was_replaced_is_nobodys() {
    let stage = Stage::new().await;
    let scene = stage.enrol(1, 1).await;
    let worker = listening(&stage, "127.0.0.1:0").start();
    let report = [("MessageSid", "SM1"), ("MessageStatus", "delivered")];
    let old = callback(&stage, &scene, "twilio");
    assert_eq!(call(&worker.webhooks(), &signed(&old, &report)).await.status, 200);
    stage.sql("UPDATE routes SET callback_token = new_callback_token(), revision = revision + 1");
    let new = callback(&stage, &scene, "twilio");
    assert_eq!(call(&worker.webhooks(), &signed(&new, &report)).await.status, 200);
    let started = std::time::Instant::now();
    while call(&worker.webhooks(), &signed(&old, &report)).await.status != 404 {
        assert!(started.elapsed() < PATIENCE, "the old callback is still heard");
        pause().await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_finds_no_database_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        EmbeddedOptions { shared_buffers_mib: 32, ..EmbeddedOptions::new(directory.path()) };
    let server = tokio::task::spawn_blocking(move || EmbeddedPostgres::throwaway(options).unwrap())
        .await
        .unwrap();
    let url = server.running().url.clone();
    let connect = ConnectOptions {
        url: url.clone(),
        max_connections: 4,
        application_name: "dripline-test".to_owned(),
    };
    let pool = dripline_store::connect(&connect).await.unwrap();
    dripline_store::migrate(&pool).await.unwrap();
    let stage = Stage::on(url, pool, "", None);
    let scene = stage.enrol(1, 1).await;
    let worker =
        listening(&stage, "127.0.0.1:0").setting("WORKER__WEBHOOKS__TIMEOUT_SECONDS", &2).start();
    stage.wait_for(&scene, DeliveryState::Sent, 1).await;
    let path = callback(&stage, &scene, "twilio");
    let sid = stage.carrier.log()[0].sid.clone().unwrap();
    let report = signed(&path, &[("MessageSid", &sid), ("MessageStatus", "delivered")]);

    let stopped = server.options().clone();
    tokio::task::spawn_blocking(move || EmbeddedPostgres::stop(&stopped).unwrap()).await.unwrap();
    let answered = call(&worker.webhooks(), &report).await;
    assert_eq!(answered.status, 503, "{answered:?}");
    assert!(answered.head.contains("retry-after: 10"), "{answered:?}");
    let back = server.options().clone();
    tokio::task::spawn_blocking(move || EmbeddedPostgres::ensure_started(&back).unwrap())
        .await
        .unwrap();
    let started = std::time::Instant::now();
    while call(&worker.webhooks(), &report).await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "nobody hears the carrier");
        pause().await;
    }
    assert_eq!(stage.number("SELECT count(*) FROM receipts WHERE status = 'delivered'"), 1);
    worker.stop().await;
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_the_commit_and_the_answer_hears_it_again() {
    for point in ["record-receipts-commit", "record-receipts-committed"] {
        let mut stage = Stage::new().await;
        let at = free_address();
        let plan = format!(
            "[reports]\ndeliver_to = \"{at}\"\ntries = 10000\nafter_ms = 50\n\
             [[rules]]\nattempts = 1\nfault = \"error-after\"\n"
        );
        stage.carrier.restart_with(&plan);
        let scene = stage.enrol(1, CONTACTS).await;
        let mut doomed = listening(&stage, &at).failpoints(&format!("{point}=return")).start();
        doomed.ended().await;
        let worker = listening(&stage, &at).start();
        let ended = "SELECT count(*) FROM receipts WHERE status = 'delivered'";
        stage.wait_for_number(ended, i64::try_from(CONTACTS).unwrap()).await;
        stage.wait_for(&scene, DeliveryState::Sent, CONTACTS as u64).await;
        while answers(&stage).get(&200).copied().unwrap_or(0) < CONTACTS {
            pause().await;
        }
        worker.stop().await;
        stage.assert_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_was_cut_off_is_finished_when_it_is_brought_again() {
    for point in ["receive-inbound-commit", "receive-inbound-committed", "remove-contact-commit"] {
        let stage = Stage::new().await;
        let at = free_address();
        let later = vec![step(Duration::from_hours(1))];
        let scene = stage.enrol_in(later, 2).await;
        let path = callback(&stage, &scene, "twilio");
        let words =
            [("MessageSid", "SM1"), ("From", "+1555000000001"), ("To", "+1"), ("Body", "Stop")];
        let stop = signed(&path, &words);
        let mut doomed = listening(&stage, &at).failpoints(&format!("{point}=return")).start();
        assert_eq!(call(&at, &stop).await.status, 0, "{point}");
        doomed.ended().await;
        let worker = listening(&stage, &at).start();
        for _ in 0..2 {
            assert_eq!(call(&at, &stop).await.status, 200, "{point}");
        }
        assert_eq!(stage.count(&scene, DeliveryState::Cancelled).await, 1, "{point}");
        assert_eq!(stage.number("SELECT count(*) FROM inbound_messages"), 1, "{point}");
        worker.stop().await;
        stage.assert_invariants().await;
    }
}

/// Nobody listens there. A worker that comes back must have the address of the one before.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_taken_is_said_with_the_way_out() {
    let stage = Stage::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let said = listening(&stage, &at).fails();
    assert!(
        said.contains(&format!("listen for carriers at {at}, as `worker.webhooks.listen` says")),
        "{said}"
    );
    assert!(said.contains("another program listens there, perhaps another worker"), "{said}");
    let said = listening(&stage, "192.0.2.1:80").fails();
    assert!(said.contains("this machine has no such address"), "{said}");
    // Without the address that carriers call, nothing could be proved.
    let said = listening(&stage, &at).setting("WORKER__WEBHOOKS__PUBLIC_URL", &"").fails();
    assert!(said.contains("say there how carriers reach it"), "{said}");
}
