//! The one door: what arrives, what does not, and what is known about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dripline_domain::segment::TextRules;
use dripline_plugin_host::egress::{
    Egress, EgressOptions, FixedResolver, Grant, RouteRights, Secrets, WireOutcome,
};
use dripline_plugin_host::{
    Credential, DuplicateClass, Header, Manifest, Request, Response, SettingSchema, Settings,
};
use tokio::net::TcpListener;

use crate::server::{Behaviour, Server};

const CREATED: &str = "HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nM1";

fn manifest(origin: &str) -> Manifest {
    let secret = SettingSchema {
        name: "token".into(),
        text: "For tests.".into(),
        required: false,
        default: None,
        secret: true,
    };
    Manifest {
        name: "test".into(),
        version: "0.1.0".into(),
        settings: vec![secret],
        origins: vec![origin.into()],
        duplicates: DuplicateClass::Lost,
        texts: TextRules::default(),
        attributes: vec![],
    }
}

fn grant_for(origin: &str, allow_loopback: bool) -> Grant {
    let mut secrets = Secrets::default();
    secrets.insert("token", "s3cret/value").unwrap();
    let allowed = [origin.to_owned()];
    let rights = RouteRights {
        allowed_origins: &allowed,
        allow_loopback,
        secrets,
        ..RouteRights::default()
    };
    Grant::new(&manifest(origin), &Settings::new(), &rights).unwrap()
}

fn post(origin: &str) -> Request {
    Request {
        method: "POST".into(),
        url: format!("{origin}/messages"),
        headers: vec![Header::new("content-type", "application/x-www-form-urlencoded")],
        body: b"To=1&Body=hi".to_vec(),
        credential: None,
    }
}

fn quick() -> Egress {
    Egress::new(EgressOptions {
        connect_timeout: Duration::from_millis(300),
        total_timeout: Duration::from_millis(600),
        response_body_bytes: 1000,
        ..EgressOptions::default()
    })
}

async fn send(origin: &str) -> WireOutcome {
    quick().send(&grant_for(origin, true), post(origin)).await
}

async fn send_to(behaviour: Behaviour, answer: &str) -> WireOutcome {
    let server = Server::start(behaviour, answer).await;
    send(&server.origin()).await
}

