//! Harm done in each function that a plugin exports, and before the first of them.

use std::sync::Arc;
use std::time::Duration;

use dripline_domain::delivery::AttemptOutcome;
use dripline_plugin_host::egress::{Secrets, WireOutcome};
use dripline_plugin_host::outcome::{before_wire, decide};
use dripline_plugin_host::{
    CallError, Limits, LoadError, Outgoing, PluginHost, Response, Settings,
};

use super::assert_none;
use crate::fixtures::{audience, component, host_with};

const CORPUS: &str = "hostile-corpus";
const RENDERER: &str = "hostile-renderer";

/// While it starts or describes itself: what is patched into it, and part of the error.
pub(super) const LOADING: &[(&str, &str)] = &[
    ("start loop", "used more than its"),
    ("start memory", "memory limit 64 MiB"),
    ("start stack", "in `describe`"),
    ("start panic", "trapped in `describe`"),
    ("start exit", "wasi:cli/exit"),
    ("start abort", "trapped in `describe`"),
    ("start null", "out of bounds"),
    ("describe loop", "used more than its"),
    ("describe memory", "memory limit 64 MiB"),
    ("describe stack", "in `describe`"),
    ("describe panic", "hostile, to [number]"),
    ("describe exit", "wasi:cli/exit"),
    ("describe null", "out of bounds"),
    ("describe divide", "a quotient"),
    ("describe log-forged", "utf-8"),
    ("describe name", "it calls itself"),
    ("describe setting-name", "is no name for a setting"),
    ("describe setting-twice", "is declared twice"),
    ("describe secret-default", "has a default"),
    ("describe any-origin", "is no origin"),
    ("describe file-origin", "is no origin"),
    ("describe user-origin", "is no origin"),
    ("describe secret-origin", "names no plain setting"),
    ("describe no-segments", "segment"),
    ("describe zero-units", "segment"),
    ("describe forever-key", "is no number of seconds"),
    ("describe odd-encoding", "in `text.encodings` is no encoding; there are `gsm7`"),
    ("describe no-encoding", "`text.encodings` has neither `gsm7` nor `ucs2`"),
    ("describe few-characters", "`0` as `text.max-characters` is no number of characters"),
    ("describe many-settings", "returned more than"),
];

/// While it builds a request: the message's text, and the code of the error.
pub(super) const BUILDING: &[(&str, &str)] = &[
    ("loop", "plugin_deadline"),
    ("memory", "plugin_memory"),
    ("stack", "plugin_trap or plugin_stack"),
    ("panic", "plugin_trap"),
    ("exit", "plugin_trap"),
    ("abort", "plugin_trap"),
    ("null", "plugin_trap"),
    ("divide", "plugin_trap"),
    ("log-forged", "plugin_trap"),
    // Cut off, and nothing more: what it logs is no reason to keep a message back.
    ("log-flood", "built"),
    ("print-flood", "built"),
    ("log-huge", "plugin_output or built"),
    ("headers many", "built"),
];

/// While it reads an answer: the answer's body, and the code of the error.
pub(super) const READING: &[(&str, &str)] = &[
    ("loop", "plugin_deadline"),
    ("memory", "plugin_memory"),
    ("stack", "plugin_trap or plugin_stack"),
    ("panic", "plugin_trap"),
    ("exit", "plugin_trap"),
    ("abort", "plugin_trap"),
    ("null", "plugin_trap"),
    ("log-forged", "plugin_trap"),
    ("many-references", "plugin_output"),
    ("many-attributes", "plugin_output"),
    ("huge-reference", "plugin_output"),
];

/// While it renders: the template, and the code of the error.
pub(super) const RENDERING: &[(&str, &str)] = &[
    ("loop", "plugin_deadline"),
    ("memory", "plugin_memory"),
    ("stack", "plugin_trap or plugin_stack"),
    ("panic", "plugin_trap"),
    ("exit", "plugin_trap"),
    ("abort", "plugin_trap"),
    ("surrogate", "plugin_trap"),
    ("huge-output", "plugin_output"),
    ("many-texts", "plugin_output"),
    ("wrong-count", "plugin_wrong_count"),
];

/// With time enough to fill its memory on the slowest machine, and no more than that.
pub(super) fn patient(plugins: &[&str]) -> PluginHost {
    let deadline = Duration::from_millis(700);
    let limits =
        Limits { carrier_deadline: deadline, render_deadline: deadline, ..Limits::default() };
    host_with(plugins, limits)
}

fn patched(mode: &str) -> Vec<u8> {
    const MARKER: &[u8] = b"dripline hostile mode:";
    let mut bytes = component(CORPUS);
    let at = bytes.windows(MARKER.len()).position(|window| window == MARKER).unwrap();
    let place = at + MARKER.len();
    bytes[place..place + mode.len()].copy_from_slice(mode.as_bytes());
    bytes
}

