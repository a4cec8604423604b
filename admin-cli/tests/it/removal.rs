//! Removals by filter, waiting, and large enrolments: operations that outlive their command.

use std::process::Stdio;
use std::time::{Duration, Instant};

use dripline_domain::clock::{Clock as _, ManualClock, SystemClock};
use dripline_domain::delivery::AttemptOutcome;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{FinishRequest, StartRequest, finish_attempts, start_attempts};
use dripline_store::worker_registry::{self, Registration};
use uuid::Uuid;

use crate::session::{Session, assert_transcript, read};

#[tokio::test]
async fn contacts_are_chosen_and_removed_by_one_operation() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    session.run("enrollment list --where time_zone=Europe/Rome --where step=1");
    let rome = "enrollment remove --workflow welcome --where time_zone=Europe/Rome";
    session.run(&format!("{rome} --where 'field.name!=Grace' --dry-run"));
    session.run(&format!("{rome} --dry-run --output json"));
    session.run(rome);
    session.run(&format!("{rome} --reason moved --wait --yes"));
    session.run(&format!("{rome} --yes"));
    session.run("operation show 1");
    session.run("operation wait 1");
    session.run("enrollment add welcome --from-operation 1 --where field.name=Ada --yes");
    session.run("enrollment add welcome --from-operation 1 --yes");
    session.run("enrollment remove --workflow welcome --where field.name= --yes --output json");
    session.run("enrollment remove 4 --workflow welcome --yes");
    session.file("some.csv", "phone\n+393331234502\n+393339999999\n");
    session.run("enrollment remove --workflow welcome --file some.csv --yes");
    session.run("enrollment remove --workflow welcome --file some.csv --partial --wait=5 --yes");
    session.run("operation list");
    session.run("account balance");
    session.run("audit");
    assert_transcript!(session);
}

#[tokio::test]
async fn wrong_removals_are_refused() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    session.run("enrollment remove --where field.name=Ada --yes");
    session.run("enrollment remove --workflow welcome --contact 1 --where field.name=Ada --yes");
    session.run("enrollment remove 1 --workflow welcome --all --yes");
    session.run("enrollment remove --workflow welcome --yes");
    session.run("enrollment remove --workflow nobody --all --yes");
    session.run("enrollment remove --workflow welcome --where city=Rome --yes");
    session.run("enrollment remove --workflow welcome --where 'step!1' --yes");
    session.run("enrollment add welcome --where step=1 --yes");
    session.run("operation wait 7");
    session.run("operation list");
    assert_transcript!(session);
}

/// Hands the first message over, as a worker would, and leaves it on the wire.
async fn hand_over(session: &Session) -> (ManualClock, Registration) {
    let clock = ManualClock::new(SystemClock.now() + chrono::TimeDelta::seconds(2));
    let worker = worker_registry::register(session.pool(), &clock, "host-1").await;
    let worker = worker.expect("registers");
    let request = StartRequest { delivery_id: 1.into(), attempt: 1, segments: 1, route_id: None };
    start_attempts(session.pool(), &clock, worker.worker_id, Uuid::new_v4(), &[request])
        .await
        .expect("marks");
    (clock, worker)
}

async fn settle(session: &Session, clock: &ManualClock, worker: &Registration) {
    let finish = FinishRequest {
        delivery_id: 1.into(),
        attempt: 1,
        outcome: AttemptOutcome::Accepted { carrier_reference: None },
    };
    let policy = RetryPolicy::default();
    let id = worker.worker_id;
    finish_attempts(session.pool(), clock, &policy, id, Uuid::new_v4(), &[finish])
        .await
        .expect("settles");
}

#[tokio::test]
async fn what_is_in_flight_is_waited_for() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    let (clock, worker) = hand_over(&session).await;
    session.run("workflow pause welcome --yes --wait=0");
    session.run("operation wait 1 --timeout 0");
    session.run("operation show 1 --limit 0");

    // Ctrl-C ends only the waiting.
    let waiting = session
        .command("operation wait 1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command can be run");
    until_it_listens(waiting.id());
    interrupt(waiting.id());
    let done = read(waiting.wait_with_output().expect("the command ends"));
    assert_eq!(done.code, 130, "{}{}", done.stdout, done.stderr);
    session.note("operation wait 1", &done);

    let waiting = session
        .command("operation wait 1 --output json")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command can be run");
    settle(&session, &clock, &worker).await;
    let done = read(waiting.wait_with_output().expect("the command ends"));
    session.note("operation wait 1 --output json", &done);
    session.run("operation show 1 --limit 0");
    session.run("audit");
    assert_transcript!(session);
}

/// Waits until the process takes an interrupt as a message and not as its end.
fn until_it_listens(pid: u32) {
    const INTERRUPT: u64 = 1 << 1;
    let started = Instant::now();
    loop {
        // Before, it is the shell that runs it, which catches interrupts for reasons of its own.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let runs = status.lines().any(|line| line == "Name:\tdripline");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask, 16).ok());
        if runs && caught.is_some_and(|mask| mask & INTERRUPT != 0) {
            return;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "it never listens");
        std::thread::yield_now();
    }
}

fn interrupt(pid: u32) {
    let sent = std::process::Command::new("kill").args(["-INT", &pid.to_string()]).status();
    assert!(sent.expect("kill can be run").success());
}

#[tokio::test]
async fn a_large_enrolment_is_an_operation() {
    let mut session = Session::furnished().await;
    let mut people = String::from("phone,time_zone,name\n");
    for number in 0..5_001 {
        let row = format!("+39333200{number:04},Europe/Rome,Person {number}\n");
        people.push_str(&row);
    }
    session.file("many.csv", people);
    session.quiet("contact import many.csv");
    let phones = "enrollment add welcome --where phone^=+39333200";
    // 5,001 contacts need 75.015; somebody else has taken what is missing.
    session.quiet("account adjust acme -30 --reason 'a test' --yes");
    session.run(&format!("{phones} --yes"));
    session.run("operation list");
    session.quiet("account topup acme 30");
    session.run(&format!("{phones} --yes --output json"));
    session.run("operation list");
    session.run("operation show 1");
    session.run("enrollment add welcome --from-operation 1 --yes");
    session.run("account balance");
    session.run("workflow pause welcome --yes");
    session.run("account balance");
    session.run("audit");
    assert_transcript!(session);
}
