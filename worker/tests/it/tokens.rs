//! Carriers that want a token with each request: it is fetched once for many messages, again before it ends and when
//! it is refused, and kept nowhere but in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use dripline_carrier_simulator::log::LogEntry;
use dripline_carrier_simulator::tokens::TOKEN_BEGINS;
use dripline_domain::delivery::DeliveryState;
use dripline_store::route_halt::{self, RouteHalt};
use dripline_store::testing::factory::{Route, step};

use crate::support::{ACCOUNT_SID, PATIENCE, Scene, Stage, WorkerCommand, pause, route_to};

/// In flight at most.
const CONCURRENCY: usize = 8;

fn route(origin: &str, client_in: &str, secret: &str) -> Route {
    let settings = [("client_id", ACCOUNT_SID), ("api_base", origin), ("client_in", client_in)];
    Route {
        carrier: Some("token-carrier".to_owned()),
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        secrets: BTreeMap::from([("client_secret".to_owned(), secret.to_owned())]),
        ..route_to(origin)
    }
}

async fn enrol(stage: &Stage, client_in: &str, secret: &str, contacts: usize) -> Scene {
    let route = route(&stage.carrier.origin(), client_in, secret);
    stage.enrol_on(route, vec![step(Duration::ZERO)], contacts).await
}

/// Few in flight, a breaker that is quick to halt, and a log that says everything.
fn worker(stage: &Stage) -> WorkerCommand {
    stage
        .worker()
        .setting("WORKER__CONCURRENCY", &CONCURRENCY)
        .setting("WORKER__RETRY__MAX_ATTEMPTS", &20)
        .setting("WORKER__BREAKER__FAILURES", &3)
        .setting("WORKER__BREAKER__COOL_DOWN_SECONDS", &1)
        .setting("WORKER__BREAKER__CEILING_SECONDS", &2)
        .setting("TELEMETRY__FILTER", &"debug,dripline_worker=trace,dripline_plugin_host=trace")
}

fn count(log: &[LogEntry], decision: &str) -> usize {
    log.iter().filter(|entry| entry.decision == decision).count()
}

/// How many rows of the database say this.
fn rows_that_say(stage: &Stage, text: &str) -> i64 {
    stage.sql(
        "CREATE OR REPLACE FUNCTION rows_that_say(said TEXT) RETURNS BIGINT LANGUAGE plpgsql AS $$
         DECLARE
             place TEXT;
             found BIGINT;
             total BIGINT := 0;
         BEGIN
             FOR place IN
                 SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
                 WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
             LOOP
                 EXECUTE format('SELECT count(*) FROM %s AS r WHERE strpos(r::TEXT, $1) > 0', place)
                 INTO found USING said;
                 total := total + found;
             END LOOP;
             RETURN total;
         END $$",
    );
    stage.number(&format!("SELECT rows_that_say('{text}')"))
}

/// How a token looks wherever it may have been written: as it is, as octets of the database, and in base64.
fn looks() -> Vec<String> {
    let hex = TOKEN_BEGINS.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let base64 = (0..3).map(|lead| {
        let encoded = STANDARD_NO_PAD.encode(format!("{}{TOKEN_BEGINS}", "x".repeat(lead)));
        // The first and the last letters depend on what stands around.
        encoded[4..encoded.len() - 4].to_owned()
    });
    [TOKEN_BEGINS.to_owned(), hex].into_iter().chain(base64).collect()
}

/// No token is in the database, in the worker's log, or in its files.
fn assert_nothing_is_kept(stage: &Stage, log: &str) {
    assert!(rows_that_say(stage, "token-carrier") > 0, "what is there is found");
    for look in looks() {
        assert_eq!(rows_that_say(stage, &look), 0, "`{look}` is in the database");
        assert!(!log.contains(&look), "`{look}` is in the log");
    }
    assert!(log.contains("a token was fetched"), "the log says everything");
    assert!(files_with(stage.home(), TOKEN_BEGINS).is_empty());
}

