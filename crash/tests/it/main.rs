//! Every crash point strikes once. `cargo xtask crash` plays them all many times.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dripline_crash::points;
use dripline_crash::run::{Options, run};
use dripline_crash::scene::scenes;
use dripline_crash::stage::Programs;

#[test]
fn every_point_has_a_scene_and_a_name_of_its_own() {
    let all = points::all();
    for point in &all {
        assert!(!scenes(point).is_empty(), "`{point}` has no scene");
    }
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
    assert!(all.len() >= 40, "there are only {} points", all.len());
    assert!(scenes("no-such-point").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_point_is_survived() {
    let directory = |name: &str| -> PathBuf {
        let value = std::env::var_os(name);
        value.unwrap_or_else(|| panic!("set {name}, or run `cargo xtask test`")).into()
    };
    let home = tempfile::tempdir().unwrap();
    let programs = Programs {
        directory: directory("DRIPLINE_TEST_PROGRAMS"),
        own: env!("CARGO_BIN_EXE_dripline-crash").into(),
        plugins: directory("DRIPLINE_TEST_PLUGINS"),
        plugin_cache: home.path().join("cache"),
    };
    let programs = programs.with_plugins(home.path()).unwrap();
    let options = Options { times: 1, seed: 1, parallel: 6, points: Vec::new() };
    let summary = run(&programs, &options, |_| ()).await.unwrap();
    let violations = summary.violations;
    // Nothing but these: whoever reads a shortened log sees what was not survived.
    assert!(violations.is_empty(), "{} not survived:\n{}", violations.len(), violations.join("\n"));
    assert_eq!(summary.points, points::all().len());
}
