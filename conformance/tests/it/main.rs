//! The kit on built components: the bundled ones pass, and each promise can be broken.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::path::{Path, PathBuf};

use dripline_conformance::{CasesError, Stage, Verdict, run};
use dripline_plugin_host::{HostOptions, Limits, PluginHost, PluginInfo};

/// Where `cargo xtask test` has put the components.
fn component(name: &str) -> PathBuf {
    let folder = std::env::var_os("DRIPLINE_TEST_PLUGINS");
    PathBuf::from(folder.expect("DRIPLINE_TEST_PLUGINS: run `cargo xtask test`"))
        .join(format!("{name}.wasm"))
}

fn loaded(name: &str) -> (PluginHost, PluginInfo, Stage) {
    // Time enough for a machine that does ten things at once.
    let deadline = std::time::Duration::from_secs(2);
    let limits =
        Limits { carrier_deadline: deadline, render_deadline: deadline, ..Limits::default() };
    let stage = Stage::default();
    let (clock, log_keeper) = (stage.clock(), Some(stage.log_keeper()));
    let options = HostOptions { limits, clock, log_keeper, ..HostOptions::default() };
    let host = PluginHost::new(options).unwrap();
    let info = host.load_file(&component(name)).unwrap();
    (host, info, stage)
}

async fn verdict(name: &str, folder: Option<&Path>) -> Verdict {
    let (host, info, stage) = loaded(name);
    run(&host, &info, folder, &stage).await.unwrap()
}

/// Case and first problem of what failed.
fn failed(verdict: &Verdict) -> Vec<(&str, &str)> {
    let failed = verdict.checks.iter().filter(|check| !check.problems.is_empty());
    failed.map(|check| (check.case.as_str(), check.problems[0].as_str())).collect()
}

fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins")
}

