//! Requests by which a carrier tries to reach what it may not, or to carry a secret away.

use std::collections::BTreeMap;
use std::sync::Arc;

use dripline_plugin_host::egress::{
    Egress, EgressOptions, FixedResolver, Grant, RouteRights, Secrets, WireOutcome,
};
use dripline_plugin_host::{Outgoing, PluginHost, Request, Settings};

use super::assert_none;
use crate::fixtures::host;
use crate::server::Server;

const CORPUS: &str = "hostile-corpus";
const SECRET: &str = "s3cret-value";

/// What the carrier does to its request, as its message's text tells it; `[[` stands for `{{`, and BASE for
/// the granted origin. None of them may leave.
pub(super) const FORBIDDEN: &[&str] = &[
    // Elsewhere.
    "url https://evil.test/",
    "url https://evil.test/?k=[[secret:token]]",
    "url https://evil.test/#[[secret:token]]",
    "url BASE.evil.test/messages",
    "url BASE@evil.test/messages",
    "url BASE:x@evil.test/messages",
    "url http://token:x@127.0.0.1/",
    "url http://[[secret:token]].evil.test/",
    "url http:\\\\evil.test\\messages",
    "url //evil.test/messages",
    "url /messages",
    "url file:///etc/passwd",
    "url ftp://127.0.0.1/",
    "url javascript:alert(1)",
    "url data:text/plain,x",
    "url gopher://127.0.0.1:5432/_x",
    "url http://127.0.0.1:1/",
    "url http://localhost/",
    "url http://2130706433/",
    "url http://0x7f000001/",
    "url http://0177.0.0.1/",
    "url http://127.1/",
    "url http://[::ffff:127.0.0.1]/",
    "url http://[::1]/",
    "url http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
    "url http://127\u{3002}0\u{3002}0\u{3002}1/",
    "url http://127.0.0.1./",
    "url http://169.254.169.254/latest/meta-data/",
    "url BASE/[[secret:token]]",
    "url BASE/?k=[[secret:root]]",
    // Framing and routing.
    "method CONNECT",
    "method TRACE",
    "method post",
    "method GET / HTTP/1.1\r\nhost: evil.test\r\n\r\nGET",
    "header Host=evil.test",
    "header host=evil.test",
    "header HOST =evil.test",
    "header Connection=close",
    "header Transfer-Encoding=chunked",
    "header Content-Length=0",
    "header TE=trailers",
    "header Trailer=x",
    "header Upgrade=h2c",
    "header HTTP2-Settings=AAMAAABkAARAAAAAAAIAAAAA",
    "header Expect=100-continue",
    "header Keep-Alive=timeout=9999",
    "header Accept-Encoding=gzip",
    "header Proxy-Authorization=Basic eDp4",
    "header Proxy-Connection=keep-alive",
    "header x-a=1\r\nhost: evil.test",
    "header x-a=1\nx-b: 2",
    "header x-a=1\r",
    "header x-a=1\0",
    "header x-a\r\nx-b=1",
    "header x a=1",
    "header =1",
    "header x-\u{e4}=1",
    // Secrets that are not its own, and places where a value could not be escaped.
    "header x-a=[[secret:root]]",
    "body {\"a\":\"[[secret:root]]\"}",
    "plain-body [[secret:token]]",
    "bearer root",
    "bearer [[secret:token]]",
    "bearer ",
    "headers many",
];

/// Origins that both sides grant, and to which nothing is sent all the same.
pub(super) const REFUSED_ADDRESSES: &[&str] = &[
    "http://10.1.2.3",
    "http://172.16.0.1",
    "http://192.168.1.1",
    "http://100.64.0.1",
    "http://169.254.169.254",
    "http://192.0.0.192",
    "http://198.18.0.1",
    "http://224.0.0.1",
    "http://255.255.255.255",
    "http://0.0.0.0",
    "http://[::]",
    "http://[::1]",
    "http://[fe80::1]",
    "http://[fd00:ec2::254]",
    "http://[::ffff:10.0.0.1]",
    "http://[64:ff9b::a00:1]",
    "http://[2002:a00:1::]",
    "http://2130706433",
    "http://0x7f.1",
    // A name whose addresses are good ones but for the last.
    "http://rebound.example.com",
];

async fn built(host: &PluginHost, settings: &Settings, text: &str) -> Request {
    let message = Outgoing {
        reference: "installation-1-1".into(),
        sender: "+15550000000".into(),
        recipient: "+15551234567".into(),
        text: text.into(),
        callback_url: None,
    };
    host.build_requests(CORPUS, settings, &Secrets::default(), vec![message])
        .await
        .remove(0)
        .unwrap()
}

fn grant(host: &PluginHost, origin: &str, allow_loopback: bool) -> (Settings, Grant) {
    let manifest = host.manifest(CORPUS).unwrap();
    let given = Settings::from([("base_url".to_owned(), origin.to_owned())]);
    let settings = manifest.complete_settings(&given, ["token"]).unwrap();
    let mut secrets = Secrets::default();
    secrets.insert("token", SECRET).unwrap();
    secrets.insert("root", "r00t-value").unwrap();
    let allowed = [origin.to_owned(), "https://other.example.com".to_owned()];
    let rights = RouteRights {
        allowed_origins: &allowed,
        allow_loopback,
        secrets,
        ..RouteRights::default()
    };
    let grant = Grant::new(&manifest, &settings, &rights).unwrap();
    (settings, grant)
}

#[tokio::test]
async fn what_may_not_leave_does_not() {
    let server = Server::answering("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nM1").await;
    let host = host(&[CORPUS]);
    let (settings, grant) = grant(&host, &server.origin(), true);
    let egress = Egress::new(EgressOptions::default());
    let mut wrong = Vec::new();
    for text in FORBIDDEN {
        let outcome = egress.send(&grant, built(&host, &settings, text).await).await;
        match &outcome {
            WireOutcome::NotSent { reason } if reason.code == "egress_forbidden" => {
                if reason.text.contains(SECRET) || reason.text.chars().any(char::is_control) {
                    wrong.push(format!("{text:?}: told as it is: {:?}", reason.text));
                }
            }
            other => wrong.push(format!("{text:?}: {other:?}")),
        }
    }
    assert_none(&wrong);
    assert_eq!(server.connections(), 0);
    // The same carrier without harm gets through.
    let outcome = egress.send(&grant, built(&host, &settings, "fine").await).await;
    assert!(matches!(&outcome, WireOutcome::Response(response) if response.status == 201));
}

#[tokio::test]
async fn granted_or_not_some_addresses_are_never_reached() {
    let host = host(&[CORPUS]);
    let names = BTreeMap::from([(
        "rebound.example.com".to_owned(),
        ["93.184.216.34", "2606:4700::1111", "127.0.0.1"].map(|a| a.parse().unwrap()).to_vec(),
    )]);
    let egress = Egress::with_resolver(EgressOptions::default(), Arc::new(FixedResolver(names)));
    let mut wrong = Vec::new();
    for origin in REFUSED_ADDRESSES {
        let (settings, grant) = grant(&host, origin, false);
        let outcome = egress.send(&grant, built(&host, &settings, "fine").await).await;
        match &outcome {
            WireOutcome::NotSent { reason } if reason.code == "address_refused" => {}
            other => wrong.push(format!("{origin}: {other:?}")),
        }
    }
    assert_none(&wrong);
}