/// Files below the folder that hold the text; links are not followed.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_need_one_token() {
    for client_in in ["header", "form"] {
        let stage = Stage::with_faults("latency_ms = [50, 100]").await;
        let scene = enrol(&stage, client_in, "env:TEST_AUTH_TOKEN", 200).await;
        let worker = worker(&stage).setting("WORKER__CONCURRENCY", &64).start();
        stage.wait_for(&scene, DeliveryState::Sent, 200).await;
        let said = worker.stop().await;

        let log = stage.carrier.log();
        assert_eq!((count(&log, "token"), count(&log, "accept")), (1, 200), "{client_in}");
        assert_eq!(log.len(), 201, "{client_in}");
        assert_nothing_is_kept(&stage, &said);
        stage.assert_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_again_before_it_ends() {
    let plan = "latency_ms = [200, 300]\n[tokens]\nlifetime_seconds = 2\n";
    let stage = Stage::with_faults(plan).await;
    let scene = enrol(&stage, "header", "env:TEST_AUTH_TOKEN", 200).await;
    let worker = worker(&stage).start();
    stage.wait_for(&scene, DeliveryState::Sent, 200).await;
    let said = worker.stop().await;

    // 200 messages, eight at once and each in a fifth of a second or more, are five seconds at least.
    let log = stage.carrier.log();
    assert!(count(&log, "token") >= 3, "{} tokens", count(&log, "token"));
    assert_eq!(count(&log, "accept"), 200);
    assert_nothing_is_kept(&stage, &said);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_costs_nobody_an_attempt() {
    let plan = "latency_ms = [20, 50]\n[tokens]\nuses = 60\n";
    let stage = Stage::with_faults(plan).await;
    let scene = enrol(&stage, "header", "env:TEST_AUTH_TOKEN", 100).await;
    let worker = worker(&stage).start();
    stage.wait_for(&scene, DeliveryState::Sent, 100).await;
    let said = worker.stop().await;

    let log = stage.carrier.log();
    assert_eq!((count(&log, "token"), count(&log, "accept")), (2, 100));
    let refused = count(&log, "refuse");
    assert!((1..=CONCURRENCY).contains(&refused), "{refused} were refused");
    assert_eq!(stage.number("SELECT max(attempt) FROM attempts"), 1);
    // Though more were refused in a row than its breaker would take of any other failure.
    assert_eq!(stage.number("SELECT count(*) FROM route_halts"), 0);
    assert_nothing_is_kept(&stage, &said);
    stage.assert_invariants().await;
}

/// A carrier that keeps one token for each client, and two workers, each with its own.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_take_each_others_token_lose_no_message() {
    let plan = "latency_ms = [20, 50]\n[tokens]\nonly_the_last = true\n";
    let stage = Stage::with_faults(plan).await;
    let scene = enrol(&stage, "header", "env:TEST_AUTH_TOKEN", 100).await;
    let workers: Vec<_> = (0..2).map(|_| worker(&stage).start()).collect();
    stage.wait_for(&scene, DeliveryState::Sent, 100).await;
    for worker in workers {
        assert_nothing_is_kept(&stage, &worker.stop().await);
    }
    let log = stage.carrier.log();
    assert_eq!(count(&log, "accept"), 100);
    // They do not fetch for ever what the other one takes away.
    let why = "SELECT count(*) FROM route_halts WHERE reason_code = 'token_revoked'";
    assert!(stage.number(why) > 0);
    assert!(count(&log, "token") < 100, "{} tokens", count(&log, "token"));
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_that_hangs_keeps_no_place_from_other_routes() {
    let mut stage = Stage::with_faults("[tokens]\nfault = \"timeout-before\"\n").await;
    let scene = enrol(&stage, "header", "env:TEST_AUTH_TOKEN", 40).await;
    let harmless = stage.enrol(1, 200).await;
    // Longer than this test waits for anything.
    let timeout_ms = 2 * PATIENCE.as_millis();
    let worker = worker(&stage).setting("WORKER__SEND_TIMEOUT_MS", &timeout_ms).start();
    stage.wait_for(&harmless, DeliveryState::Sent, 200).await;
    let halt = wait_for_halt(&stage, &scene).await;
    assert_eq!(halt.reason.code, "token_slow");
    assert_eq!(count(&stage.carrier.log(), "timeout-before"), 1, "one fetch is enough to wait for");
    assert_eq!(stage.number("SELECT max(attempt) FROM deliveries WHERE state = 'queued'"), 0);
    stage.carrier.restart_with("");
    stage.wait_for(&scene, DeliveryState::Sent, 40).await;
    let said = worker.stop().await;
    assert_nothing_is_kept(&stage, &said);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_route_is_halted_and_nothing_is_lost() {
    let mut stage = Stage::with_faults("[tokens]\nfault = \"error-before\"\n").await;
    let scene = enrol(&stage, "header", "env:TEST_AUTH_TOKEN", 40).await;
    let harmless = stage.enrol(1, 20).await;
    let worker = worker(&stage).start();
    stage.wait_for(&harmless, DeliveryState::Sent, 20).await;
    let halt = wait_for_halt(&stage, &scene).await;
    assert_eq!(halt.reason.code, "token-carrier:http-500");
    assert!(halt.reason.text.starts_with("no token: "), "{:?}", halt.reason);
    assert_eq!(stage.count(&scene, DeliveryState::Queued).await, 40);
    // Nothing was marked, since nothing could leave.
    let marked = "SELECT count(*) FROM attempts JOIN routes USING (route_id) \
                  WHERE carrier = 'token-carrier'";
    assert_eq!(stage.number(marked), 0);
    stage.carrier.restart_with("");
    stage.wait_for(&scene, DeliveryState::Sent, 40).await;
    let said = worker.stop().await;
    assert_eq!(count(&stage.carrier.log(), "token"), 1);
    assert_nothing_is_kept(&stage, &said);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_secret_halts_the_route() {
    let stage = Stage::new().await;
    let scene = enrol(&stage, "form", "env:TEST_WRONG_TOKEN", 20).await;
    let worker = worker(&stage).environment("TEST_WRONG_TOKEN", "not-the-secret").start();
    let halt = wait_for_halt(&stage, &scene).await;
    assert_eq!(halt.reason.code, "token-carrier:invalid_client");
    let said = worker.stop().await;
    assert!(!said.contains("not-the-secret"), "{said}");
    let log = stage.carrier.log();
    assert!(log.iter().all(|entry| entry.decision == "token-refused"), "{log:?}");
    assert_eq!(stage.count(&scene, DeliveryState::Queued).await, 20);
    assert_eq!(stage.number("SELECT max(attempt) FROM deliveries"), 0, "no attempt is lost");
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_about_a_message_wants_the_token_too() {
    let stage = Stage::with_faults("[[rules]]\nattempts = 1\nfault = \"reset-after\"\n").await;
    let scene = enrol(&stage, "header", "env:TEST_AUTH_TOKEN", 12).await;
    let worker = worker(&stage).setting("WORKER__BREAKER__FAILURES", &100_000).start();
    stage.wait_for(&scene, DeliveryState::Sent, 12).await;
    let said = worker.stop().await;
    let log = stage.carrier.log();
    assert_eq!((count(&log, "token"), count(&log, "reset-after")), (1, 12));
    assert!(count(&log, "look-up") >= 12, "{log:?}");
    assert_nothing_is_kept(&stage, &said);
    stage.assert_invariants().await;
}

/// Waits until the scene's route is halted, and has been probed in vain.
async fn wait_for_halt(stage: &Stage, scene: &Scene) -> RouteHalt {
    let begun = Instant::now();
    loop {
        let halts = route_halt::current(&stage.pool, scene.account_id, None).await.unwrap();
        if let Some(halt) = halts.into_iter().find(|halt| halt.failed_probes > 0) {
            return halt;
        }
        assert!(begun.elapsed() < PATIENCE, "the route is not halted");
        pause().await;
    }
}
