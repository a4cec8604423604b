//! Signatures with secrets that are only named, reports that must be proved, and a carrier that was built for the
//! contract's first version.

use dripline_domain::receipt::ReceiptStatus;
use dripline_plugin_host::egress::{Redactor, Secrets};
use dripline_plugin_host::{
    CallError, Header, Hook, HookError, Outgoing, Permission, PluginError, Response, Settings,
};

use crate::fixtures::host;

const SIGNING: &str = "signing-carrier";
const KEY: &str = "for this test only";

fn settings() -> Settings {
    Settings::from([("api_base".to_owned(), "https://api.example.com".to_owned())])
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.insert("key", KEY).unwrap();
    secrets
}

fn message(text: &str) -> Outgoing {
    Outgoing {
        reference: "in5-7-1".to_owned(),
        sender: "+15550000000".to_owned(),
        recipient: "+15551234567".to_owned(),
        text: text.to_owned(),
        callback_url: None,
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    ring::hmac::sign(&key, message).as_ref().to_vec()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}

fn hook(body: &str, headers: &[(&str, &str)]) -> Hook {
    Hook {
        method: "POST".to_owned(),
        url: "https://dripline.example/hooks?token=t".to_owned(),
        headers: headers.iter().map(|(name, value)| Header::new(*name, *value)).collect(),
        body: body.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn a_carrier_signs_with_a_secret_that_it_never_sees() {
    let host = host(&[SIGNING]);
    let info = host.plugins().remove(0);
    assert!(info.webhook && !info.lookup);
    assert_eq!(info.imports, ["sign", "verify"]);
    let messages = vec![message("key"), message("chain key"), message("other")];
    let built = host.build_requests(SIGNING, &settings(), &secrets(), messages.clone()).await;
    let signature = |index: usize| built[index].as_ref().unwrap().headers[0].value.clone();
    assert_eq!(signature(0), hex(&hmac(KEY.as_bytes(), b"message")));
    let first = hmac(format!("AWS4{KEY}").as_bytes(), b"a");
    assert_eq!(signature(1), hex(&hmac(&first, b"b")));
    let Err(CallError::Failure(failure)) = &built[2] else { panic!("{built:?}") };
    assert_eq!(failure.code, "missing-secret");
    // Without secrets there is nothing to sign with.
    let built = host.build_requests(SIGNING, &settings(), &Secrets::default(), messages).await;
    assert!(built.iter().all(Result::is_err), "{built:?}");
}

#[tokio::test]
async fn only_what_is_proved_is_believed() {
    let host = host(&[SIGNING]);
    let good = hex(&hmac(KEY.as_bytes(), b"a report"));
    let of_nothing = hex(&hmac(KEY.as_bytes(), b""));
    let hooks = vec![
        hook("a report", &[("X-Signature", &good)]),
        hook("another report", &[("x-signature", &good)]),
        hook("a report", &[]),
        hook("careless", &[]),
        hook("wrong", &[]),
        hook("half", &[("x-signature", &of_nothing)]),
        hook("password", &[("x-password", KEY)]),
        hook("password", &[("x-password", "guess")]),
        hook("panic", &[]),
        hook("a report", &[("x-signature", &good)]),
    ];
    let read = host.read_hooks(SIGNING, &settings(), &secrets(), hooks.clone()).await;
    let words: Vec<String> = read
        .iter()
        .map(|read| match read {
            Ok(heard) => heard.receipts[0].status.to_string(),
            Err(HookError::Rejected { code, .. }) => code.clone(),
            Err(HookError::Unproved { .. }) => "unproved".to_owned(),
            Err(HookError::NoWebhook { .. }) => "no webhook".to_owned(),
            Err(HookError::Plugin(error)) => error.code().to_owned(),
        })
        .collect();
    assert_eq!(
        words,
        [
            "delivered",
            "forged",
            "forged",
            "unproved",
            "unproved",
            "delivered",
            "delivered",
            "forged",
            "plugin_trap",
            "delivered"
        ]
    );
    assert_eq!(read[0].as_ref().unwrap().receipts[0].status, ReceiptStatus::Delivered);
    // A proof of one request proves nothing about the next.
    let read = host.read_hooks(SIGNING, &settings(), &Secrets::default(), hooks).await;
    assert!(read.iter().all(Result::is_err), "{read:?}");
}

#[tokio::test]
async fn what_nothing_proves_is_believed_where_the_route_says_so() {
    let host = host(&[SIGNING]);
    assert!(host.plugins()[0].permissions().contains(&Permission::UnsignedWebhooks));
    for (value, believed) in [(None, false), (Some("false"), false), (Some("true"), true)] {
        let mut settings = settings();
        settings.extend(value.map(|value| ("unsigned".to_owned(), value.to_owned())));
        let hooks = vec![hook("careless", &[]), hook("a report", &[])];
        let read = host.read_hooks(SIGNING, &settings, &secrets(), hooks).await;
        let unproved = matches!(&read[0], Err(HookError::Unproved { .. }));
        assert_eq!((read[0].is_ok(), unproved), (believed, !believed), "{value:?}: {read:?}");
        // What the plugin itself rejects stays rejected.
        assert!(matches!(&read[1], Err(HookError::Rejected { .. })), "{read:?}");
    }
}

#[tokio::test]
async fn a_secret_that_the_carrier_repeats_can_be_blotted_out() {
    let host = host(&[SIGNING]);
    let hooks = vec![hook("gossip", &[("x-password", KEY)])];
    let mut read = host.read_hooks(SIGNING, &settings(), &secrets(), hooks).await;
    // Whoever puts plugins to the test must see it.
    let heard = read.remove(0).unwrap();
    assert_eq!(heard.receipts[0].text.as_deref(), Some(KEY));
    let redactor = Redactor::new(&secrets());
    let receipt = &heard.redacted(&redactor).receipts[0];
    assert_eq!(receipt.code.as_deref(), Some("[secret key]"));
    assert_eq!(receipt.text.as_deref(), Some("[secret key]"));
    let rejected = HookError::Rejected { code: "odd".to_owned(), text: format!("not {KEY}") };
    let shown = rejected.redacted(&redactor).to_string();
    assert_eq!(shown, "the request is rejected: not [secret key] (odd)");
}

#[tokio::test]
async fn a_carrier_that_reports_nothing_says_so() {
    let host = host(&["keyed-carrier"]);
    let settings = Settings::new();
    let read = host.read_hooks("keyed-carrier", &settings, &secrets(), vec![hook("x", &[])]).await;
    assert_eq!(read, [Err(HookError::NoWebhook { plugin: "keyed-carrier".to_owned() })]);
    let read = host.read_hooks("nobody", &settings, &secrets(), vec![hook("x", &[])]).await;
    let missing = PluginError::NotLoaded { name: "nobody".to_owned() };
    assert_eq!(read, [Err(HookError::Plugin(missing))]);
}

#[tokio::test]
async fn a_carrier_of_the_first_version_keeps_working() {
    const OLD: &str = "contract-0-1-0";
    let host = host(&[OLD]);
    assert_eq!(host.plugins()[0].imports, ["log"]);
    let settings = Settings::from([("base".to_owned(), "https://api.example.com/".to_owned())]);
    let built = host.build_requests(OLD, &settings, &Secrets::default(), vec![message("Hi")]).await;
    let request = built[0].as_ref().unwrap();
    assert_eq!((&*request.url, &*request.body), ("https://api.example.com/", &b"Hi"[..]));
    let answer = |status, body: &str| Response { status, headers: vec![], body: body.into() };
    let read = host.read_responses(OLD, &settings, vec![answer(200, "m1"), answer(400, "")]).await;
    assert_eq!(read[0].as_ref().unwrap().carrier_references, ["m1"]);
    assert!(matches!(&read[1], Err(CallError::Failure(failure)) if failure.code == "400"));
}
