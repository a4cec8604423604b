//! Carriers that want a token with each request: what request fetches one, and where its answer has it.
//!
//! The plugin names both and sees neither secret nor token; `fetch` makes the request and reads the token.

mod fetch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::bindings::carrier::dripline::plugin::http as wire;
use crate::bindings::token::TokenPluginPre;
use crate::carrier::{failure_of, request_of, wit_headers, wit_settings};
use crate::error::PluginError;
use crate::http::{Request, Response};
use crate::message::{CallError, Settings};
use crate::session::{Session, Setting};
use crate::state::State;

pub use fetch::NoToken;

/// A token may not be longer, in bytes. It has to fit in a header with others.
const LONGEST: usize = 16 * 1024;

/// A token that a carrier gave. It lives in the host only and never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    value: Arc<str>,
    lifetime: Option<Duration>,
}

/// Why there is no token in an answer. It quotes the plugin and nothing of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read at all.
    #[error("the carrier answered with what is no JSON")]
    NoJson,
    /// There is no text where it should be.
    #[error("the answer has no text at `{pointer}`, where the plugin says that the token is")]
    Missing {
        /// Where.
        pointer: String,
    },
    /// There is nothing.
    #[error("the token is empty")]
    Empty,
    /// It would not fit.
    #[error("the token has {actual} bytes; the limit is {LONGEST}")]
    TooLong {
        /// Its size.
        actual: usize,
    },
    /// RFC 6749 has visible ASCII only. What a server echoes of a secret was blotted out, and so has spaces.
    #[error("the token holds characters that no token may hold, or a secret of the route")]
    Characters,
}

impl Token {
    /// A token that is good for so long; `None`: until the carrier refuses it.
    pub fn new(value: &str, lifetime: Option<Duration>) -> Result<Self, TokenError> {
        if value.is_empty() {
            return Err(TokenError::Empty);
        }
        if value.len() > LONGEST {
            return Err(TokenError::TooLong { actual: value.len() });
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        Ok(Self { value: value.into(), lifetime })
    }

    /// How long it is good for, counted from the request that fetched it.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    pub(crate) fn value(&self) -> &Arc<str> {
        &self.value
    }
}

/// Shows the lifetime only.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// Where an answer in JSON has the token, by JSON pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlace {
    /// The token.
    pub value: String,
    /// For how many seconds it is good.
    pub expires_in: Option<String>,
}

impl TokenPlace {
    /// The token that stands there in an answer of 2xx.
    pub fn read(&self, response: &Response) -> Result<Token, TokenError> {
        let answer: Value =
            serde_json::from_slice(&response.body).map_err(|_| TokenError::NoJson)?;
        let value = answer
            .pointer(&self.value)
            .and_then(Value::as_str)
            .ok_or_else(|| TokenError::Missing { pointer: self.value.clone() })?;
        let lifetime = self.expires_in.as_ref().and_then(|at| seconds(answer.pointer(at)?));
        Token::new(value, lifetime)
    }
}

/// RFC 6749 has a number; some servers write it as text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Some(Duration::from_secs(seconds))
}

/// The one request that would fetch a token.
pub(crate) fn build_request(
    setting: Setting<'_>,
    pre: Option<&TokenPluginPre<State>>,
    settings: &Settings,
) -> Result<Request, CallError> {
    let pre = pre.ok_or_else(|| no_token(setting))?;
    let settings = wit_settings(settings);
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    let built = session.call("token.request", "", |store, plugin| {
        plugin.dripline_plugin_token().call_request(store, &settings)
    })?;
    let request = built.map_err(|failure| CallError::Failure(failure_of(failure)))?;
    Ok(request_of(setting, request)?)
}

/// What a plugin sees of an answer: nothing of one that may have a token but its status. A redirection may have it in
/// its address; what begins with 400 only says why there is none.
pub(crate) fn shown(response: &Response) -> Response {
    if response.status < 400 {
        return Response { status: response.status, headers: Vec::new(), body: Vec::new() };
    }
    response.clone()
}

/// Where the answer has the token.
pub(crate) fn read_answer(
    setting: Setting<'_>,
    pre: Option<&TokenPluginPre<State>>,
    settings: &Settings,
    response: &Response,
) -> Result<TokenPlace, CallError> {
    let pre = pre.ok_or_else(|| no_token(setting))?;
    let settings = wit_settings(settings);
    let headers = wit_headers(response);
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    let read = session.call("token.outcome", "", |store, plugin| {
        let answer =
            wire::Response { status: response.status, headers: &headers, body: &response.body };
        plugin.dripline_plugin_token().call_outcome(store, &settings, answer)
    })?;
    match read {
        Ok(place) => Ok(TokenPlace { value: place.value, expires_in: place.expires_in }),
        Err(failure) => Err(CallError::Failure(failure_of(failure))),
    }
}

fn no_token(setting: Setting<'_>) -> PluginError {
    PluginError::NoToken { plugin: setting.plugin.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_a_header_can_hold_and_shows_nothing() {
        let token = Token::new("eyJ0.a-b_c~+/=", Some(Duration::from_mins(1))).unwrap();
        assert_eq!(format!("{token:?}"), "Token { lifetime: Some(60s), .. }");
        assert_eq!(Token::new("", None), Err(TokenError::Empty));
        for wrong in ["a b", "a\r\nx: y", "\u{e9}", "abc[secret client_secret]"] {
            assert_eq!(Token::new(wrong, None), Err(TokenError::Characters), "{wrong}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(
            Token::new(&long, None).unwrap_err().to_string(),
            "the token has 16385 bytes; the limit is 16384"
        );
    }
}
