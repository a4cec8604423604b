//! One fetch of a token: the plugin's request through the one door, and the token read from where the plugin says
//! that it stands.

use std::fmt;
use std::time::Duration;

use dripline_domain::delivery::Reason;

use super::{Token, TokenPlace};
use crate::egress::{Grant, Wire, WireOutcome};
use crate::host::PluginHost;
use crate::http::Response;
use crate::message::{CallError, Settings};
use crate::outcome::{REASON_CHARS, failure_reason, masked, plugin_reason, status_code};

/// Why there is no token. No message was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoToken {
    /// Why, without anything of a token.
    pub reason: Reason,
    /// How long the carrier asks to wait.
    pub retry_after: Option<Duration>,
}

impl NoToken {
    fn new(reason: Reason) -> Self {
        let text = format!("no token: {}", reason.text);
        Self { reason: Reason::new(reason.code, text), retry_after: None }
    }
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for NoToken {}

impl PluginHost {
    /// Fetches a token with the rights of `grant`, by one request.
    ///
    /// # Errors
    /// [`NoToken`], whatever went wrong: without a token no message can be sent over the route.
    pub async fn fetch_token(
        &self,
        wire: &dyn Wire,
        carrier: &str,
        settings: &Settings,
        grant: &Grant,
    ) -> Result<Token, NoToken> {
        let failed = |error| failed(carrier, &error);
        let request =
            self.build_token_request(carrier, settings, grant.secrets()).await.map_err(failed)?;
        if request.wants_token() {
            let text = "the request that fetches the token asks for one";
            return Err(NoToken::new(Reason::new("token_circle", text)));
        }
        let response = match wire.send(grant, request).await {
            WireOutcome::Response(response) => response,
            WireOutcome::NotSent { reason } | WireOutcome::Uncertain { reason, .. } => {
                return Err(NoToken::new(reason));
            }
        };
        let read = self.read_token_answer(carrier, settings, &response).await;
        token_of(carrier, &response, read)
    }
}

/// The plugin failed, or says that this route can have no token.
fn failed(carrier: &str, error: &CallError) -> NoToken {
    match error {
        CallError::Plugin(error) => NoToken::new(plugin_reason(error)),
        CallError::Failure(failure) => NoToken {
            retry_after: failure.retry_after,
            ..NoToken::new(failure_reason(carrier, failure))
        },
    }
}

fn token_of(
    carrier: &str,
    response: &Response,
    read: Result<TokenPlace, CallError>,
) -> Result<Token, NoToken> {
    let status = response.status;
    let place = match read {
        Ok(place) if (200..300).contains(&status) => place,
        // The status says more than a place in an answer that has no token.
        Ok(_) => {
            let text = format!("the carrier answered {status}");
            return Err(NoToken::new(Reason::new(status_code(status), text)));
        }
        Err(error) => return Err(failed(carrier, &error)),
    };
    place.read(response).map_err(|error| {
        // It may quote the plugin.
        let text = masked(&error.to_string(), REASON_CHARS);
        NoToken::new(Reason::new("token_unread", text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Failure, FailureClass};

    fn oauth() -> TokenPlace {
        let place = |pointer: &str| format!("/{pointer}");
        TokenPlace { value: place("access_token"), expires_in: Some(place("expires_in")) }
    }

    fn read(
        status: u16,
        body: &str,
        read: Result<TokenPlace, CallError>,
    ) -> Result<Token, NoToken> {
        let response = Response { status, headers: vec![], body: body.as_bytes().to_vec() };
        token_of("acme", &response, read)
    }

    #[test]
    fn a_token_is_read_where_it_stands() {
        for (expires_in, lifetime) in [
            (r#","expires_in":60"#, Some(60)),
            (r#","expires_in":"60""#, Some(60)),
            (r#","expires_in":-1"#, None),
            (r#","expires_in":null"#, None),
            ("", None),
        ] {
            let body = format!(r#"{{"access_token":"t0k3n"{expires_in}}}"#);
            let token = Token::new("t0k3n", lifetime.map(Duration::from_secs)).unwrap();
            assert_eq!(read(200, &body, Ok(oauth())), Ok(token), "{body}");
        }
    }

    #[test]
    fn an_answer_without_a_token_is_quoted_nowhere() {
        for body in [
            "hush",
            r#"{"access_token":["hush"]}"#,
            r#"{"token":"hush"}"#,
            r#"{"access_token":"hush hush"}"#,
            "",
            "null",
        ] {
            let error = read(200, body, Ok(oauth())).unwrap_err();
            assert_eq!(error.reason.code, "token_unread", "{body}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_failure_says_why_and_until_when() {
        let failure = || {
            Err(CallError::Failure(Failure {
                class: FailureClass::Permanent,
                code: "invalid_client".to_owned(),
                text: "the carrier does not know the client".to_owned(),
                retry_after: Some(Duration::from_secs(7)),
                attributes: vec![],
            }))
        };
        for status in [302, 400, 401, 429, 503] {
            let error = read(status, "{}", failure()).unwrap_err();
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
            let text = "no token: the carrier does not know the client";
            assert_eq!((&*error.reason.code, &*error.reason.text), ("acme:invalid_client", text));
            let error = read(status, r#"{"access_token":"t0k3n"}"#, Ok(oauth())).unwrap_err();
            assert_eq!(error.reason.code, format!("http:{status}"));
        }
    }
}
