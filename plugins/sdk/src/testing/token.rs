//! Cases of carriers that fetch tokens.

use serde_json::Value;

use super::carrier::{Case, ExpectedToken, File, check_rights};
use super::{Failed, same};
use crate::{Carrier, FailureClass, Request, Response, Settings, TOKEN, Token, TokenPlace};

pub(super) fn run<T: Carrier + Token>(file: &File) -> (usize, Vec<Failed>) {
    let cases = file.case.iter().filter(|case| case.fetch);
    let failed = cases.clone().filter_map(|case| {
        let checked = case.within(file, |settings| check::<T>(case, settings));
        Some((case.name.clone(), checked.err()?))
    });
    (cases.clone().count(), failed.collect())
}

fn check<T: Carrier + Token>(case: &Case, settings: &Settings) -> Result<(), String> {
    let found = T::token_request(settings);
    same("the second request", &T::token_request(settings), &found)?;
    match (found, &case.request, &case.refused) {
        (Ok(request), Some(expected), None) => {
            check_rights(&T::describe(), settings, &request)?;
            no_circle(&request)?;
            expected.check(&request)?;
        }
        (Err(failure), None, Some(expected)) => expected.check(&failure)?,
        (_, None, None) if case.response.is_some() => {}
        (found, ..) => return Err(format!("the request is {found:?}")),
    }
    let Some(given) = &case.response else { return Ok(()) };
    let whole = given.response();
    let shown = shown(&whole);
    let found = T::token_outcome(settings, &shown);
    same("the second outcome", &T::token_outcome(settings, &shown), &found)?;
    match (found, &case.token, &case.failure) {
        (Ok(place), Some(expected), None) => same("the token", &read(&whole, &place)?, expected)?,
        (Err(failure), None, Some(expected)) => expected.check(&failure)?,
        (found, ..) => return Err(format!("the outcome is {found:?}")),
    }
    check_broken::<T>(settings, &shown)
}

/// The token is not there yet when it is fetched.
fn no_circle(request: &Request) -> Result<(), String> {
    let parts = format!("{request:?}{}", String::from_utf8_lossy(&request.body));
    if parts.contains(TOKEN) || parts.contains("%7B%7Btoken%7D%7D") {
        return Err("the request that fetches the token asks for one".to_owned());
    }
    Ok(())
}

/// What the host shows of an answer.
fn shown(response: &Response) -> Response {
    if response.is_success() {
        Response { status: response.status, ..Response::default() }
    } else {
        response.clone()
    }
}

/// What the host reads there.
fn read(response: &Response, place: &TokenPlace) -> Result<ExpectedToken, String> {
    let answer: Value = serde_json::from_slice(&response.body)
        .map_err(|error| format!("the answer is no JSON: {error}"))?;
    let value = answer.pointer(&place.value).and_then(Value::as_str);
    let value = value.ok_or_else(|| format!("there is no text at `{}`", place.value))?;
    let lifetime = place.expires_in.as_ref().and_then(|pointer| answer.pointer(pointer));
    let lifetime = lifetime
        .and_then(|seconds| seconds.as_u64().or_else(|| seconds.as_str()?.trim().parse().ok()));
    Ok(ExpectedToken { value: value.to_owned(), lifetime_seconds: lifetime })
}

/// Cut off anywhere, or with anything in its place, a body makes no panic; and nothing that a carrier says about a
/// token ends a message.
fn check_broken<T: Token>(settings: &Settings, response: &Response) -> Result<(), String> {
    let cut = (0..response.body.len()).map(|end| response.body[..end].to_vec());
    let garbage = [b"\xff\xfe\x00".to_vec(), b"null".to_vec(), b"[".repeat(100_000)];
    for body in cut.chain(garbage) {
        let begin = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let broken = shown(&Response { body, ..response.clone() });
        if let Err(failure) = T::token_outcome(settings, &broken)
            && matches!(failure.class, FailureClass::Permanent | FailureClass::Stopped)
        {
            return Err(format!(
                "{:?} for want of a token, from the body `{begin}`",
                failure.class
            ));
        }
    }
    Ok(())
}
