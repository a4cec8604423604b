//! The simulator as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dripline_carrier_simulator::log::read_log;

use crate::client::{Message, SID, TOKEN, exchange};

fn simulator(log: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dripline-carrier-simulator"));
    command
        .args(["--account-sid", SID, "--log"])
        .arg(log)
        .env("DRIPLINE_SIMULATOR_AUTH_TOKEN", TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn ready(child: &mut Child) -> SocketAddr {
    let mut line = String::new();
    let output = child.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("a line");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    ready["listening"].as_str().expect("an address").parse().expect("an address")
}

#[tokio::test]
async fn it_serves_until_its_parent_is_gone_and_appends_to_its_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log.jsonl");
    for run in 1..=2 {
        let mut child = simulator(&log).arg("--exit-with-parent").spawn().expect("started");
        let address = ready(&mut child);
        let answer = exchange(address, &Message::default().request()).await.expect("answered");
        assert_eq!(answer.status, 201);
        drop(child.stdin.take());
        assert!(child.wait().expect("waited").success());
        assert_eq!(read_log(&log).expect("a log").len(), run);
    }
}

#[test]
fn it_stops_at_a_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    for signal in ["-TERM", "-INT"] {
        let mut child = simulator(&folder.path().join("log")).spawn().expect("started");
        ready(&mut child);
        let killed = Command::new("kill").arg(signal).arg(child.id().to_string()).status();
        assert!(killed.expect("kill runs").success());
        assert!(child.wait().expect("waited").success(), "{signal}");
    }
}

#[test]
fn without_a_token_it_says_which_variable_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = simulator(&folder.path().join("log"))
        .env_remove("DRIPLINE_SIMULATOR_AUTH_TOKEN")
        .output()
        .expect("started");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("`DRIPLINE_SIMULATOR_AUTH_TOKEN`"), "{error}");
}
