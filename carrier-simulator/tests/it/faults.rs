//! What a client sees of each fault, and what the log knows of it.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Message, Running, TOKEN, authorization, exchange, request};

fn plan(fault: &str) -> String {
    format!("[[rules]]\nfault = \"{fault}\"\n")
}

#[tokio::test]
async fn answers_that_are_answers() {
    let check = async |plan: String, status: u16, accepted: bool| {
        let simulator = Running::start(&plan).await;
        let answer = simulator.send(&Message::default()).await.expect("answered");
        assert_eq!(answer.status, status, "{plan}");
        let entry = simulator.log().pop().expect("logged");
        assert_eq!(entry.accepted, accepted, "{plan}");
        assert_eq!(entry.sid.is_some(), accepted, "{plan}");
        assert!(plan.contains(&entry.decision), "{plan}");
        answer
    };
    let answer = check(plan("throttle"), 429, false).await;
    assert!(!answer.head.contains("retry-after"), "{}", answer.head);
    let answer = check(plan("throttle") + "retry_after_seconds = 7", 429, false).await;
    assert!(answer.head.contains("retry-after: 7"), "{}", answer.head);
    let later = plan("throttle") + "status = 503\nretry_after_seconds = 1";
    let answer = check(later, 503, false).await;
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    check(plan("refuse") + "code = 30006", 400, false).await;
    check(plan("error-before"), 500, false).await;
    check(plan("error-after"), 500, true).await;
    let answer = check(plan("garbage"), 201, true).await;
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_err());
    let answer = check(plan("slow-drip") + "interval_ms = 1", 201, true).await;
    assert!(answer.json()["sid"].is_string());
    check("latency_ms = [1, 2]\n# accept".to_owned(), 201, true).await;
}

#[tokio::test]
async fn answers_that_break_off() {
    for (fault, accepted, kind) in [
        ("truncate", true, ErrorKind::UnexpectedEof),
        ("reset-before", false, ErrorKind::ConnectionReset),
        ("reset-after", true, ErrorKind::ConnectionReset),
    ] {
        let simulator = Running::start(&plan(fault)).await;
        let error = simulator.send(&Message::default()).await.expect_err(fault);
        assert_eq!(error.kind(), kind, "{fault}");
        let entry = simulator.log().pop().expect("logged");
        assert_eq!((entry.decision.as_str(), entry.accepted), (fault, accepted));
    }
}

#[tokio::test]
async fn answers_that_never_come() {
    for (fault, accepted) in [("timeout-before", false), ("timeout-after", true)] {
        let mut simulator = Running::start(&plan(fault)).await;
        let mut stream = TcpStream::connect(simulator.address).await.expect("connected");
        stream.write_all(Message::default().request().as_bytes()).await.expect("written");
        simulator.decided(1).await;
        let entry = simulator.log().pop().expect("logged");
        assert_eq!((entry.decision.as_str(), entry.accepted), (fault, accepted));
        // Stopping does not wait for such an answer, and gives none.
        simulator.stop().await;
        drop(simulator);
        assert!(!stream.try_read(&mut [0; 1]).is_ok_and(|length| length > 0), "{fault}");
    }
}

#[tokio::test]
async fn a_rule_takes_the_first_requests_of_each_number() {
    let text = plan("throttle") + "recipients = \"13\"\nattempts = 1";
    let simulator = Running::start(&text).await;
    let status = async |to| {
        let message = Message { to, ..Message::default() };
        simulator.send(&message).await.expect("answered").status
    };
    assert_eq!(status("+12025550113").await, 429);
    assert_eq!(status("+12025550113").await, 201);
    assert_eq!(status("+12025551113").await, 429);
    assert_eq!(status("+12025550114").await, 201);
}

#[tokio::test]
async fn the_plan_is_replaced_while_running() {
    let simulator = Running::start("").await;
    let put = async |token: &str, plan: &str| {
        let request = request("PUT", "/_simulator/faults", &[authorization(token)], plan);
        exchange(simulator.address, &request).await.expect("answered")
    };
    assert_eq!(put("wrong", &plan("garbage")).await.status, 401);
    let answer = put(TOKEN, &plan("oops")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("there is no fault `oops`"), "{}", answer.body);
    assert_eq!(simulator.send(&Message::default()).await.expect("answered").status, 201);

    assert_eq!(put(TOKEN, &plan("error-before")).await.status, 200);
    assert_eq!(simulator.send(&Message::default()).await.expect("answered").status, 500);
    let mut stream = TcpStream::connect(simulator.address).await.expect("connected");
    stream.write_all(b"POST /2010-04-01/Acc").await.expect("written");
    stream.shutdown().await.expect("shut down");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("closed");
    assert_eq!(simulator.stats().await.requests, 2, "half a request is none");
}