fn chain(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn is_one_of(expected: &str, code: &str) -> bool {
    expected.split(" or ").any(|one| one == code)
}

#[test]
fn harm_while_loading_is_an_error_with_its_name() {
    let host = patient(&[RENDERER]);
    let mut wrong = Vec::new();
    for (mode, expected) in LOADING {
        match host.load(CORPUS, &patched(mode)) {
            Ok(_) => wrong.push(format!("{mode}: it was loaded")),
            Err(error) => {
                let text = chain(&error);
                if !text.contains(expected) {
                    wrong.push(format!("{mode}: {text}"));
                }
                if text.contains("hunter2") || text.chars().any(char::is_control) {
                    wrong.push(format!("{mode}: told as it is: {text:?}"));
                }
            }
        }
    }
    assert_none(&wrong);
    // What was loaded before is still there, and the same component without harm can be loaded.
    host.load(CORPUS, &component(CORPUS)).unwrap();
    assert_eq!(host.plugins().len(), 2);
}

#[tokio::test]
async fn harm_while_building_costs_its_own_message_only() {
    let host = patient(&[CORPUS]);
    let settings = Settings::from([("base_url".to_owned(), "http://127.0.0.1:1".to_owned())]);
    let mut wrong = Vec::new();
    for (text, expected) in BUILDING {
        let messages = ["fine", text, "fine"].map(|text| Outgoing {
            reference: "installation-1-1".into(),
            sender: "+15550000000".into(),
            recipient: "+15551234567".into(),
            text: text.into(),
            callback_url: None,
        });
        let built =
            host.build_requests(CORPUS, &settings, &Secrets::default(), messages.to_vec()).await;
        let code = match &built[1] {
            Ok(_) => "built",
            Err(CallError::Failure(failure)) => &failure.code,
            Err(CallError::Plugin(error)) => error.code(),
        };
        if !is_one_of(expected, code) || built[0].is_err() || built[2].is_err() {
            wrong.push(format!("{text}: {built:?}"));
        }
        if let Err(error) = &built[1] {
            let outcome = before_wire(CORPUS, error);
            if !matches!(outcome, AttemptOutcome::NotSent { .. }) {
                wrong.push(format!("{text}: nothing was sent, and it is {outcome:?}"));
            }
        }
    }
    assert_none(&wrong);
}

#[tokio::test]
async fn harm_while_reading_leaves_the_message_to_its_status() {
    let host = patient(&[CORPUS]);
    let settings = Settings::from([("base_url".to_owned(), "http://127.0.0.1:1".to_owned())]);
    let answer = |status, body: &str| Response { status, headers: vec![], body: body.into() };
    let mut wrong = Vec::new();
    for (body, expected) in READING {
        for (status, is_right) in [
            (201, is_unknown as fn(&AttemptOutcome) -> bool),
            (400, is_refused),
            (429, is_not_sent),
        ] {
            let responses = vec![answer(201, "fine"), answer(status, body), answer(201, "fine")];
            let read = host.read_responses(CORPUS, &settings, responses.clone()).await;
            let code = match &read[1] {
                Err(CallError::Plugin(error)) => error.code(),
                _ => "read",
            };
            let wire = WireOutcome::Response(responses[1].clone());
            let outcome = decide(CORPUS, &wire, Some(&read[1]));
            let neighbours = read[0].is_ok() && read[2].is_ok();
            if !is_one_of(expected, code) || !neighbours || !is_right(&outcome) {
                wrong.push(format!("{body} after {status}: {code}, {outcome:?}"));
            }
        }
    }
    assert_none(&wrong);
}

fn is_unknown(outcome: &AttemptOutcome) -> bool {
    matches!(outcome, AttemptOutcome::Unknown(_))
}

fn is_refused(outcome: &AttemptOutcome) -> bool {
    matches!(outcome, AttemptOutcome::Refused(_))
}

fn is_not_sent(outcome: &AttemptOutcome) -> bool {
    matches!(outcome, AttemptOutcome::NotSent { .. })
}

#[tokio::test]
async fn a_reference_that_would_write_to_a_terminal_is_passed_on_as_data() {
    let host = patient(&[CORPUS]);
    let settings = Settings::from([("base_url".to_owned(), "http://127.0.0.1:1".to_owned())]);
    let response = Response { status: 201, headers: vec![], body: b"escaping-reference".to_vec() };
    let read = host.read_responses(CORPUS, &settings, vec![response]).await;
    // Whoever prints it escapes it: see the CLI's `output/sanitise.rs`.
    assert!(read[0].as_ref().unwrap().carrier_references[0].starts_with("M1\u{1b}"));
}

#[tokio::test]
async fn harm_while_rendering_is_a_typed_error() {
    let host = patient(&[RENDERER]);
    let mut wrong = Vec::new();
    for (template, expected) in RENDERING {
        let names = vec!["Ann"; if *template == "many-texts" { 100 } else { 1 }];
        let rendered = host.render(RENDERER, Arc::from(*template), audience(&names)).await;
        let code = match &rendered {
            Err(error) => error.code().to_owned(),
            Ok(texts) => texts
                .iter()
                .find_map(|text| text.as_ref().err())
                .map_or_else(|| "rendered".to_owned(), |error| error.code().to_owned()),
        };
        // A chunk that is too large as a whole is halved until it fits.
        let halved = *template == "many-texts" && code == "rendered";
        if !is_one_of(expected, &code) && !halved {
            wrong.push(format!("{template}: {code}"));
        }
        let texts = host.render(RENDERER, Arc::from("echo"), audience(&["Ann"])).await;
        if texts != Ok(vec![Ok("Ann".to_owned())]) {
            wrong.push(format!("{template}: afterwards {texts:?}"));
        }
    }
    assert_none(&wrong);
}

#[tokio::test]
async fn what_is_not_a_number_looks_the_same_on_every_machine() {
    let host = patient(&[RENDERER]);
    let texts = host.render(RENDERER, Arc::from("nan"), audience(&["Ann", "Bob"])).await.unwrap();
    // The one bit pattern that WebAssembly calls canonical.
    assert_eq!(texts, [Ok("7ff8000000000000".to_owned()), Ok("7ff8000000000000".to_owned())]);
}
