//! Start, stop, status, and what is on the disk.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Barrier;
use std::thread;

use dripline_embedded_postgres::{EmbeddedPostgres, Status, Stopped};

use crate::support::{Place, query, wait_until};

#[test]
fn a_server_starts_stops_and_keeps_its_data() {
    let place = Place::new();
    assert_eq!(EmbeddedPostgres::status(&place.options).unwrap(), Status::Absent);
    assert_eq!(EmbeddedPostgres::stop(&place.options).unwrap(), Stopped::WasNotRunning);

    let first = place.start();
    query(&first.url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)").unwrap();
    assert_eq!(EmbeddedPostgres::status(&place.options).unwrap(), Status::Running(first.clone()));
    assert_eq!(place.start(), first, "a second start finds the first server");

    let stopped = EmbeddedPostgres::stop(&place.options).unwrap();
    assert_eq!(stopped, Stopped::WasRunning { pid: first.pid });
    let data_dir = first.data_dir.clone();
    assert_eq!(EmbeddedPostgres::status(&place.options).unwrap(), Status::Stopped { data_dir });
    assert!(query(&first.url, "SELECT 1").is_err());

    let second = place.start();
    assert_eq!(second.url, first.url);
    assert_eq!(query(&second.url, "SELECT n FROM kept").unwrap(), "42");
}

#[test]
fn a_durable_server_syncs_and_logs_to_its_directory() {
    let mut place = Place::new();
    place.options.durability = dripline_embedded_postgres::Durability::Full;
    place.options.settings.insert("work_mem".to_owned(), "7MB".to_owned());
    let running = place.start();
    let show = |name: &str| query(&running.url, &format!("SHOW {name}")).unwrap();
    assert_eq!(show("fsync"), "on");
    assert_eq!(show("synchronous_commit"), "on");
    assert_eq!(show("data_checksums"), "on");
    assert_eq!(show("server_encoding"), "UTF8");
    assert_eq!(show("work_mem"), "7MB");
    query(&running.url, "SELECT no_such_column").unwrap_err();
    // The server's own log process writes it a moment later.
    wait_until("the error to be logged", || {
        fs::read_dir(&running.log_dir)
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .any(|text| text.contains("no_such_column"))
    });
}

#[test]
fn two_starts_at_once_make_one_server() {
    let place = Place::new();
    let barrier = Barrier::new(4);
    let started = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    place.start()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(started.iter().all(|running| *running == started[0]), "{started:?}");
}

#[test]
fn a_password_is_needed_and_nobody_else_can_read_it() {
    let place = Place::new();
    let running = place.start();
    let without = running
        .url
        .replacen(':', "\0", 1)
        .split('@')
        .nth(1)
        .map(|rest| format!("postgres://dripline@{rest}"));
    let refused = query(&without.unwrap(), "SELECT 1").unwrap_err();
    assert!(refused.contains("password"), "{refused}");
    let mode = |name: &str| {
        fs::metadata(place.options.directory.join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("password"), 0o600);
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("log"), 0o700);
    assert_eq!(mode("socket"), 0o700);
    assert_eq!(mode("") & 0o066, 0, "others may at most pass through");
    let shown = format!("{running:?}");
    let password = fs::read_to_string(place.options.directory.join("password")).unwrap();
    assert!(!shown.contains(&password), "{shown}");
}

#[test]
fn nothing_listens_on_a_port_unless_asked() {
    let mut place = Place::new();
    assert_eq!(place.start().port, None);
    EmbeddedPostgres::stop(&place.options).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place.options.port = Some(free);
    let running = place.start();
    assert_eq!(running.port, Some(free));
    assert_eq!(query(&running.url, "SELECT 1").unwrap(), "1");
    let over_tcp = running.url.split("?host").next().unwrap();
    assert_eq!(query(over_tcp, "SELECT 1").unwrap(), "1");
}

#[test]
fn a_long_path_and_odd_characters_do_not_hurt() {
    let mut place = Place::new();
    place.options.directory = place.path().join(format!("it's, \"a\" dir/{}", "x".repeat(100)));
    let running = place.start();
    assert!(running.socket_dir.as_os_str().len() < 100);
    assert_eq!(query(&running.url, "SELECT 1").unwrap(), "1");
    let socket_dir = running.socket_dir.clone();
    drop(place);
    let _ = fs::remove_dir_all(socket_dir);
}

#[test]
fn as_root_the_server_runs_unprivileged() {
    let place = Place::new();
    let running = place.start();
    let Ok(status) = fs::metadata(format!("/proc/{}", running.pid)) else { return };
    let owner = fs::metadata(&running.data_dir).unwrap().uid();
    assert_eq!(status.uid(), owner);
    assert_ne!(status.uid(), 0);
    let groups = fs::read_to_string(format!("/proc/{}/status", running.pid)).unwrap();
    let groups = groups.lines().find(|line| line.starts_with("Groups:")).unwrap().to_owned();
    if rustix::process::geteuid().is_root() {
        assert!(!groups.split_whitespace().any(|group| group == "0"), "{groups}");
        assert_eq!(fs::metadata(place.options.directory.join("password")).unwrap().uid(), 0);
    }
}
