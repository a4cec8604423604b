//! What every carrier is put through, whatever its cases say: answers that are late, broken, huge, or from
//! somebody else.

use dripline_plugin_host::egress::EgressOptions;
use dripline_plugin_host::{Header, Response};

use crate::Check;
use crate::carrier::{Outcome, Subject, class, response_of};
use crate::cases::{CarrierFile, Cases, Class, Map};

/// What an answer may mean.
type Judge = fn(&Outcome) -> Result<(), String>;

/// The wait that a throttled answer asks for, in seconds.
const WAIT: u64 = 7;

/// Runs all of it with the settings of the first file.
pub(crate) async fn run(subject: &Subject<'_>, files: &[Cases<CarrierFile>]) -> Vec<Check> {
    let settings = files.first().map(|file| file.content.settings.clone()).unwrap_or_default();
    let mut checks = Vec::new();
    for (name, response, judge) in answers() {
        let problem = read(subject, &settings, &response, judge).await.err();
        checks.push(check(name, problem.into_iter().collect()));
    }
    checks.push(check("every answer, cut off anywhere", cut_off(subject, files).await));
    checks.extend(subject.token_hardship(files).await);
    checks
}

fn check(name: &str, problems: Vec<String>) -> Check {
    Check { file: None, case: name.to_owned(), problems }
}

async fn read(
    subject: &Subject<'_>,
    settings: &Map,
    response: &Response,
    judge: Judge,
) -> Result<(), String> {
    judge(&subject.read(settings, response).await?)
}

fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let headers = headers.iter().map(|(name, value)| Header::new(*name, *value)).collect();
    Response { status, headers, body: body.to_vec() }
}

fn answers() -> Vec<(&'static str, Response, Judge)> {
    // The door lets no larger body in.
    let huge = vec![b'['; EgressOptions::default().response_body_bytes];
    let wait = WAIT.to_string();
    vec![
        ("429 without a wait", answer(429, &[], b""), not_processed),
        ("429 with a wait", answer(429, &[("retry-after", &wait)], b""), waits),
        ("500 without a body", answer(500, &[], b""), not_given_up),
        ("502 from a gateway", answer(502, &[], b"<html>Bad Gateway</html>"), not_given_up),
        ("503 without a wait", answer(503, &[], b""), not_given_up),
        ("a redirect", answer(307, &[("location", "https://elsewhere.example/")], b""), not_taken),
        ("200 with nothing", answer(200, &[], b""), nobody_knows),
        ("200 with an empty object", answer(200, &[], b"{}"), nobody_knows),
        ("200 with null", answer(200, &[], b"null"), nobody_knows),
        ("200 with a web page", answer(200, &[], b"<html>"), nobody_knows),
        ("200 with octets that are no text", answer(200, &[], b"\xff\xfe\x00"), nobody_knows),
        ("200 as large as can be", answer(200, &[], &huge), nobody_knows),
        ("400 as large as can be", answer(400, &[], &huge), not_taken),
    ]
}

fn not_taken(outcome: &Outcome) -> Result<(), String> {
    match outcome {
        Ok(accepted) => Err(format!("it is taken for accepted: {accepted:?}")),
        Err(_) => Ok(()),
    }
}

fn not_processed(outcome: &Outcome) -> Result<(), String> {
    match outcome {
        Err(failure) if matches!(class(failure), Class::Throttled | Class::Retryable) => Ok(()),
        other => Err(format!("it should be throttled and is {other:?}")),
    }
}

fn waits(outcome: &Outcome) -> Result<(), String> {
    not_processed(outcome)?;
    let wait = outcome.as_ref().err().and_then(|failure| failure.retry_after);
    if wait.is_some_and(|wait| wait.as_secs() == WAIT) {
        return Ok(());
    }
    Err(format!("the wait is {wait:?} and should be {WAIT} s"))
}

fn not_given_up(outcome: &Outcome) -> Result<(), String> {
    not_taken(outcome)?;
    match outcome.as_ref().err().map(class) {
        Some(class @ (Class::Permanent | Class::Stopped)) => {
            Err(format!("a fault of the carrier is {class:?} for the message"))
        }
        _ => Ok(()),
    }
}

/// After a 2xx nobody can say that nothing was sent.
fn nobody_knows(outcome: &Outcome) -> Result<(), String> {
    match outcome {
        Ok(accepted) if accepted.carrier_references.iter().all(String::is_empty) => {
            Err("it is accepted without an id".to_owned())
        }
        Err(failure) if class(failure) != Class::Uncertain => {
            Err(format!("{:?} after a 2xx: it may have been sent", class(failure)))
        }
        _ => Ok(()),
    }
}

/// The answers of all cases, each cut off at every octet.
async fn cut_off(subject: &Subject<'_>, files: &[Cases<CarrierFile>]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files {
        for case in &file.content.cases {
            // What is said of tokens has checks of its own.
            let Some(given) = case.response.as_ref().filter(|_| !case.fetch) else { continue };
            let settings = case.settings.as_ref().unwrap_or(&file.content.settings);
            let whole = response_of(given);
            let judge: Judge =
                if (200..300).contains(&whole.status) { nobody_knows } else { |_| Ok(()) };
            for end in 0..whole.body.len() {
                let response = Response { body: whole.body[..end].to_vec(), ..whole.clone() };
                if let Err(problem) = read(subject, settings, &response, judge).await {
                    problems.push(format!("{}, after {end} octets: {problem}", case.name));
                    break;
                }
            }
        }
    }
    problems
}
