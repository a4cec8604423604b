//! Carriers that can be asked, and those that cannot.

use std::time::Duration;

use dripline_plugin_host::egress::Secrets;
use dripline_plugin_host::{CallError, DuplicateClass, PluginError, Question, Response, Settings};

use crate::fixtures::host;

const QUERIED: &str = "queried-carrier";

fn settings() -> Settings {
    Settings::from([
        ("account_sid".to_owned(), "AC1".to_owned()),
        ("api_base".to_owned(), "http://127.0.0.1:1".to_owned()),
    ])
}

fn question(reference: &str) -> Question {
    Question {
        reference: reference.to_owned(),
        sender: "+15550000000".to_owned(),
        recipient: "+15551234567".to_owned(),
        attempted_at_ms: 1_795_348_800_000,
    }
}

#[tokio::test]
async fn a_carrier_that_exports_lookup_can_be_asked() {
    let host = host(&[QUERIED, "keyed-carrier", "hostile-carrier"]);
    let able: Vec<_> = host.plugins().iter().map(|p| (p.name.clone(), p.lookup)).collect();
    let expected = [("hostile-carrier", false), ("keyed-carrier", false), (QUERIED, true)];
    assert_eq!(able, expected.map(|(name, lookup)| (name.to_owned(), lookup)));

    let questions = vec![question("in5-7-1"), question("{{secret:auth_token}}"), question("a b")];
    let built = host.build_questions(QUERIED, &settings(), &Secrets::default(), questions).await;
    let request = built[0].as_ref().unwrap();
    let url = "http://127.0.0.1:1/queried/AC1/messages?reference=in5-7-1";
    assert_eq!((request.method.as_str(), request.url.as_str()), ("GET", url));
    let Err(CallError::Failure(failure)) = &built[1] else { panic!("{built:?}") };
    assert_eq!(failure.code, "secret_placeholder");
    assert!(built[2].as_ref().unwrap().url.ends_with("reference=a%20b"));
}

#[tokio::test]
async fn answers_to_questions_are_read_one_by_one() {
    let host = host(&[QUERIED]);
    let bodies = [
        (200, r#"{"messages":[{"sid":"SM1"}]}"#),
        (200, r#"{"messages":[]}"#),
        (200, "garbage"),
        (200, r#"{"messages":[{}]}"#),
        (500, r#"{"messages":[]}"#),
    ];
    let answers = bodies.map(|(status, body)| {
        let response = Response { status, headers: vec![], body: body.as_bytes().to_vec() };
        (question("in5-7-1"), response)
    });
    let read = host.read_findings(QUERIED, &settings(), answers.to_vec()).await;
    let words: Vec<_> = read
        .iter()
        .map(|finding| match finding {
            Ok(Some(accepted)) => accepted.carrier_references.join(","),
            Ok(None) => "none".to_owned(),
            Err(CallError::Failure(failure)) => failure.code.clone(),
            Err(CallError::Plugin(error)) => error.code().to_owned(),
        })
        .collect();
    assert_eq!(words, ["SM1", "none", "unreadable-answer", "no-sid", "http-500"]);
}

#[tokio::test]
async fn a_carrier_without_lookup_says_so() {
    let host = host(&["keyed-carrier"]);
    let built = host
        .build_questions("keyed-carrier", &settings(), &Secrets::default(), vec![question("x")])
        .await;
    let error = PluginError::NoLookup { plugin: "keyed-carrier".to_owned() };
    assert_eq!(built, [Err(CallError::Plugin(error.clone()))]);
    assert_eq!(
        error.to_string(),
        "plugin `keyed-carrier` cannot be asked, since it exports no `lookup`"
    );
}

#[test]
fn manifests_say_how_long() {
    let host = host(&[QUERIED, "keyed-carrier", "twilio"]);
    let keyed = host.manifest("keyed-carrier").unwrap();
    assert_eq!(keyed.duplicates, DuplicateClass::Key);
    assert_eq!(keyed.key_lifetime(), Some(Duration::from_hours(3)));
    let queried = host.manifest(QUERIED).unwrap();
    assert_eq!(queried.duplicates, DuplicateClass::Query);
    assert_eq!((queried.key_lifetime(), queried.lookup_final_after().as_secs()), (None, 2));
    let neither = host.manifest("twilio").unwrap();
    assert_eq!((neither.key_lifetime(), neither.lookup_final_after().as_secs()), (None, 900));
}