#[track_caller]
fn answered(outcome: WireOutcome) -> Response {
    match outcome {
        WireOutcome::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn not_sent(outcome: WireOutcome, code: &str) {
    let WireOutcome::NotSent { reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason.code, code, "{reason:?}");
}

#[track_caller]
fn uncertain(outcome: WireOutcome, status: Option<u16>, code: &str) {
    let WireOutcome::Uncertain { status: found, reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!((found, reason.code.as_str()), (status, code), "{reason:?}");
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let server = Server::answering(CREATED).await;
    let response = answered(send(&server.origin()).await);
    assert_eq!((response.status, response.body.as_slice()), (201, &b"M1"[..]));
    let [request] = &server.requests()[..] else { panic!("one request") };
    assert!(request.starts_with("POST /messages HTTP/1.1\r\n"), "{request}");
    let host = server.origin().replace("http://", "host: ");
    assert!(request.contains(&host), "{request}");
    assert!(request.ends_with("To=1&Body=hi"), "{request}");
}

#[tokio::test]
async fn a_refused_connection_means_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    not_sent(send(&origin).await, "connect");
}

#[tokio::test]
async fn a_failed_tls_handshake_means_not_sent() {
    let server = Server::answering(CREATED).await;
    let origin = server.origin().replace("http:", "https:");
    // The server waits for the end of a request that never comes.
    not_sent(send(&origin).await, "connect_timeout");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let refusing = tokio::spawn(async move { drop(listener.accept().await) });
    not_sent(send(&origin).await, "tls");
    refusing.await.unwrap();
}

#[tokio::test]
async fn a_reset_after_the_first_byte_is_uncertain() {
    uncertain(send_to(Behaviour::Reset, "").await, None, "connection_lost");
}

#[tokio::test]
async fn silence_after_the_first_byte_is_uncertain() {
    uncertain(send_to(Behaviour::Silent, "").await, None, "timeout");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_uncertain_and_keeps_its_status() {
    let half = "HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"sid\":";
    uncertain(send_to(Behaviour::AnswerAndClose, half).await, Some(201), "connection_lost");
    uncertain(send_to(Behaviour::Answer, half).await, Some(201), "timeout");
    uncertain(send_to(Behaviour::AnswerAndClose, "HTTP/1.1 201").await, None, "connection_lost");
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_uncertain() {
    uncertain(send_to(Behaviour::Answer, "SSH-2.0-OpenSSH\r\n\r\n").await, None, "bad_answer");
}

#[tokio::test]
async fn an_oversized_answer_is_uncertain() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n";
    uncertain(send_to(Behaviour::Answer, announced).await, Some(200), "oversized_answer");
    let chunk = format!("12c\r\n{}\r\n", "x".repeat(300)).repeat(4);
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    uncertain(send_to(Behaviour::Answer, &chunked).await, Some(200), "oversized_answer");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::answering(CREATED).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}/messages\r\ncontent-length: 0\r\n\r\n",
        elsewhere.origin()
    );
    let response = answered(send_to(Behaviour::Answer, &redirect).await);
    assert_eq!(response.status, 302);
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn connections_are_kept_for_the_next_request() {
    let server = Server::answering(CREATED).await;
    let (egress, grant) = (quick(), grant_for(&server.origin(), true));
    for _ in 0..5 {
        answered(egress.send(&grant, post(&server.origin())).await);
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 5));
    // Another grant has connections of its own.
    let other = grant_for(&server.origin(), true);
    answered(egress.send(&other, post(&server.origin())).await);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_nothing() {
    let server = Server::start(Behaviour::AnswerAndClose, CREATED).await;
    let (egress, grant) = (quick(), grant_for(&server.origin(), true));
    for _ in 0..20 {
        answered(egress.send(&grant, post(&server.origin())).await);
        server.closed().await;
    }
    assert_eq!(server.requests().len(), 20, "each request arrived once");
}

#[tokio::test]
async fn a_kept_connection_whose_server_is_gone_means_not_sent() {
    let server = Server::start(Behaviour::AnswerAndClose, CREATED).await;
    let (egress, grant) = (quick(), grant_for(&server.origin(), true));
    answered(egress.send(&grant, post(&server.origin())).await);
    server.closed().await;
    let origin = server.origin();
    let address = origin.strip_prefix("http://").unwrap().to_owned();
    drop(server);
    // Until the listener is closed too.
    let gone = async {
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    not_sent(egress.send(&grant, post(&origin)).await, "connect");
}

#[tokio::test]
async fn a_kept_connection_counts_only_its_own_request() {
    // The first request is answered, the second is read and met with a reset.
    let server = Server::answering(CREATED).await;
    let (egress, grant) = (quick(), grant_for(&server.origin(), true));
    answered(egress.send(&grant, post(&server.origin())).await);
    let mut forbidden = post(&server.origin());
    forbidden.headers.push(Header::new("host", "evil.test"));
    not_sent(egress.send(&grant, forbidden).await, "egress_forbidden");
    answered(egress.send(&grant, post(&server.origin())).await);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn this_machine_and_its_neighbours_are_refused() {
    let server = Server::answering(CREATED).await;
    let origin = server.origin();
    not_sent(quick().send(&grant_for(&origin, false), post(&origin)).await, "address_refused");
    for origin in [
        "http://10.0.0.1",
        "http://169.254.169.254",
        "http://[::ffff:127.0.0.1]",
        "http://[fd00:ec2::254]",
        "http://0.0.0.0",
    ] {
        not_sent(quick().send(&grant_for(origin, true), post(origin)).await, "address_refused");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_is_judged_by_every_address_it_has() {
    let table = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let table = BTreeMap::from([("api.example.com".to_owned(), addresses)]);
        Egress::with_resolver(EgressOptions::default(), Arc::new(FixedResolver(table)))
    };
    let origin = "http://api.example.com";
    for addresses in [
        &["127.0.0.1"][..],
        &["93.184.216.34", "10.0.0.1"],
        &["2606:4700::1111", "::1"],
        &["64:ff9b::a00:1"],
    ] {
        let outcome = table(addresses).send(&grant_for(origin, false), post(origin)).await;
        not_sent(outcome, "address_refused");
    }
    let outcome = table(&[]).send(&grant_for(origin, false), post(origin)).await;
    not_sent(outcome, "dns");
    let origin = "http://unknown.example.com";
    let outcome = table(&[]).send(&grant_for(origin, false), post(origin)).await;
    not_sent(outcome, "dns");
}

#[tokio::test]
async fn secrets_arrive_and_are_never_heard_of_again() {
    let server = Server::start(Behaviour::Echo, "").await;
    let origin = server.origin();
    let mut request = post(&origin);
    request.url.push_str("?key={{secret:token}}");
    request.headers.push(Header::new("x-key", "{{secret:token}}"));
    request.body = b"To=1&Token=%7B%7Bsecret%3Atoken%7D%7D".to_vec();
    request.credential =
        Some(Credential::Basic { user: "AC1".into(), password_secret: "token".into() });
    let egress = Egress::new(EgressOptions::default());
    let response = answered(egress.send(&grant_for(&origin, true), request).await);

    let [arrived] = &server.requests()[..] else { panic!("one request") };
    for expected in [
        "POST /messages?key=s3cret%2Fvalue HTTP/1.1\r\n",
        "x-key: s3cret/value\r\n",
        "authorization: Basic QUMxOnMzY3JldC92YWx1ZQ==\r\n",
        "To=1&Token=s3cret%2Fvalue",
    ] {
        assert!(arrived.contains(expected), "{expected} in {arrived}");
    }
    let seen = format!(
        "{}{}",
        String::from_utf8_lossy(&response.body),
        response.headers.iter().map(|h| h.value.as_str()).collect::<String>()
    );
    for leaked in ["s3cret", "czNjcmV0", "zNjcmV0", "MzY3JldC"] {
        assert!(!seen.contains(leaked), "{leaked} in {seen}");
    }
    assert!(seen.matches("[secret token]").count() >= 5, "{seen}");
}

#[tokio::test]
async fn dropping_the_future_closes_the_connection() {
    let server = Server::start(Behaviour::Silent, "").await;
    let origin = server.origin();
    let (egress, grant) = (Egress::new(EgressOptions::default()), grant_for(&origin, true));
    let sending = tokio::spawn(async move { egress.send(&grant, post(&origin)).await });
    let arrived = async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived).await.unwrap();
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
}
