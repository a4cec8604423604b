//! Plugins in the database: every worker loads them, changes them while it works, and goes back to the version before
//! when the next one does not load.

use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use dripline_domain::clock::{Clock as _, ManualClock, SystemClock};
use dripline_domain::delivery::DeliveryState;
use dripline_plugin_host::{HostOptions, Limits, Permission, PluginHost, PluginInfo};
use dripline_store::Pool;
use dripline_store::ops::{NewPluginVersion, install_plugin, remove_plugin};
use dripline_store::plugin::{self, PluginLoad};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::step;
use dripline_worker::installed::{Installed, Tried};

use crate::support::{PATIENCE, Stage, pause};

/// A component that was built from source.
fn component(file: &str) -> Vec<u8> {
    let built = std::env::var_os("DRIPLINE_TEST_PLUGINS").expect("run `cargo xtask test`");
    std::fs::read(Path::new(&built).join(file)).unwrap()
}

/// A component with what it says of itself.
fn built(file: &str, name: &str) -> (Vec<u8>, PluginInfo) {
    let bytes = component(file);
    let info = host(PATIENCE).load(name, &bytes).unwrap();
    (bytes, info)
}

fn twilio() -> (Vec<u8>, PluginInfo) {
    built("twilio.wasm", "twilio")
}

/// A host with so much time to compile a plugin in.
fn host(compile_timeout: Duration) -> PluginHost {
    // Generous: the tests share their processors with compilers.
    let carrier_deadline = Duration::from_secs(2);
    let limits = Limits { carrier_deadline, compile_timeout, ..Limits::default() };
    PluginHost::new(HostOptions { limits, ..HostOptions::default() }).unwrap()
}

/// Installs bytes under a name, with what was approved of them.
async fn install(pool: &Pool, info: &PluginInfo, bytes: &[u8], digest: &str, approved: &[String]) {
    let new = NewPluginVersion {
        name: &info.name,
        kind: &info.kind.to_string(),
        digest,
        version: "1",
        component: bytes,
        permissions: approved,
    };
    install_plugin(pool, &SystemClock, &new, "ann").await.unwrap();
}

/// Installs a version that loads, with what it asks for approved.
async fn install_whole(pool: &Pool, (bytes, info): &(Vec<u8>, PluginInfo)) {
    install(pool, info, bytes, &info.digest, &permissions(info)).await;
}

/// Installs what is no component, and gives its digest.
async fn install_broken(pool: &Pool, info: &PluginInfo) -> String {
    let digest = "ab".repeat(32);
    install(pool, info, b"\0asm nonsense", &digest, &permissions(info)).await;
    digest
}

fn permissions(info: &PluginInfo) -> Vec<String> {
    info.permissions().iter().map(Permission::to_string).collect()
}

