use std::fs;
use std::path::Path;
use std::time::Duration;

use dripline_config::{ConfigError, LogFormat, load_from};

use super::{load, load_in};

#[test]
fn nobody_sets_anything() {
    let settings = load("", &[]).unwrap();
    assert_eq!(settings.state_dir, Path::new("/home/anna/.local/state/dripline"));
    assert_eq!(settings.postgres_dir(), Path::new("/home/anna/.local/state/dripline/postgres"));
    assert_eq!(settings.database.url, None);
    assert_eq!(settings.database.embedded.port, None);
    assert_eq!(settings.database.embedded.binaries_dir, None);
    assert_eq!(settings.worker.dead_after_seconds, 30);
    // What a worker had claimed that is gone is with others within a minute: seen at the latest by the sweep after.
    assert!(settings.worker.dead_after_seconds + settings.worker.sweep_seconds <= 60);
    assert_eq!(settings.worker.retry.policy(), dripline_domain::retry::RetryPolicy::default());
    assert_eq!(settings.plugins.directory, settings.state_dir.join("plugins"));
    assert_eq!(settings.plugins.cache_directory, settings.state_dir.join("plugin-cache"));
    assert_eq!(settings.plugins.renderer.memory_bytes(), 32 * 1024 * 1024);
    assert_eq!(settings.plugins.carrier.deadline(), Duration::from_millis(50));
    assert_eq!(settings.plugins.threads, None);
    assert_eq!(settings.telemetry.format, LogFormat::Human);
    assert_eq!(settings.cli.account, None);
}

#[test]
fn the_environment_wins_over_the_file() {
    let toml = "worker.concurrency = 7\n[worker.retry]\nmax_attempts = 2\n";
    let settings = load(toml, &[("DRIPLINE__WORKER__RETRY__MAX_ATTEMPTS", "3")]).unwrap();
    assert_eq!(settings.worker.concurrency, 7);
    assert_eq!(settings.worker.retry.max_attempts, 3);
    assert_eq!(settings.worker.retry.first_seconds, 5);
}

#[test]
fn short_names() {
    let environment =
        [("DATABASE_URL", "postgres://a@h/d"), ("DRIPLINE_STATE_DIR", "/var/dripline")];
    let settings = load("", &environment).unwrap();
    assert_eq!(settings.database.url.unwrap().expose(), "postgres://a@h/d");
    assert_eq!(settings.state_dir, Path::new("/var/dripline"));
    let long =
        [("DATABASE_URL", "postgres://a@h/d"), ("DRIPLINE__DATABASE__URL", "postgres://b@h/d")];
    assert_eq!(load("", &long).unwrap().database.url.unwrap().expose(), "postgres://b@h/d");
    // Set and empty is how a shell unsets.
    assert_eq!(load("", &[("DATABASE_URL", "")]).unwrap().database.url, None);
}

#[test]
fn one_file_is_read() {
    let home = tempfile::tempdir().unwrap();
    let here = tempfile::tempdir().unwrap();
    let home_text = home.path().to_str().unwrap();
    let below = home.path().join("dripline");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("dripline.toml"), "worker.concurrency = 1\ncli.account = \"home\"")
        .unwrap();
    let xdg = [("XDG_CONFIG_HOME", home_text)];
    assert_eq!(load_in(here.path(), None, &xdg).unwrap().worker.concurrency, 1);

    fs::write(here.path().join("dripline.toml"), "worker.concurrency = 2").unwrap();
    let settings = load_in(here.path(), None, &xdg).unwrap();
    assert_eq!((settings.worker.concurrency, settings.cli.account), (2, None));

    let given = here.path().join("given.toml");
    fs::write(&given, "worker.concurrency = 3").unwrap();
    assert_eq!(load_in(here.path(), Some(&given), &xdg).unwrap().worker.concurrency, 3);
}

#[test]
fn a_given_file_must_be_there() {
    let error = load_in(Path::new("/"), Some(Path::new("/nowhere/d.toml")), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert_eq!(error.to_string(), "cannot read /nowhere/d.toml");
}

#[test]
fn paths_in_a_file_are_meant_from_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("d.toml");
    fs::write(&file, "state_dir = \"state\"\nplugins.directory = \"/opt/plugins\"").unwrap();
    let environment = [("DRIPLINE__DATABASE__EMBEDDED__BINARIES_DIR", "bin")];
    let settings = load_in(Path::new("/"), Some(&file), &environment).unwrap();
    assert_eq!(settings.state_dir, directory.path().join("state"));
    assert_eq!(settings.plugins.directory, Path::new("/opt/plugins"));
    let here = std::env::current_dir().unwrap();
    assert_eq!(settings.database.embedded.binaries_dir, Some(here.join("bin")));
}

#[test]
fn without_a_home_there_is_no_state_directory() {
    let nothing: [(&str, &str); 0] = [];
    let directory = tempfile::tempdir().unwrap();
    let error = load_from(directory.path(), None, nothing).unwrap_err();
    assert!(matches!(error, ConfigError::NoStateDirectory));
    let settings = load_from(directory.path(), None, [("XDG_STATE_HOME", "/s")]).unwrap();
    assert_eq!(settings.state_dir, Path::new("/s/dripline"));
}
