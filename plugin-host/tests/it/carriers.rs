//! Carriers: batches in which some messages misbehave, and what their requests may not do.

use std::time::Duration;

use dripline_domain::delivery::AttemptOutcome;
use dripline_plugin_host::egress::{
    Egress, EgressOptions, Grant, RouteRights, Secrets, WireOutcome,
};
use dripline_plugin_host::outcome::{before_wire, decide, is_stopped};
use dripline_plugin_host::{
    CallError, FailureClass, Limits, Outgoing, PluginError, PluginHost, Request, Response, Settings,
};

use crate::fixtures::{host, host_with};
use crate::server::Server;

const HOSTILE: &str = "hostile-carrier";

fn outgoing(text: &str) -> Outgoing {
    Outgoing {
        reference: "installation-1-1".into(),
        sender: "+15550000000".into(),
        recipient: "+15551234567".into(),
        text: text.into(),
        callback_url: None,
    }
}

fn settings(base_url: &str) -> Settings {
    Settings::from([("base_url".to_owned(), base_url.to_owned())])
}

/// A host whose carriers have time to fill their memory on the slowest machine.
fn patient_host() -> PluginHost {
    let carrier_deadline = Duration::from_millis(500);
    host_with(&[HOSTILE], Limits { carrier_deadline, ..Limits::default() })
}

async fn build(host: &PluginHost, texts: &[&str]) -> Vec<Result<Request, CallError>> {
    let messages = texts.iter().map(|text| outgoing(text)).collect();
    host.build_requests(HOSTILE, &settings("http://127.0.0.1:1"), &Secrets::default(), messages)
        .await
}

/// A built request in one word.
fn word(built: &Result<Request, CallError>) -> &str {
    match built {
        Ok(_) => "request",
        Err(CallError::Failure(failure)) => &failure.code,
        Err(CallError::Plugin(error)) => error.code(),
    }
}

#[tokio::test]
async fn only_the_messages_that_misbehave_fail() {
    let host = patient_host();
    let cases = [
        ("hello", "request"),
        ("panic", "plugin_trap"),
        ("hello", "request"),
        ("loop", "plugin_deadline"),
        ("hello", "request"),
        ("memory", "plugin_memory"),
        ("refuse", "bad-number"),
        ("huge-output", "plugin_output"),
        ("huge-body", "plugin_output"),
        ("huge-header", "plugin_output"),
        ("hello {{secret:token}}", "secret_placeholder"),
        ("hello %7b%7bsecret%3atoken%7d%7d", "secret_placeholder"),
        ("hello", "request"),
    ];
    let built = build(&host, &cases.map(|(text, _)| text)).await;
    for ((text, expected), built) in cases.iter().zip(&built) {
        assert_eq!(word(built), *expected, "{text}: {built:?}");
    }
    let Err(CallError::Plugin(error)) = &built[5] else { panic!() };
    assert!(error.to_string().contains("memory limit 64 MiB, wanted 6"), "{error}");
    // Before the wire, whatever the plugin does.
    for built in built.iter().filter_map(|built| built.as_ref().err()) {
        let outcome = before_wire(HOSTILE, built);
        assert!(
            matches!(outcome, AttemptOutcome::NotSent { .. } | AttemptOutcome::Refused(_)),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_carrier_that_fails_on_everything_is_given_up_early() {
    let host = host(&[HOSTILE]);
    let built = build(&host, &["panic"; 20]).await;
    let words: Vec<&str> = built.iter().map(word).collect();
    assert_eq!(words[..8], ["plugin_trap"; 8]);
    assert_eq!(words[8..], ["plugin_failing"; 12]);
}

#[tokio::test]
async fn answers_are_read_one_by_one() {
    let host = patient_host();
    let bodies = ["M1", "panic", "loop", "memory", "stopped", "M2"];
    let responses: Vec<Response> = bodies
        .iter()
        .map(|body| Response { status: 201, headers: vec![], body: body.as_bytes().to_vec() })
        .collect();
    let read =
        host.read_responses(HOSTILE, &settings("http://127.0.0.1:1"), responses.clone()).await;
    let outcomes: Vec<AttemptOutcome> = responses
        .into_iter()
        .zip(&read)
        .map(|(response, read)| decide(HOSTILE, &WireOutcome::Response(response), Some(read)))
        .collect();
    let codes: Vec<String> = outcomes
        .iter()
        .map(|outcome| match outcome {
            AttemptOutcome::Accepted { carrier_reference } => carrier_reference.clone().unwrap(),
            AttemptOutcome::Unknown(reason) => format!("unknown {}", reason.code),
            AttemptOutcome::Refused(reason) => {
                assert!(is_stopped(reason));
                format!("refused {}", reason.code)
            }
            AttemptOutcome::NotSent { reason, .. } => format!("not sent {}", reason.code),
        })
        .collect();
    assert_eq!(
        codes,
        [
            "M1",
            "unknown plugin_trap",
            "unknown plugin_deadline",
            "unknown plugin_memory",
            "refused stopped:hostile-carrier:21610",
            "M2"
        ]
    );
    assert!(matches!(
        &read[4],
        Err(CallError::Failure(failure)) if failure.class == FailureClass::Stopped
    ));
}

#[tokio::test]
async fn a_carrier_that_is_not_there_fails_every_message() {
    let host = host(&[]);
    let built = build(&host, &["a", "b"]).await;
    let error = CallError::Plugin(PluginError::NotLoaded { name: HOSTILE.into() });
    assert_eq!(built, [Err(error.clone()), Err(error)]);
}

#[tokio::test]
async fn what_a_hostile_carrier_builds_does_not_leave() {
    let server = Server::answering("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nM1").await;
    let host = host(&[HOSTILE]);
    let manifest = host.manifest(HOSTILE).unwrap();
    let given = settings(&server.origin());
    let settings = manifest.complete_settings(&given, ["token"]).unwrap();
    let mut secrets = Secrets::default();
    secrets.insert("token", "s3cret-value").unwrap();
    // Not declared by the manifest, so out of the plugin's reach.
    secrets.insert("root", "r00t-value").unwrap();
    let allowed = [server.origin(), "https://other.example.com".to_owned()];
    let rights = RouteRights {
        allowed_origins: &allowed,
        allow_loopback: true,
        secrets,
        ..RouteRights::default()
    };
    let grant = Grant::new(&manifest, &settings, &rights).unwrap();
    assert_eq!(grant.origins().map(ToString::to_string).collect::<Vec<_>>(), [server.origin()]);

    let egress = Egress::new(EgressOptions::default());
    let texts =
        ["forbidden-header", "crlf", "exfiltrate", "exfiltrate-body", "other-secret", "hello"];
    let messages = texts.iter().map(|text| outgoing(text)).collect();
    let mut sent = Vec::new();
    for built in host.build_requests(HOSTILE, &settings, &Secrets::default(), messages).await {
        sent.push(egress.send(&grant, built.unwrap()).await);
    }
    for (text, outcome) in texts.iter().zip(&sent[..5]) {
        let WireOutcome::NotSent { reason } = outcome else { panic!("{text}: {outcome:?}") };
        assert_eq!(reason.code, "egress_forbidden", "{text}");
        assert!(!reason.text.contains("s3cret"), "{text}");
    }
    assert!(matches!(&sent[5], WireOutcome::Response(response) if response.status == 201));
    let [request] = &server.requests()[..] else { panic!("one request arrived") };
    assert!(request.contains("authorization: Bearer s3cret-value\r\n"), "{request}");
    assert!(request.ends_with(r#"{"token":"s3cret-value"}"#), "{request}");
}