async fn wait_for_load(
    stage: &Stage,
    name: &str,
    enough: impl Fn(&PluginLoad) -> bool,
) -> PluginLoad {
    let begun = std::time::Instant::now();
    loop {
        let loads = plugin::loads(&stage.pool, name).await.unwrap();
        if let Some(load) = loads.iter().find(|load| enough(load)) {
            return load.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{name} is not loaded like that: {loads:?}");
        pause().await;
    }
}

fn remove_file(folder: &Path, name: &str) {
    std::fs::remove_file(folder.join("plugins").join(name)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_carrier_sends_where_there_is_no_file() {
    let stage = Stage::new().await;
    let (bytes, info) = twilio();
    install(&stage.pool, &info, &bytes, &info.digest, &permissions(&info)).await;
    remove_file(stage.home(), "twilio.wasm");
    let scene = stage.enrol_in(vec![step(Duration::ZERO)], 4).await;
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sent, 4).await;
    let load = wait_for_load(&stage, "twilio", |_| true).await;
    assert_eq!((load.digest, load.problem), (info.digest, None));
    worker.stop().await;
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_comes_while_it_works_is_loaded_and_a_bad_one_is_not() {
    let stage = Stage::new().await;
    let (bytes, info) = twilio();
    remove_file(stage.home(), "twilio.wasm");
    let scene = stage.enrol_in(vec![step(Duration::ZERO)], 4).await;
    let worker = stage.worker().start();

    // No carrier yet: the route waits. It is installed, and the messages leave without a restart.
    install(&stage.pool, &info, &bytes, &info.digest, &permissions(&info)).await;
    wait_for_load(&stage, "twilio", |load| load.problem.is_none()).await;
    stage.wait_for(&scene, DeliveryState::Sent, 4).await;

    // Bytes that are no component, a digest that is not theirs, and more than was approved are not loaded.
    let digest = install_broken(&stage.pool, &info).await;
    let load = wait_for_load(&stage, "twilio", |load| load.digest == digest).await;
    assert!(load.problem.is_some(), "{load:?}");
    // The version before is at work meanwhile.
    assert_eq!(load.runs, Some(info.digest.clone()));
    let meanwhile = stage.enrol_in(vec![step(Duration::ZERO)], 4).await;
    stage.wait_for(&meanwhile, DeliveryState::Sent, 4).await;

    let other = "cd".repeat(32);
    install(&stage.pool, &info, &bytes, &other, &permissions(&info)).await;
    let load = wait_for_load(&stage, "twilio", |load| load.digest == other).await;
    assert!(load.problem.unwrap().contains("is not the one that was installed"));

    install(&stage.pool, &info, &bytes, &info.digest, &[]).await;
    let load = wait_for_load(&stage, "twilio", |load| load.digest == info.digest).await;
    let problem = load.problem.unwrap();
    assert!(problem.contains("asks for what nobody has approved: origin {api_base}"), "{problem}");

    // Approved as it should be, the same bytes are loaded.
    install(&stage.pool, &info, &bytes, &info.digest, &permissions(&info)).await;
    wait_for_load(&stage, "twilio", |load| load.problem.is_none()).await;

    let again = stage.enrol_in(vec![step(Duration::ZERO)], 4).await;
    stage.wait_for(&again, DeliveryState::Sent, 4).await;
    worker.stop().await;
    assert_eq!(stage.carrier.log().len(), 12);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_plugin_is_unloaded() {
    let stage = Stage::new().await;
    let (bytes, info) = built("keyed_carrier.wasm", "keyed-carrier");
    remove_file(stage.home(), "keyed_carrier.wasm");
    install(&stage.pool, &info, &bytes, &info.digest, &permissions(&info)).await;
    let worker = stage.worker().setting("TELEMETRY__FILTER", &"info").start();
    wait_for_load(&stage, "keyed-carrier", |load| load.problem.is_none()).await;
    remove_plugin(&stage.pool, &SystemClock, "keyed-carrier", "ann").await.unwrap();
    worker.says("plugin unloaded").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_where_the_version_in_force_is_bad_sends_by_the_one_before() {
    let stage = Stage::new().await;
    let (twilio, next) = (twilio(), built("twilio_next.wasm", "twilio"));
    // Somebody wanted no more of the second version, which would load.
    install_whole(&stage.pool, &twilio).await;
    install_whole(&stage.pool, &next).await;
    install_whole(&stage.pool, &twilio).await;
    let broken = install_broken(&stage.pool, &twilio.1).await;
    // Nor is a file of that name taken, which nobody has approved.
    let file = stage.home().join("plugins/twilio.wasm");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, next.0).unwrap();

    let scene = stage.enrol_in(vec![step(Duration::ZERO)], 4).await;
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sent, 4).await;
    let load = wait_for_load(&stage, "twilio", |load| load.digest == broken).await;
    assert_eq!(load.runs, Some(twilio.1.digest));
    assert!(load.problem.unwrap().contains("is not a valid component"));
    worker.says("an installed plugin cannot be loaded, and an earlier version runs").await;
    worker.stop().await;
    assert_eq!(sent_by_next(&stage), 0);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_the_wire_when_a_version_comes_is_read_by_the_one_that_sent_it() {
    const MANY: usize = 400;
    let stage = Stage::with_faults("latency_ms = [500, 900]").await;
    let (twilio, next) = (twilio(), built("twilio_next.wasm", "twilio"));
    install_whole(&stage.pool, &twilio).await;
    remove_file(stage.home(), "twilio.wasm");
    let scene = stage.enrol_in(vec![step(Duration::ZERO)], MANY).await;
    let worker = stage.worker().start();
    // The carrier has seen as many as are on the wire at once, and answers them half a second later at least.
    let begun = std::time::Instant::now();
    while stage.carrier.log().len() < 32 {
        assert!(begun.elapsed() < PATIENCE, "nothing is sent");
        pause().await;
    }
    install_whole(&stage.pool, &next).await;
    wait_for_load(&stage, "twilio", |load| load.runs.as_ref() == Some(&next.1.digest)).await;
    assert!(stage.count(&scene, DeliveryState::Sending).await > 0);
    stage.wait_until_quiet(&scene).await;
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, MANY as u64);
    assert!((1..MANY).contains(&sent_by_next(&stage)), "{}", sent_by_next(&stage));

    let before = sent_by_next(&stage);
    let later = stage.enrol_in(vec![step(Duration::ZERO)], 4).await;
    stage.wait_for(&later, DeliveryState::Sent, 4).await;
    worker.stop().await;
    assert_eq!(sent_by_next(&stage), before + 4);
    assert_eq!(stage.carrier.log().len(), MANY + 4);
    stage.assert_invariants().await;
}

/// How many messages the later version of `twilio` has sent.
fn sent_by_next(stage: &Stage) -> usize {
    stage.carrier.log().iter().filter(|entry| entry.from == "NEXT").count()
}

/// The one plugin that was tried.
async fn tried(installed: &Installed, pool: &Pool, host: &PluginHost) -> Tried {
    let mut tried = installed.sync(pool, host, &SystemClock).await.unwrap();
    assert_eq!(tried.len(), 1, "{tried:?}");
    tried.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_or_not_approved_does_not_go_on() {
    let database = TestDatabase::new().await;
    let (pool, host, installed) = (database.pool(), host(PATIENCE), Installed::default());
    let (twilio, next) = (twilio(), built("twilio_next.wasm", "twilio"));
    // The first version asks for more than was approved of it.
    install(pool, &twilio.1, &twilio.0, &twilio.1.digest, &[]).await;
    assert_eq!(tried(&installed, pool, &host).await.runs, None);
    install_whole(pool, &next).await;
    assert_eq!(tried(&installed, pool, &host).await.runs, Some(next.1.digest.clone()));
    // So the way back to it ends with nothing, rather than with what somebody has rolled back.
    install(pool, &twilio.1, &twilio.0, &twilio.1.digest, &[]).await;
    let back = tried(&installed, pool, &host).await;
    assert!(back.problem.unwrap().contains("nobody has approved"));
    assert_eq!((back.runs, host.plugins().len()), (None, 0));
    // Nor is it gone back to by whoever starts where a later version is bad.
    install_broken(pool, &next.1).await;
    assert_eq!(tried(&Installed::default(), pool, &host).await.runs, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_busy_machine_did_not_compile_in_time_is_tried_again_and_ever_later() {
    let database = TestDatabase::new().await;
    let (pool, installed) = (database.pool(), Installed::default());
    let clock = ManualClock::new(SystemClock.now());
    let busy = host(Duration::ZERO);
    let twilio = twilio();
    install_whole(pool, &twilio).await;
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        let tried = installed.sync(pool, &busy, &clock).await.unwrap();
        let problem = tried[0].problem.as_deref().unwrap();
        assert!(problem.contains("did not compile within"), "{problem}");
        assert!(problem.ends_with(&format!("tried again after {minutes} min")), "{problem}");
        clock.advance(TimeDelta::seconds(minutes * 60 - 1));
        assert_eq!(installed.sync(pool, &busy, &clock).await.unwrap(), []);
        clock.advance(TimeDelta::seconds(1));
    }
    let idle = host(PATIENCE);
    let tried = installed.sync(pool, &idle, &clock).await.unwrap();
    assert_eq!((&tried[0].problem, &tried[0].runs), (&None, &Some(twilio.1.digest.clone())));

    // What is wrong with bytes does not pass.
    install_broken(pool, &twilio.1).await;
    let tried = installed.sync(pool, &idle, &clock).await.unwrap();
    assert_eq!(tried[0].runs, Some(twilio.1.digest));
    clock.advance(TimeDelta::days(7));
    assert_eq!(installed.sync(pool, &idle, &clock).await.unwrap(), []);
}
