//! The server for tests goes away in every way its owner can end.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use dripline_embedded_postgres::{EmbeddedOptions, EmbeddedPostgres};
use rustix::process::Signal;

use crate::support::{query, signal, wait_until};

fn options() -> EmbeddedOptions {
    let mut options = EmbeddedOptions::new("");
    options.shared_buffers_mib = 16;
    options
}

#[test]
fn it_is_gone_after_a_drop() {
    let throwaway = EmbeddedPostgres::throwaway(options()).unwrap();
    let directory = throwaway.options().directory.clone();
    let url = throwaway.running().url.clone();
    assert_eq!(query(&url, "SHOW fsync").unwrap(), "off");
    assert_eq!(query(&url, "SHOW synchronous_commit").unwrap(), "on");
    drop(throwaway);
    assert!(!directory.exists());
    assert!(query(&url, "SELECT 1").is_err());
}

#[test]
fn it_can_be_stopped_and_started_under_its_users() {
    let throwaway = EmbeddedPostgres::throwaway(options()).unwrap();
    let url = &throwaway.running().url;
    query(url, "CREATE TABLE kept (n int)").unwrap();
    EmbeddedPostgres::stop(throwaway.options()).unwrap();
    let again = EmbeddedPostgres::ensure_started(throwaway.options()).unwrap();
    assert_eq!(again.url, *url);
    assert_eq!(query(url, "SELECT count(*) FROM kept").unwrap(), "0");
}

/// The same test binary, run again as the process that is to be killed.
#[test]
fn it_is_gone_after_its_owner_was_killed() {
    const ROLE: &str = "DRIPLINE_TEST_THROWAWAY_OWNER";
    if std::env::var_os(ROLE).is_some() {
        let throwaway = EmbeddedPostgres::throwaway(options()).unwrap();
        writeln!(std::io::stderr(), "directory={}", throwaway.options().directory.display())
            .unwrap();
        loop {
            std::thread::park();
        }
    }
    let name = "throwaway::it_is_gone_after_its_owner_was_killed";
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", name])
        .env(ROLE, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stderr.take().unwrap()).lines();
    let directory = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("directory=").map(str::to_owned))
        .expect("the owner starts a server");
    assert!(Path::new(&directory).join("data/postmaster.pid").exists());
    signal(i32::try_from(owner.id()).unwrap(), Signal::KILL);
    assert_eq!(owner.wait().unwrap().signal(), Some(9));
    wait_until("the guard to clean up", || !Path::new(&directory).exists());
}
