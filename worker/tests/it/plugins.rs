//! Plugins in the database: every worker loads them, changes them while it works, and keeps the version before when
//! the next one does not load.

use std::path::Path;
use std::time::Duration;

use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_plugin_host::{HostOptions, Permission, PluginHost, PluginInfo};
use dripline_store::ops::{NewPluginVersion, install_plugin, remove_plugin};
use dripline_store::plugin::{self, PluginLoad};
use dripline_store::testing::factory::step;

use crate::support::{PATIENCE, Stage, pause};

/// A component as the tests' folder has it, with what it says of itself.
fn built(stage: &Stage, name: &str) -> (Vec<u8>, PluginInfo) {
    let path = stage.home().join("plugins").join(format!("{}.wasm", name.replace('-', "_")));
    let bytes = std::fs::read(path).unwrap();
    let host = PluginHost::new(HostOptions::default()).unwrap();
    let info = host.load(name, &bytes).unwrap();
    (bytes, info)
}

/// Installs bytes under a name, with what was approved of them.
async fn install(
    stage: &Stage,
    info: &PluginInfo,
    bytes: &[u8],
    digest: &str,
    approved: &[String],
) {
    let new = NewPluginVersion {
        name: &info.name,
        kind: &info.kind.to_string(),
        digest,
        version: "1",
        component: bytes,
        permissions: approved,
    };
    install_plugin(&stage.pool, &SystemClock, &new, "ann").await.unwrap();
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
    let (bytes, info) = built(&stage, "twilio");
    install(&stage, &info, &bytes, &info.digest, &permissions(&info)).await;
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
    let (bytes, info) = built(&stage, "twilio");
    remove_file(stage.home(), "twilio.wasm");
    let scene = stage.enrol_in(vec![step(Duration::ZERO)], 4).await;
    let worker = stage.worker().start();

    // No carrier yet: the route waits. It is installed, and the messages leave without a restart.
    install(&stage, &info, &bytes, &info.digest, &permissions(&info)).await;
    wait_for_load(&stage, "twilio", |load| load.problem.is_none()).await;
    stage.wait_for(&scene, DeliveryState::Sent, 4).await;

    // Bytes that are no component, a digest that is not theirs, and more than was approved: each leaves the version
    // before at work.
    let broken = b"\0asm nonsense".to_vec();
    let digest = "ab".repeat(32);
    install(&stage, &info, &broken, &digest, &permissions(&info)).await;
    let load = wait_for_load(&stage, "twilio", |load| load.digest == digest).await;
    assert!(load.problem.is_some(), "{load:?}");

    let other = "cd".repeat(32);
    install(&stage, &info, &bytes, &other, &permissions(&info)).await;
    let load = wait_for_load(&stage, "twilio", |load| load.digest == other).await;
    assert!(load.problem.unwrap().contains("is not the one that was installed"));

    install(&stage, &info, &bytes, &info.digest, &[]).await;
    let load = wait_for_load(&stage, "twilio", |load| load.digest == info.digest).await;
    let problem = load.problem.unwrap();
    assert!(problem.contains("asks for what nobody has approved: origin {api_base}"), "{problem}");

    // Approved as it should be, the same bytes are loaded.
    install(&stage, &info, &bytes, &info.digest, &permissions(&info)).await;
    wait_for_load(&stage, "twilio", |load| load.problem.is_none()).await;

    let again = stage.enrol_in(vec![step(Duration::ZERO)], 4).await;
    stage.wait_for(&again, DeliveryState::Sent, 4).await;
    worker.stop().await;
    assert_eq!(stage.carrier.log().len(), 8);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_plugin_is_unloaded() {
    let stage = Stage::new().await;
    let (bytes, info) = built(&stage, "keyed-carrier");
    remove_file(stage.home(), "keyed_carrier.wasm");
    install(&stage, &info, &bytes, &info.digest, &permissions(&info)).await;
    let worker = stage.worker().setting("TELEMETRY__FILTER", &"info").start();
    wait_for_load(&stage, "keyed-carrier", |load| load.problem.is_none()).await;
    remove_plugin(&stage.pool, &SystemClock, "keyed-carrier", "ann").await.unwrap();
    worker.says("plugin unloaded").await;
    worker.stop().await;
}
