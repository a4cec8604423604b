//! What every carrier is put through, whatever its cases say: answers that are late, broken, huge, or from
//! somebody else, and texts as long as it takes them.

use dripline_plugin_host::{Header, Response};

use crate::carrier::{Outcome, Subject, class, response_of};
use crate::cases::{CarrierFile, Cases, Class, Map};
use crate::{Check, garbage};

/// What an answer may mean.
type Judge = fn(&Outcome) -> Result<(), String>;

/// The wait that a throttled answer asks for, in seconds.
const WAIT: u64 = 7;

/// One case's answer to a message, and the settings with which it is read.
struct Answer<'a> {
    case: &'a str,
    settings: &'a Map,
    response: Response,
}

/// Runs all of it with the settings of every case that has an answer.
pub(crate) async fn run(subject: &Subject<'_>, files: &[Cases<CarrierFile>]) -> Vec<Check> {
    let answers = answers(files);
    let none = Map::new();
    let mut settings: Vec<&Map> = answers.iter().map(|answer| answer.settings).collect();
    settings.sort_unstable();
    settings.dedup();
    if settings.is_empty() {
        settings.push(files.first().map_or(&none, |file| &file.content.settings));
    }
    let mut checks = Vec::new();
    for (name, responses, judge) in hardships() {
        let mut problems = Vec::new();
        for settings in &settings {
            for response in &responses {
                problems.extend(read(subject, settings, response, judge).await.err());
            }
        }
        checks.push(check(&name, problems));
    }
    checks.push(check("every answer, cut off anywhere", cut_off(subject, &answers).await));
    checks.push(check("every answer, with an octet changed", changed(subject, &answers).await));
    checks.push(check("an answer that quotes secrets", quotes(subject, &settings, &answers).await));
    checks.extend(subject.longest_texts(files).await);
    checks.extend(subject.lookup_hardship(files).await);
    checks.extend(subject.token_hardship(files).await);
    checks.extend(subject.webhook_hardship(files).await);
    checks
}

fn check(name: &str, problems: Vec<String>) -> Check {
    Check { file: None, case: name.to_owned(), problems }
}

/// The answers of all cases. What is said of tokens, and of questions, has checks of its own.
fn answers(files: &[Cases<CarrierFile>]) -> Vec<Answer<'_>> {
    files
        .iter()
        .flat_map(|file| file.content.cases.iter().map(move |case| (&file.content, case)))
        .filter(|(_, case)| !case.fetch && case.question.is_none())
        .filter_map(|(file, case)| {
            Some(Answer {
                case: &case.name,
                settings: case.settings.as_ref().unwrap_or(&file.settings),
                response: response_of(case.response.as_ref()?),
            })
        })
        .collect()
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

/// A name, the answers that it stands for, and what each of them may mean.
fn hardships() -> Vec<(String, Vec<Response>, Judge)> {
    let wait = WAIT.to_string();
    let elsewhere = "https://elsewhere.example/";
    let named: [(&str, Response, Judge); 6] = [
        ("429 without a wait", answer(429, &[], b""), not_processed),
        ("429 with a wait", answer(429, &[("retry-after", &wait)], b""), waits),
        ("500 without a body", answer(500, &[], b""), not_given_up),
        ("502 from a gateway", answer(502, &[], b"<html>Bad Gateway</html>"), not_given_up),
        ("503 without a wait", answer(503, &[], b""), not_given_up),
        ("a redirect", answer(307, &[("location", elsewhere)], b""), not_taken),
    ];
    let named = named.map(|(name, response, judge)| (name.to_owned(), vec![response], judge));
    let garbled = garbage::bodies();
    let of_status = |status| garbled.iter().map(|(_, body)| answer(status, &[], body)).collect();
    let taken = garbled.iter().map(|(name, body)| {
        (format!("200 {name}"), vec![answer(200, &[], body)], nobody_knows as Judge)
    });
    let refused: [(u16, Judge); 3] = [(302, not_taken), (400, not_taken), (500, not_given_up)];
    let refused = refused
        .map(|(status, judge)| (format!("{status} with any garbage"), of_status(status), judge));
    named.into_iter().chain(taken).chain(refused).collect()
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
async fn cut_off(subject: &Subject<'_>, answers: &[Answer<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    for Answer { case, settings, response: whole } in answers {
        let judge: Judge = if is_success(whole) { nobody_knows } else { |_| Ok(()) };
        for end in 0..whole.body.len() {
            let response = Response { body: whole.body[..end].to_vec(), ..whole.clone() };
            if let Err(problem) = read(subject, settings, &response, judge).await {
                problems.push(format!("{case}, after {end} octets: {problem}"));
                break;
            }
        }
    }
    problems
}

/// The answers of all cases, each with one octet changed. What is still an answer may have become another one.
async fn changed(subject: &Subject<'_>, answers: &[Answer<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    for Answer { case, settings, response: whole } in answers {
        for body in garbage::changed(&whole.body, case) {
            let broke = garbage::broke(&whole.body, &body);
            let judge: Judge = if broke && is_success(whole) { nobody_knows } else { |_| Ok(()) };
            let response = Response { body, ..whole.clone() };
            if let Err(problem) = read(subject, settings, &response, judge).await {
                let body = String::from_utf8_lossy(&response.body);
                problems.push(format!("{case}: {problem}, from the body `{body}`"));
                break;
            }
        }
    }
    problems
}

/// Answers that quote every secret. The door blots out the forms that it knows; a plugin that passes on what it reads
/// tells the others, and whatever else the carrier's words hold.
async fn quotes(subject: &Subject<'_>, settings: &[&Map], answers: &[Answer<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    let answers: Vec<_> = answers.iter().map(|answer| answer.response.clone()).collect();
    for settings in settings {
        for response in garbage::quoting(&subject.canaries.sentence(), &answers) {
            problems.extend(read(subject, settings, &response, |_| Ok(())).await.err());
        }
    }
    problems
}

fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status)
}
