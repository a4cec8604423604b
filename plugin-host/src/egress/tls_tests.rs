//! TLS against a server of our own, whose authority only these tests trust.
//!
//! The certificates beside this file were made with `openssl`: an authority, whose key was thrown
//! away, and one certificate for `localhost`, good for a hundred years.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(include_bytes!("tls_tests/ca.pem")).unwrap();
    roots.add(authority).unwrap();
    roots
}

/// Answers every request on every connection. Its origin, with the name on its certificate, and the
/// number of connections that it took.
async fn serve() -> (String, Arc<AtomicUsize>) {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("tls_tests/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls_tests/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            // A client that does not trust the certificate hangs up here.
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {
                    if buffer.starts_with(b"POST /hang-up") {
                        return;
                    }
                    let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nM1";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    (format!("https://localhost:{port}"), connections)
}

fn egress(roots: RootCertStore) -> Egress {
    Egress::with_roots(EgressOptions::default(), Arc::new(SystemResolver), roots)
}

fn grant(origin: &str) -> Grant {
    Grant::of(vec![Origin::parse(origin).unwrap()], true, Secrets::default(), None)
}

fn post(origin: &str, path: &str) -> Request {
    Request {
        method: "POST".into(),
        url: format!("{origin}{path}"),
        headers: vec![],
        body: b"hello".to_vec(),
        credential: None,
    }
}

#[tokio::test]
async fn messages_travel_over_tls_and_connections_are_kept() {
    let (origin, connections) = serve().await;
    let (egress, grant) = (egress(roots()), grant(&origin));
    for _ in 0..3 {
        let outcome = egress.send(&grant, post(&origin, "/messages")).await;
        let WireOutcome::Response(response) = outcome else { panic!("{outcome:?}") };
        assert_eq!((response.status, response.body.as_slice()), (201, &b"M1"[..]));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_lost_after_the_request_is_uncertain() {
    let (origin, _) = serve().await;
    let (egress, grant) = (egress(roots()), grant(&origin));
    // On a fresh connection and on a kept one.
    for path in ["/hang-up", "/messages", "/hang-up"] {
        let outcome = egress.send(&grant, post(&origin, path)).await;
        let answered = matches!(outcome, WireOutcome::Response(_));
        assert_eq!(answered, path == "/messages", "{outcome:?}");
        assert!(!matches!(outcome, WireOutcome::NotSent { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_authority_that_nobody_trusts_means_not_sent() {
    let (origin, _) = serve().await;
    let outcome = egress(RootCertStore::empty()).send(&grant(&origin), post(&origin, "/")).await;
    let WireOutcome::NotSent { reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason.code, "tls", "{reason:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_means_not_sent() {
    let origin = serve().await.0.replace("localhost", "127.0.0.1");
    let outcome = egress(roots()).send(&grant(&origin), post(&origin, "/")).await;
    let WireOutcome::NotSent { reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason.code, "tls", "{reason:?}");
}
