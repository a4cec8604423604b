//! What a gateway's answer means, by the route's settings.

use dripline_plugin_sdk::{Accepted, Failure, FailureClass, Response, Settings};
use serde_json::Value;

/// The longest id that is taken from an answer which is nothing but an id, in octets.
const MAX_ID: usize = 128;

/// How an answer begins that names an error, in small letters. An id that begins so by chance is not lost: the message
/// is unknown until somebody settles it, where an error that was taken for an id would be paid for.
const ERRORS: [&str; 4] = ["err", "fail", "invalid", "nok"];

/// Settings that list codes, and what these mean.
const LISTS: [(&str, FailureClass, &str); 4] = [
    ("stopped_codes", FailureClass::Stopped, "the recipient opted out"),
    ("permanent_codes", FailureClass::Permanent, "the gateway refused the message"),
    ("throttled_codes", FailureClass::Throttled, "the gateway asks to come back later"),
    ("route_codes", FailureClass::Retryable, "the gateway refused the account"),
];

pub(crate) fn read(settings: &Settings, response: &Response) -> Result<Accepted, Failure> {
    let by_status = Failure::from_status(response);
    // Whoever answers 5xx may have sent, whatever the code.
    if response.status >= 500 {
        return Err(by_status);
    }
    let json: Option<Value> = serde_json::from_slice(&response.body).ok();
    let at = |name: &str| {
        let found = json.as_ref()?.pointer(settings.get(name)?)?;
        word(found).filter(|word| !word.is_empty())
    };
    let code = at("code_path");
    if let Some(failure) = code.as_deref().and_then(|code| listed(settings, code)) {
        return Err(failure.retry_after_ms(response.retry_after_ms()));
    }
    if !response.is_success() {
        return Err(match response.status {
            401 | 403 => by_status_of_route(response),
            _ => Failure { code: code.unwrap_or_else(|| by_status.code.clone()), ..by_status },
        });
    }
    let id = match (settings.get("id_path"), settings.get("id_prefix")) {
        (Some(_), _) => at("id_path"),
        (None, Some(prefix)) => alone(response, prefix),
        (None, None) => alone(response, "").filter(|id| !names_error(id)),
    };
    id.map(Accepted::new).ok_or_else(|| {
        Failure::uncertain("no-id", "the gateway took the message, it seems, and gave no id")
    })
}

fn by_status_of_route(response: &Response) -> Failure {
    let code = format!("http-{}", response.status);
    Failure::retryable(code, "the gateway does not know the account").about_route()
}

/// The failure of a code that a setting lists.
fn listed(settings: &Settings, code: &str) -> Option<Failure> {
    let has = |name: &str| settings.get_or(name, "").split(',').any(|listed| listed.trim() == code);
    let (name, class, text) = LISTS.into_iter().find(|(name, ..)| has(name))?;
    let failure = Failure::new(class, code, text);
    Some(if name == "route_codes" { failure.about_route() } else { failure })
}

/// A text or a number.
pub(crate) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The id of an answer that has nothing else behind what every answer with an id begins with: one visible word.
fn alone(response: &Response, prefix: &str) -> Option<String> {
    let id = std::str::from_utf8(&response.body).ok()?.trim().strip_prefix(prefix)?.trim_start();
    let fits = !id.is_empty()
        && id.len() <= MAX_ID
        && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.:".contains(&octet));
    fits.then(|| id.to_owned())
}

fn names_error(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    ERRORS.iter().any(|error| id.starts_with(error))
}
