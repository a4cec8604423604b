//! Answers by which a carrier, or whoever sits between, tries to hurt the one who asks.

use std::time::Duration;

use dripline_domain::segment::TextRules;
use dripline_plugin_host::egress::{
    Egress, EgressOptions, Grant, RouteRights, Secrets, WireOutcome,
};
use dripline_plugin_host::{DuplicateClass, Header, Manifest, Request, SettingSchema, Settings};

use super::assert_none;
use crate::server::{Behaviour, Server};

/// What is known after an answer: its status when a whole one came, or that nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Whole(u16),
    Uncertain,
}
use Known::{Uncertain, Whole};

const SECRET: &str = "s3cret-value";

/// A name, the answer's parts and how often each is repeated, and what is known afterwards.
type Row = (&'static str, &'static [(&'static str, usize)], Known);

pub(super) const ROWS: &[Row] = &[
    ("no HTTP at all", &[("SSH-2.0-OpenSSH_9.2\r\n", 1)], Uncertain),
    ("nothing but zeros", &[("\0", 10_000)], Uncertain),
    ("an old protocol", &[("HTTP/0.9 200 OK\r\n\r\n", 1)], Uncertain),
    ("another protocol", &[("HTTP/2.0 200 OK\r\n\r\n", 1)], Uncertain),
    ("a status of two digits", &[("HTTP/1.1 20 OK\r\n\r\n", 1)], Uncertain),
    ("a status of four digits", &[("HTTP/1.1 2000 OK\r\n\r\n", 1)], Uncertain),
    ("a header without an end", &[("HTTP/1.1 200 OK\r\nx-a: ", 1), ("a", 1_000_000)], Uncertain),
    ("headers without an end", &[("HTTP/1.1 200 OK\r\n", 1), ("x-a: 1\r\n", 100_000)], Uncertain),
    (
        "a body that is announced too large",
        &[("HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n", 1), ("x", 1_000)],
        Uncertain,
    ),
    (
        "a body that is too large and was not announced",
        &[("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 1), ("400\r\n", 1)],
        Uncertain,
    ),
    ("a negative length", &[("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", 1)], Uncertain),
    (
        "a length that overflows",
        &[("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n", 1)],
        Uncertain,
    ),
    (
        "two lengths",
        &[("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\nM1HTTP", 1)],
        Uncertain,
    ),
    (
        "a chunk that is no number",
        &[("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 1)],
        Uncertain,
    ),
    (
        "a chunk that overflows",
        &[("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 1)],
        Uncertain,
    ),
    (
        "a chunk's extension without an end",
        &[("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;", 1), ("a", 1_000_000)],
        Uncertain,
    ),
    ("early hints without an end", &[("HTTP/1.1 103 Early Hints\r\n\r\n", 100_000)], Uncertain),
    (
        "an upgrade that nobody asked for",
        &[("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 1)],
        Whole(101),
    ),
    (
        "a header with a line break in it",
        &[("HTTP/1.1 200 OK\r\nx-a: 1\0\r\ncontent-length: 0\r\n\r\n", 1)],
        Uncertain,
    ),
    (
        "a redirect to this machine",
        &[(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            1,
        )],
        Whole(307),
    ),
    (
        // Real bombs are in `bombs`.
        "a body said to be packed",
        &[
            ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 500\r\n\r\n", 1),
            ("x", 500),
        ],
        Whole(200),
    ),
    (
        "a second answer behind the first",
        &[(
            "HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nM1HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nM2",
            1,
        )],
        Whole(201),
    ),
    (
        "a cookie",
        &[("HTTP/1.1 200 OK\r\nset-cookie: a=b; Domain=evil.test\r\ncontent-length: 0\r\n\r\n", 1)],
        Whole(200),
    ),
    (
        "a status nobody knows",
        &[("HTTP/1.1 799 Whatever\r\ncontent-length: 0\r\n\r\n", 1)],
        Whole(799),
    ),
    (
        "a secret in every place",
        &[(
            "HTTP/1.1 200 s3cret-value\r\nx-a: s3cret-value\r\nx-b: czNjcmV0LXZhbHVl\r\ncontent-length: 41\r\n\r\ns3cret-value s3cret%2Dvalue eDpzM2NyZXQtd",
            1,
        )],
        Whole(200),
    ),
];

/// A grant that may reach this machine.
pub(super) fn grant(origin: &str) -> Grant {
    grant_with(origin, true)
}

pub(super) fn grant_without_loopback(origin: &str) -> Grant {
    grant_with(origin, false)
}

fn grant_with(origin: &str, allow_loopback: bool) -> Grant {
    let secret = SettingSchema {
        name: "token".into(),
        text: "For tests.".into(),
        required: false,
        default: None,
        secret: true,
    };
    let manifest = Manifest {
        name: "test".into(),
        version: "0.1.0".into(),
        settings: vec![secret],
        origins: vec![origin.into()],
        duplicates: DuplicateClass::Lost,
        texts: TextRules::default(),
        attributes: vec![],
    };
    let mut secrets = Secrets::default();
    secrets.insert("token", SECRET).unwrap();
    let allowed = [origin.to_owned()];
    let rights = RouteRights {
        allowed_origins: &allowed,
        allow_loopback,
        secrets,
        ..RouteRights::default()
    };
    Grant::new(&manifest, &Settings::new(), &rights).unwrap()
}

pub(super) fn request(origin: &str) -> Request {
    Request {
        method: "POST".into(),
        url: format!("{origin}/messages"),
        headers: vec![Header::new("content-type", "application/json")],
        body: br#"{"token":"{{secret:token}}"}"#.to_vec(),
        credential: None,
    }
}

#[tokio::test]
async fn no_answer_hurts_and_what_is_not_whole_is_uncertain() {
    let egress = Egress::new(EgressOptions {
        total_timeout: Duration::from_secs(2),
        response_body_bytes: 1_000,
        ..EgressOptions::default()
    });
    let mut wrong = Vec::new();
    for (name, parts, expected) in ROWS {
        let answer: String = parts.iter().map(|(part, times)| part.repeat(*times)).collect();
        let server = Server::start(Behaviour::AnswerAndClose, answer).await;
        let outcome = egress.send(&grant(&server.origin()), request(&server.origin())).await;
        let known = match &outcome {
            WireOutcome::Response(response) => Some(Whole(response.status)),
            WireOutcome::Uncertain { .. } => Some(Uncertain),
            // The request had left, so that this would be a lie.
            WireOutcome::NotSent { .. } => None,
        };
        let seen = match &outcome {
            WireOutcome::Response(response) => {
                let headers: String = response.headers.iter().map(|h| h.value.as_str()).collect();
                format!("{headers} {}", String::from_utf8_lossy(&response.body))
            }
            WireOutcome::Uncertain { reason, .. } | WireOutcome::NotSent { reason } => {
                reason.text.clone()
            }
        };
        let leaks = seen.contains(SECRET) || seen.contains("czNjcmV0");
        if known != Some(*expected) || leaks {
            wrong.push(format!("{name}: {outcome:?}"));
        }
    }
    assert_none(&wrong);
}
