//! Names that lead elsewhere when they are asked for a second time.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dripline_plugin_host::egress::{Egress, EgressOptions, Resolve, WireOutcome};

use super::answers::{grant, grant_without_loopback, request};
use super::assert_none;
use crate::server::Server;

const ANSWER: &str = "HTTP/1.1 201 Created\r\ncontent-length: 2\r\nconnection: close\r\n\r\nM1";
const HERE: &str = "127.0.0.1";

/// What a name leads to each time, whether the route may reach this machine, and what comes of two requests. `here` is
/// [`HERE`], where a server waits that must hear of none of them; `there` is a server at another address of this
/// machine, or one that nobody has.
pub(super) const ROWS: &[(&str, &[&str], bool, [&str; 2])] = &[
    // The address that was judged is the one that is connected to, and a new connection is judged anew.
    ("reachable, then here", &["127.0.0.2", HERE], true, ["201", "here"]),
    ("of nobody, then here", &["3ffe::1", HERE], false, ["connect", "address_refused"]),
    (
        "of nobody, then here by way of NAT64",
        &["3ffe::1", "64:ff9b::7f00:1"],
        false,
        ["connect", "address_refused"],
    ),
    (
        "of nobody, then of the clouds' metadata",
        &["3ffe::1", "169.254.169.254"],
        true,
        ["connect", "address_refused"],
    ),
];

/// Gives one answer after the other, and the last one for ever.
#[derive(Debug)]
struct Fickle {
    answers: Mutex<VecDeque<IpAddr>>,
    asked: Mutex<usize>,
}

#[async_trait]
impl Resolve for Fickle {
    async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        *self.asked.lock().unwrap() += 1;
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        Ok(vec![SocketAddr::new(next.unwrap(), port)])
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_for_a_connection_and_the_judged_address_is_taken() {
    let mut wrong = Vec::new();
    for (name, answers, allow_loopback, expected) in ROWS {
        let here = Server::answering(ANSWER).await;
        let port = here.address().port();
        // The same port elsewhere, so that nothing but the address tells the two apart.
        let there = Server::at(SocketAddr::new([127, 0, 0, 2].into(), port), ANSWER).await;
        let resolver = Arc::new(Fickle {
            answers: Mutex::new(answers.iter().map(|address| address.parse().unwrap()).collect()),
            asked: Mutex::new(0),
        });
        let options = EgressOptions {
            connect_timeout: Duration::from_millis(500),
            ..EgressOptions::default()
        };
        let egress = Egress::with_resolver(options, Arc::<Fickle>::clone(&resolver));
        let origin = format!("http://rebound.example.com:{port}");
        let grant = if *allow_loopback { grant(&origin) } else { grant_without_loopback(&origin) };
        for (turn, expected) in expected.iter().enumerate() {
            let before = here.connections();
            let outcome = egress.send(&grant, request(&origin)).await;
            let seen = match &outcome {
                _ if here.connections() > before => "here".to_owned(),
                WireOutcome::Response(response) => response.status.to_string(),
                WireOutcome::NotSent { reason } | WireOutcome::Uncertain { reason, .. } => {
                    // Where nobody answers, some networks say so and others say nothing.
                    reason.code.replace("connect_timeout", "connect")
                }
            };
            let asked = *resolver.asked.lock().unwrap();
            if seen != *expected || asked != turn + 1 {
                wrong.push(format!("{name}, request {turn}: {seen}, asked {asked} times"));
            }
        }
        let reached = there.connections();
        if reached != usize::from(expected[0] == "201") {
            wrong.push(format!("{name}: {reached} connections to where the name led first"));
        }
    }
    assert_none(&wrong);
}
