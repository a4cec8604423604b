//! What is left after a server, or a start, was killed.

use std::fs;

use dripline_embedded_postgres::{EmbeddedPostgres, Status};
use rustix::process::Signal;

use crate::support::{Place, query, signal, wait_until};

#[test]
fn a_killed_server_recovers_with_what_was_committed() {
    let place = Place::new();
    let first = place.start();
    query(&first.url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").unwrap();
    signal(first.pid, Signal::KILL);
    wait_until("the server to be gone", || {
        !matches!(EmbeddedPostgres::status(&place.options), Ok(Status::Running(_)))
    });
    assert!(first.data_dir.join("postmaster.pid").exists(), "a crash leaves the file behind");

    let second = place.start();
    assert_ne!(second.pid, first.pid);
    assert_eq!(query(&second.url, "SELECT n FROM kept").unwrap(), "7");
}

#[test]
fn a_pid_file_that_names_another_program_is_removed() {
    let place = Place::new();
    let first = place.start();
    let pid_file = first.data_dir.join("postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    EmbeddedPostgres::stop(&place.options).unwrap();
    // As if the machine had crashed, and the number now were this test's.
    fs::write(&pid_file, text.replacen(&first.pid.to_string(), &std::process::id().to_string(), 1))
        .unwrap();
    assert!(matches!(EmbeddedPostgres::status(&place.options), Ok(Status::Stopped { .. })));
    let second = place.start();
    assert_eq!(query(&second.url, "SELECT 1").unwrap(), "1");
}

#[test]
fn a_data_directory_that_was_not_finished_is_made_anew() {
    let place = Place::new();
    let nursery = place.options.directory.join("data.unfinished");
    fs::create_dir_all(&nursery).unwrap();
    fs::write(nursery.join("PG_VERSION"), "15\n").unwrap();
    fs::write(place.options.directory.join("password"), "of an unfinished start").unwrap();
    let running = place.start();
    assert_eq!(query(&running.url, "SELECT 1").unwrap(), "1");
    assert!(!nursery.exists());
}