#[tokio::test]
async fn the_bundled_plugins_keep_their_promises() {
    let carriers = [
        "aws-sms",
        "bird",
        "http-template",
        "infobip",
        "plivo",
        "sinch",
        "telnyx",
        "twilio",
        "vonage",
    ];
    let mut wrong = Vec::new();
    for name in carriers.into_iter().chain(["plain", "template"]) {
        let folder = plugins().join(name).join("cases");
        let verdict = verdict(&name.replace('-', "_"), Some(&folder)).await;
        let own = failed(&verdict).into_iter();
        wrong.extend(own.map(|(case, problem)| format!("{name}, {case}: {problem}")));
        let of_cases = verdict.checks.iter().filter(|check| check.file.is_some()).count();
        assert!(of_cases > 1 && verdict.checks.len() > of_cases, "{name}: {verdict:?}");
        assert!(verdict.checks.len() > 10 || name == "plain", "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_carrier_that_takes_everything_for_accepted_is_found_out() {
    let verdict = verdict("hostile_corpus", None).await;
    let failed = failed(&verdict);
    let problem = |case: &str| {
        let found = failed.iter().find(|(name, _)| *name == case);
        found.unwrap_or_else(|| panic!("{case} passed: {failed:?}")).1
    };
    assert!(problem("429 without a wait").contains("should be throttled"), "{failed:?}");
    assert!(problem("429 with a wait").contains("should be throttled"), "{failed:?}");
    assert!(problem("500 without a body").contains("taken for accepted"), "{failed:?}");
    assert!(problem("a redirect").contains("taken for accepted"), "{failed:?}");
    assert!(problem("200 with nothing").contains("without an id"), "{failed:?}");
}

/// Runs cases of the carrier `hostile-corpus`, which does what its message's text says.
async fn with_cases(cases: &str) -> Result<Verdict, CasesError> {
    let settings = "[settings]\nbase_url = \"https://api.example.com\"\n";
    cases_of("hostile_corpus", &format!("{settings}{cases}")).await
}

async fn cases_of(plugin: &str, cases: &str) -> Result<Verdict, CasesError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cases.toml"), cases).unwrap();
    let (host, info, stage) = loaded(plugin);
    run(&host, &info, Some(folder.path()), &stage).await
}

#[tokio::test]
async fn each_promise_of_a_case_can_be_broken() {
    for (case, expected) in [
        (
            "message = { text = 'url https://evil.test/' }\nrequest.url = 'https://evil.test/'",
            "the request may not leave: origin https://evil.test is not granted",
        ),
        (
            "message = { text = 'header host=evil.test' }\nrequest.url = 'x'",
            "the request may not leave: header `host`",
        ),
        (
            "message = { text = 'fine' }\nrequest.url = 'https://api.example.com/other'",
            "the URL is \"https://api.example.com/messages\" and should be",
        ),
        (
            "message = { text = 'fine' }\nrefused = { class = 'permanent', code = 'x' }",
            "the request is Ok",
        ),
        (
            "message = { text = 'panic' }\nrequest.url = 'x'",
            "plugin `hostile-corpus` trapped in `send-request`",
        ),
        (
            "response = { status = 201, body = 'loop' }\naccepted = { carrier_references = [] }",
            "used more than its 2000 ms in `send-outcome`",
        ),
        (
            "response = { status = 201, body = 'fine' }\naccepted = { carrier_references = ['M2'] }",
            "the list of ids is [\"M1\"] and should be [\"M2\"]",
        ),
        ("message = { text = 'fine' }", "it has neither `request` nor `refused` nor `response`"),
    ] {
        let verdict = with_cases(&format!("[[case]]\nname = 'it'\n{case}\n")).await.unwrap();
        let failed = failed(&verdict);
        let found = failed.iter().find(|(name, _)| *name == "it");
        assert!(found.is_some_and(|(_, problem)| problem.contains(expected)), "{case}: {failed:?}");
    }
}

#[tokio::test]
async fn a_text_of_as_many_characters_as_a_carrier_takes_must_be_built() {
    let case = |refuses_from: u32| {
        format!(
            "[settings]\naccount_sid = 'AC1'\napi_base = 'https://api.example.com'\n\
             refuses_from = '{refuses_from}'\n[[case]]\nname = 'it'\n\
             request.url = 'https://api.example.com/2010-04-01/Accounts/AC1/Messages.json'\n\
             request.credential = {{ basic = {{ user = 'AC1', password_secret = 'auth_token' }} }}\n"
        )
    };
    let kept = cases_of("brief_carrier", &case(41)).await.unwrap();
    assert_eq!(failed(&kept), []);
    let longest = "a text of as many characters as it takes";
    assert!(kept.checks.iter().any(|check| check.case == longest), "{kept:?}");
    let broken = cases_of("brief_carrier", &case(40)).await.unwrap();
    let problem = "it, with 40 characters: it is refused: the text is too long after all";
    assert_eq!(failed(&broken), [(longest, problem)]);
}

#[tokio::test]
async fn a_carrier_that_believes_what_is_not_proved_is_found_out() {
    for (hook, expected) in [
        ("hook.body = 'careless'\nreceipts = []", "believed a request without checking"),
        ("hook.body = 'wrong'\nreceipts = []", "believed a request without checking"),
        (
            "hook.body = 'a report'\nreceipts = []",
            "the request is rejected: the signature is missing",
        ),
        ("hook.body = 'panic'\nreceipts = []", "trapped in `webhook.parse`"),
        ("hook.body = 'a report'\nrejected = 'stale'", "the rejection is \"forged\" and should be"),
        // The signature is of nothing, so that a body cut off to nothing is believed as well.
        (
            "hook.headers = { x-signature = 'ad71148c79f21ab9eec51ea5c7dd2b668792f7c0d3534ae66b22f71c61523fb3' }\nhook.body = 'half'\n\
             receipts = [{ carrier_reference = 'm1', progress = 'delivered' }]",
            "the signature does not cover the body",
        ),
        (
            "hook.headers = { x-password = 'test' }\nhook.body = 'password'\n\
             receipts = [{ carrier_reference = 'm2', progress = 'delivered' }]",
            "the list of receipts is",
        ),
    ] {
        let case = format!(
            "[settings]\napi_base = 'https://api.example.com'\n[secrets]\nkey = 'test'\n\
             [[case]]\nname = 'it'\nhook.url = 'https://dripline.example/'\n{hook}\n"
        );
        let verdict = cases_of("signing_carrier", &case).await.unwrap();
        let failed = failed(&verdict);
        let found = failed.iter().find(|(name, _)| *name == "it");
        assert!(found.is_some_and(|(_, problem)| problem.contains(expected)), "{hook}: {failed:?}");
    }
}

#[tokio::test]
async fn a_carrier_that_can_be_asked_is_asked() {
    let head = "[settings]\naccount_sid = 'AC1'\napi_base = 'https://api.example.com'\n\
                [[case]]\nname = 'it'\nquestion = { reference = 'r' }\n";
    let body = "response = { status = 200, body = '{\"messages\":[{\"sid\":\"SM1\"}]}' }\n";
    for (rest, expected) in [
        (format!("{body}found = ['SM1']"), None),
        (format!("{body}found = []"), Some("the list of ids is [\"SM1\"] and should be []")),
        ("request.url = 'x'".to_owned(), Some("the method is \"GET\" and should be \"POST\"")),
        ("refused = { class = 'permanent', code = 'x' }".to_owned(), Some("the question is Ok")),
    ] {
        let verdict = cases_of("queried_carrier", &format!("{head}{rest}\n")).await.unwrap();
        let failed = failed(&verdict);
        let found = failed.iter().find(|(name, _)| *name == "it").map(|(_, problem)| *problem);
        match expected {
            None => assert_eq!(found, None, "{rest}"),
            Some(text) => assert!(found.is_some_and(|p| p.contains(text)), "{rest}: {failed:?}"),
        }
    }
}

#[tokio::test]
async fn a_carrier_that_fetches_tokens_is_put_through_it() {
    let folder = plugins().join("fixtures/token-carrier/cases");
    let whole = verdict("token_carrier", Some(&folder)).await;
    assert_eq!(failed(&whole), []);
    let names: Vec<_> = whole.checks.iter().map(|check| check.case.as_str()).collect();
    assert!(names.contains(&"429 instead of a token"), "{names:?}");
    assert!(
        names.contains(&"every answer about a token, cut off or changed anywhere"),
        "{names:?}"
    );

    let head = "[settings]\nclient_id = 'AC1'\napi_base = 'https://api.example.com'\n\
                [[case]]\nname = 'it'\nfetch = true\n";
    let body = "response = { status = 200, body = '{\"access_token\":\"t1\",\"expires_in\":9}' }\n";
    for (rest, expected) in [
        (format!("{body}token = {{ value = 't1', lifetime_seconds = 9 }}"), None),
        (
            format!("{body}token = {{ value = 't2', lifetime_seconds = 9 }}"),
            Some("the token is another one"),
        ),
        (
            format!("{body}token = {{ value = 't1' }}"),
            Some("the lifetime is Some(9s) and should be None"),
        ),
        (
            "response = { status = 200, body = '{}' }\ntoken = { value = 't1' }".to_owned(),
            Some("the answer has no text at `/access_token`"),
        ),
        (
            "response = { status = 400, body = '' }\ntoken = { value = 't1' }".to_owned(),
            Some("the outcome is Err"),
        ),
        (
            "request.url = 'https://api.example.com/tokens/oauth'".to_owned(),
            Some("the credential is Some"),
        ),
    ] {
        let verdict = cases_of("token_carrier", &format!("{head}{rest}\n")).await.unwrap();
        let failed = failed(&verdict);
        let found = failed.iter().find(|(name, _)| *name == "it").map(|(_, problem)| *problem);
        match expected {
            None => assert_eq!(found, None, "{rest}"),
            Some(text) => assert!(found.is_some_and(|p| p.contains(text)), "{rest}: {failed:?}"),
        }
    }
}

/// The carrier `hostile-abilities` with one harm, put through one case of each kind: what fails, and how.
async fn with_harm(harm: &str) -> Verdict {
    let cases = format!(
        "[settings]
         api_base = 'https://api.example.com'
         harm = '{harm}'
         [[case]]
         name = 'request'
         request.url = 'https://api.example.com/messages'
         request.credential = {{ header = {{ name = 'x-key', secret = 'key' }} }}
         [[case]]
         name = 'answer'
         response = {{ status = 201, body = '{{\"id\":\"M1\"}}' }}
         accepted = {{ carrier_references = ['M1'] }}
         [[case]]
         name = 'question'
         question = {{ reference = 'r' }}
         request.method = 'GET'
         request.url = 'https://api.example.com/messages?reference=r'
         request.credential = {{ header = {{ name = 'x-key', secret = 'key' }} }}
         response = {{ status = 200, body = '{{\"messages\":[{{\"id\":\"M1\"}}]}}' }}
         found = ['M1']
         [[case]]
         name = 'report'
         secrets = {{ key = 'for this test only' }}
         hook.url = 'https://dripline.example/hooks?token=t'
         hook.headers = {{ x-signature = '{SIGNATURE}' }}
         hook.body = 'a report'
         receipts = [{{ carrier_reference = 'm1', progress = 'delivered' }}]
         [[case]]
         name = 'token'
         fetch = true
         response = {{ status = 200, body = '{{\"access_token\":\"t1\",\"expires_in\":9}}' }}
         token = {{ value = 't1', lifetime_seconds = 9 }}
         "
    );
    cases_of("hostile_abilities", &cases).await.unwrap()
}

/// HMAC-SHA256 of `a report` under `for this test only`, in hex.
const SIGNATURE: &str = "a753ec357a3d42dcdd45d4df8216ad0c9ffb72ca823f24336ac99705dcb55dc6";

#[tokio::test]
async fn each_promise_of_every_carrier_can_be_broken() {
    assert_eq!(failed(&with_harm("none at all").await), []);
    let quotes = "an answer that quotes secrets";
    let told = |what: &str| format!("{what} tells a secret: [secret ");
    for (harm, case, expected) in [
        // Secrets, wherever a plugin says something.
        ("send-outcome quote", quotes, told("the outcome")),
        ("send-outcome quote-code", quotes, told("the outcome")),
        ("send-outcome quote-attribute", quotes, told("the outcome")),
        ("send-outcome quote-hex", quotes, told("the outcome")),
        ("send-outcome refer", quotes, told("the outcome")),
        ("send-outcome log", quotes, told("a line of the log")),
        (
            "lookup.outcome quote",
            "an answer to a question that quotes secrets",
            told("the finding"),
        ),
        ("token.outcome quote", "an answer about a token that quotes secrets", told("the outcome")),
        ("webhook.parse quote", "report", "the reading tells a signature".to_owned()),
        ("webhook.parse quote", "a request of whoever comes", told("the reading")),
        ("webhook.parse log", "report", "a line of the log tells a signature".to_owned()),
        ("webhook.parse log", "a request of whoever comes", told("a line of the log")),
        ("send-request sign", "request", "the request tells a signature".to_owned()),
        ("webhook.parse sign", "report", "the reading tells a signature".to_owned()),
        // What an instance remembers.
        ("send-request count", "request", "the second request of one instance".to_owned()),
        ("send-outcome count", "answer", "the second outcome of one instance".to_owned()),
        ("lookup.request count", "question", "the second question of one instance".to_owned()),
        ("lookup.outcome count", "question", "the second finding of one instance".to_owned()),
        ("webhook.parse count", "report", "the second reading of one instance".to_owned()),
        // Answers that are none.
        ("send-outcome trust", "200 with null", "trapped in `send-outcome`".to_owned()),
        ("send-outcome trust", "500 with any garbage", "trapped in `send-outcome`".to_owned()),
        (
            "send-outcome trust",
            "every answer, with an octet changed",
            "trapped in `send-outcome`".to_owned(),
        ),
        (
            "lookup.outcome trust",
            "an answer to a question, with null",
            "trapped in `lookup.outcome`".to_owned(),
        ),
        (
            "lookup.outcome trust",
            "every answer to a question, cut off or changed anywhere",
            "trapped in `lookup.outcome`".to_owned(),
        ),
        (
            "lookup.outcome forget",
            "an answer to a question, with a web page",
            "it says that the carrier does not have the message".to_owned(),
        ),
        (
            "lookup.outcome forget",
            "every answer to a question, cut off or changed anywhere",
            "it says that the carrier does not have the message".to_owned(),
        ),
    ] {
        let verdict = with_harm(harm).await;
        let failed = failed(&verdict);
        let found = failed.iter().find(|(name, _)| *name == case);
        assert!(
            found.is_some_and(|(_, problem)| problem.contains(&expected)),
            "{harm}: {failed:#?}"
        );
    }
}

#[tokio::test]
async fn a_renderer_that_counts_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let cases = "[[case]]\nname = 'it'\ntemplate = 'count'\nfields = ['name']\n\
                 audience = [{ fields = { name = 'Ann' }, text = '0' }]\n";
    std::fs::write(folder.path().join("cases.toml"), cases).unwrap();
    let verdict = verdict("hostile_renderer", Some(folder.path())).await;
    let failed = failed(&verdict);
    let found = failed.iter().find(|(case, _)| *case == "it");
    assert!(found.is_some_and(|(_, p)| p.contains("what is rendered twice")), "{failed:?}");
}

#[tokio::test]
async fn cases_that_are_not_understood_are_an_error_with_its_place() {
    let error = with_cases("[[case]]\nname = 'it'\nrespones = 1\n").await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("cases.toml` are not understood: line 5, column 1: unknown field"),
        "{text}"
    );
    let folder = tempfile::tempdir().unwrap();
    let (host, info, stage) = loaded("template");
    let error = run(&host, &info, Some(folder.path()), &stage).await.unwrap_err();
    assert!(matches!(error, CasesError::None { .. }), "{error:?}");
}

#[tokio::test]
async fn a_renderer_that_hangs_on_a_template_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let cases = "[[case]]\nname = 'it'\ntemplate = 'panic'\nfields = ['name']\n\
                 audience = [{ fields = { name = 'Ann' }, text = 'Ann' }]\n";
    std::fs::write(folder.path().join("cases.toml"), cases).unwrap();
    let verdict = verdict("hostile_renderer", Some(folder.path())).await;
    let failed = failed(&verdict);
    assert!(
        failed.iter().any(|(case, problem)| *case == "it" && problem.contains("trapped")),
        "{failed:?}"
    );
}
