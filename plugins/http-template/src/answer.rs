//! What a gateway's answer means, by the route's settings.

use dripline_plugin_sdk::{Accepted, Failure, FailureClass, Response, Settings};
use serde_json::Value;

/// The longest id that is taken from an answer which is nothing but an id, in octets.
const MAX_ID: usize = 128;

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
    let id = if settings.get("id_path").is_some() { at("id_path") } else { whole(response) };
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

/// An answer that is nothing but an id: one line of visible characters, such as `OK 12345`.
fn whole(response: &Response) -> Option<String> {
    let text = std::str::from_utf8(&response.body).ok()?.trim();
    let fits = !text.is_empty()
        && text.len() <= MAX_ID
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b" -_.:".contains(&octet));
    fits.then(|| text.to_owned())
}
