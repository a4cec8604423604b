//! Harm done in what a carrier may do besides sending: when it is asked, when it fetches a token, when it reports.

use dripline_domain::delivery::Reason;
use dripline_plugin_host::egress::{Secrets, WireOutcome};
use dripline_plugin_host::outcome::{Answered, answered};
use dripline_plugin_host::{CallError, Hook, HookError, PluginHost, Question, Response, Settings};

use super::assert_none;
use super::exports::patient;

const ABILITIES: &str = "hostile-abilities";

/// What is done in each of [`FUNCTIONS`], and the code of the error.
const DEEDS: &[(&str, &str)] = &[
    ("loop", "plugin_deadline"),
    ("memory", "plugin_memory"),
    ("stack", "plugin_trap or plugin_stack"),
    ("panic", "plugin_trap"),
    ("exit", "plugin_trap"),
    ("abort", "plugin_trap"),
];

const FUNCTIONS: &[&str] =
    &["lookup.request", "lookup.outcome", "token.request", "token.outcome", "webhook.parse"];

/// Lists of many small things, which together are too much.
const LISTS: &[&str] = &["lookup.outcome", "token.outcome", "webhook.parse"];

/// How many rows there are.
pub(super) const ROWS: usize = DEEDS.len() * FUNCTIONS.len() + LISTS.len();

fn settings(harm: &str) -> Settings {
    [("api_base", "http://127.0.0.1:1"), ("harm", harm)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.insert("key", "for this test only").unwrap();
    secrets
}

fn question() -> Question {
    Question {
        reference: "in5-7-1".to_owned(),
        sender: "+15550000000".to_owned(),
        recipient: "+15551234567".to_owned(),
        attempted_at_ms: 0,
    }
}

fn answer(status: u16) -> Response {
    let body = br#"{"messages":[{"id":"M1"}]}"#.to_vec();
    Response { status, headers: vec![], body }
}

/// A report that is signed: HMAC-SHA256 of `a report` under the key above.
fn report() -> Hook {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"for this test only");
    let tag = ring::hmac::sign(&key, b"a report");
    let hex = tag.as_ref().iter().fold(String::new(), |hex, octet| hex + &format!("{octet:02x}"));
    Hook {
        method: "POST".to_owned(),
        url: "https://dripline.example/hooks".to_owned(),
        headers: vec![dripline_plugin_host::Header::new("x-signature", hex)],
        body: b"a report".to_vec(),
    }
}

/// Calls the function, with this harm and then without it: what came of each, as a code.
async fn called(host: &PluginHost, function: &str, harm: &str) -> [String; 2] {
    [code(host, function, &settings(harm)).await, code(host, function, &settings("")).await]
}

async fn code(host: &PluginHost, function: &str, settings: &Settings) -> String {
    let secrets = secrets();
    match function {
        "lookup.request" => {
            let questions = vec![question()];
            code_of(host.build_questions(ABILITIES, settings, &secrets, questions).await.remove(0))
        }
        "lookup.outcome" => {
            let answers = vec![(question(), answer(200))];
            let read = host.read_findings(ABILITIES, settings, answers).await.remove(0);
            let wire = WireOutcome::Response(answer(200));
            // Nobody knows after that, so that the message is neither taken for sent nor sent again.
            if let (Err(CallError::Plugin(error)), Answered::Has { .. } | Answered::HasNot) =
                (&read, answered(ABILITIES, &wire, Some(&read)))
            {
                return format!("believed after {}", error.code());
            }
            code_of(read)
        }
        "token.request" => code_of(host.build_token_request(ABILITIES, settings, &secrets).await),
        "token.outcome" => code_of(host.read_token_answer(ABILITIES, settings, &answer(200)).await),
        _ => match host.read_hooks(ABILITIES, settings, &secrets, vec![report()]).await.remove(0) {
            Ok(_) => "well".to_owned(),
            Err(HookError::Plugin(error)) => error.code().to_owned(),
            Err(error) => error.to_string(),
        },
    }
}

fn code_of<T>(called: Result<T, CallError>) -> String {
    match called {
        Ok(_) => "well".to_owned(),
        Err(CallError::Plugin(error)) => error.code().to_owned(),
        Err(CallError::Failure(failure)) => failure.code,
    }
}

#[tokio::test]
async fn harm_in_any_other_export_is_a_typed_error_and_the_host_goes_on() {
    let host = patient(&[ABILITIES]);
    let mut wrong = Vec::new();
    let deeds =
        FUNCTIONS.iter().flat_map(|function| DEEDS.iter().map(move |deed| (function, *deed)));
    let lists = LISTS.iter().map(|function| (function, ("attributes", "plugin_output")));
    for (function, (deed, expected)) in deeds.chain(lists) {
        let [harmed, after] = called(&host, function, &format!("{function} {deed}")).await;
        if !expected.split(" or ").any(|one| one == harmed) || after != "well" {
            wrong.push(format!("{function} {deed}: {harmed}, afterwards {after}"));
        }
    }
    assert_none(&wrong);
}

/// Whoever hangs costs its own message, and those beside it in the batch are served by another instance.
#[tokio::test]
async fn what_a_plugin_says_of_a_broken_answer_is_no_answer() {
    let host = patient(&[ABILITIES]);
    let garbled = |body: &[u8]| Response { body: body.to_vec(), ..answer(200) };
    let answers = [answer(200), garbled(b"<html>"), answer(200)];
    let answers = answers.map(|response| (question(), response)).to_vec();
    let settings = settings("lookup.outcome trust");
    let read = host.read_findings(ABILITIES, &settings, answers).await;
    assert!(read[0].is_ok() && read[2].is_ok(), "{read:?}");
    let wire = WireOutcome::Response(garbled(b"<html>"));
    let worth = answered(ABILITIES, &wire, Some(&read[1]));
    assert!(
        matches!(&worth, Answered::Nothing(Reason { code, .. }) if code == "plugin_trap"),
        "{worth:?}"
    );
}
