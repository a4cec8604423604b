//! What cannot be done is refused with a reason, and changes nothing.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use dripline_embedded_postgres::{EmbeddedError, EmbeddedPostgres, reachable_by_server_user};

use crate::support::{Place, query};

#[test]
fn a_port_in_use_is_named() {
    let mut place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    place.options.port = Some(taken);
    let error = EmbeddedPostgres::ensure_started(&place.options).unwrap_err();
    assert!(matches!(error, EmbeddedError::PortInUse { port } if port == taken), "{error}");
    drop(listener);
    assert_eq!(place.start().port, Some(taken));
}

#[test]
fn a_wrong_binaries_directory_is_named() {
    let mut place = Place::new();
    place.options.binaries_dir = Some(place.path().to_owned());
    let error = EmbeddedPostgres::ensure_started(&place.options).unwrap_err();
    assert!(matches!(&error, EmbeddedError::BinariesUnusable { .. }), "{error}");
    assert!(error.to_string().contains("there is no `postgres` in it"), "{error}");
}

#[test]
fn data_of_another_version_is_left_alone() {
    let place = Place::new();
    let running = place.start();
    query(&running.url, "CREATE TABLE kept (n int)").unwrap();
    EmbeddedPostgres::stop(&place.options).unwrap();
    let file = running.data_dir.join("PG_VERSION");
    let version = fs::read_to_string(&file).unwrap();
    fs::write(&file, "9\n").unwrap();
    let error = EmbeddedPostgres::ensure_started(&place.options).unwrap_err();
    assert!(matches!(error, EmbeddedError::VersionMismatch { data_version: 9, .. }), "{error}");
    fs::write(&file, version).unwrap();
    assert_eq!(query(&place.start().url, "SELECT count(*) FROM kept").unwrap(), "0");
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    let mut place = Place::new();
    place.start();
    EmbeddedPostgres::stop(&place.options).unwrap();
    place.options.settings.insert("shared_buffers".to_owned(), "many".to_owned());
    let error = EmbeddedPostgres::ensure_started(&place.options).unwrap_err().to_string();
    assert!(error.contains("shared_buffers"), "{error}");
}

#[test]
fn as_root_a_directory_that_the_server_user_cannot_enter_is_named() {
    let mut place = Place::new();
    let locked = place.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o700)).unwrap();
    place.options.directory = locked.join("state/postgres");
    let reachable = reachable_by_server_user(&place.options);
    if !rustix::process::geteuid().is_root() {
        return reachable.unwrap();
    }
    let error = reachable.unwrap_err();
    assert!(
        matches!(&error, EmbeddedError::Unreachable { blocked_at, .. } if *blocked_at == locked),
        "{error}"
    );
    assert!(EmbeddedPostgres::ensure_started(&place.options).is_err());
    assert!(!locked.join("state").exists(), "a refusal leaves nothing behind");
}

#[test]
fn as_root_an_unknown_server_user_is_refused() {
    let mut place = Place::new();
    place.options.server_user = Some("nobody-of-this-name".to_owned());
    let started = EmbeddedPostgres::ensure_started(&place.options);
    if rustix::process::geteuid().is_root() {
        let error = started.unwrap_err();
        assert!(matches!(error, EmbeddedError::NoServerUser { .. }), "{error}");
    } else {
        started.unwrap();
    }
}
