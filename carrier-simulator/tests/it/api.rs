//! What is accepted, what is refused, and what the log says of it.

use std::collections::BTreeSet;

use dripline_carrier_simulator::log::by_delivery;
use tokio::net::TcpStream;

use crate::client::{Message, Running, TOKEN, authorization, exchange, exchange_on, request};

#[tokio::test]
async fn an_accepted_message_is_answered_as_twilio_does_and_logged_before() {
    let simulator = Running::start("").await;
    let text = "a".repeat(161);
    let message = Message { text: &text, ..Message::default() };
    let answer = simulator.send(&message).await.expect("answered");

    assert_eq!(answer.status, 201);
    let json = answer.json();
    assert_eq!(json["num_segments"], "2");
    assert_eq!(json["to"], "+12025550123");
    assert_eq!(json["body"], text);
    assert_eq!(json["error_code"], serde_json::Value::Null);

    let log = simulator.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].reference.as_deref(), Some("in5-1-1"));
    assert_eq!(log[0].segments, 2);
    assert_eq!(log[0].sid.as_deref(), json["sid"].as_str());
    assert_eq!((log[0].decision.as_str(), log[0].accepted), ("accept", true));
    assert_eq!(by_delivery(&log, "in5")[&1].len(), 1);
}

#[tokio::test]
async fn refusals_have_twilios_codes_and_are_logged() {
    let simulator = Running::start("").await;
    let check = async |message: Message<'_>, status, code: u32| {
        let answer = simulator.send(&message).await.expect("answered");
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.json()["code"], code);
        let entry = simulator.log().pop().expect("logged");
        assert_eq!((entry.code, entry.accepted, entry.segments), (Some(code), false, 0));
    };
    check(Message { token: "wrong", ..Message::default() }, 401, 20003).await;
    let other = "AC00000000000000000000000000000002";
    check(Message { account: other, ..Message::default() }, 404, 20404).await;
    check(Message { content_type: "application/json", ..Message::default() }, 400, 21604).await;
    check(Message { text: "", ..Message::default() }, 400, 21602).await;
    check(Message { to: "12025550123", ..Message::default() }, 400, 21211).await;
    check(Message { to: "+15005550004", ..Message::default() }, 400, 21610).await;

    let elsewhere = request("POST", "/2010-04-01/Accounts", &[authorization(TOKEN)], "");
    assert_eq!(exchange(simulator.address, &elsewhere).await.expect("answered").status, 404);
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", crate::client::SID);
    let list = request("GET", &path, &[authorization(TOKEN)], "");
    assert_eq!(exchange(simulator.address, &list).await.expect("answered").status, 405);
    let huge = "x".repeat(300_000);
    let huge = request("POST", &path, &[authorization(TOKEN)], &huge);
    assert_eq!(exchange(simulator.address, &huge).await.expect("answered").status, 413);
}

#[tokio::test]
async fn many_connections_lose_and_double_no_line() {
    let simulator = Running::start("").await;
    let address = simulator.address;
    let connection = |number: usize| async move {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let mut sids = Vec::new();
        for index in 0..20 {
            let reference = format!("in5-{}-1", number * 20 + index);
            let message = Message { reference: &reference, ..Message::default() };
            let answer = exchange_on(&mut stream, &message.request()).await.expect("answered");
            sids.push(answer.json()["sid"].as_str().expect("a sid").to_owned());
        }
        sids
    };
    let tasks: Vec<_> = (0..50).map(|number| tokio::spawn(connection(number))).collect();
    let mut answered = BTreeSet::new();
    for task in tasks {
        answered.extend(task.await.expect("no panic"));
    }
    let log = simulator.log();
    assert_eq!((answered.len(), log.len()), (1_000, 1_000));
    let logged: BTreeSet<_> = log.iter().filter_map(|entry| entry.sid.clone()).collect();
    assert_eq!(answered, logged);
    assert_eq!(by_delivery(&log, "in5").len(), 1_000);
    let stats = simulator.stats().await;
    assert_eq!((stats.requests, stats.accepted, stats.segments), (1_000, 1_000, 1_000));
}
