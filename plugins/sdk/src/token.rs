//! Carriers that want a token with each request.

use serde::Deserialize;

use crate::{Failure, Request, Response, Settings};

/// Stands for the token in a request, wherever a secret's placeholder may stand: in a header, the query, a form or
/// JSON, or as the name in a [`crate::Credential`]. The host puts the token in.
pub const TOKEN: &str = "{{token}}";

/// An ability of carriers that want a token with each request, as OAuth's client credentials are (RFC 6749, section
/// 4.4): the host fetches one by this request, keeps it, and puts it wherever the requests of [`crate::Carrier`] and
/// [`crate::Lookup`] have [`TOKEN`].
///
/// The token never enters the plugin, which only says where it stands. When the carrier answers 401 to a request with
/// a token, the host fetches another, and the message goes out with that.
pub trait Token {
    /// The one request that would fetch a token: see [`Request::client_credentials`].
    ///
    /// # Errors
    /// A [`Failure`] when this route can have no token. Whatever its class, it costs no message.
    fn token_request(settings: &Settings) -> Result<Request, Failure>;

    /// Where the answer has the token, or why there is none. Of an answer below 400 only the status is given. As RFC 6749
    /// says, unless a carrier has its own ways.
    ///
    /// # Errors
    /// A [`Failure`] when the answer is not a 2xx.
    fn token_outcome(_settings: &Settings, response: &Response) -> Result<TokenPlace, Failure> {
        if response.is_success() {
            Ok(TokenPlace::oauth())
        } else {
            Err(Failure::from_token_error(response))
        }
    }
}

/// Where an answer in JSON has the token, by JSON pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlace {
    /// The token, a text.
    pub value: String,
    /// For how many seconds it is good. Without it, until the carrier refuses it.
    pub expires_in: Option<String>,
}

impl TokenPlace {
    /// A token that is good until the carrier refuses it.
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), expires_in: None }
    }

    /// Says where its lifetime in seconds stands.
    #[must_use]
    pub fn expires_in(self, pointer: impl Into<String>) -> Self {
        Self { expires_in: Some(pointer.into()), ..self }
    }

    /// Where RFC 6749 has them: `/access_token` and `/expires_in`.
    pub fn oauth() -> Self {
        Self::new("/access_token").expires_in("/expires_in")
    }
}

impl Request {
    /// Asks for a token by the client's own credentials (RFC 6749, section 4.4), with a scope where the carrier wants
    /// one. Add the client with [`Request::basic`], or take [`Request::client_credentials_in_form`].
    ///
    /// The standard wants a client's id and secret form-encoded before they are put into `Authorization: Basic`, and
    /// many servers do not. The host puts them in as they are, unless the manifest says
    /// [`crate::Manifest::form_encoded_client`]: it matters for a secret with other characters than letters, digits
    /// and `-._~`.
    #[must_use]
    pub fn client_credentials(url: impl Into<String>, scope: Option<&str>) -> Self {
        let scope = scope.map(|scope| ("scope", scope));
        Self::post(url)
            .form([("grant_type", "client_credentials")].into_iter().chain(scope))
            .header("accept", "application/json")
    }

    /// The same with the client's id, and the secret of this name, in the form.
    #[must_use]
    pub fn client_credentials_in_form(
        url: impl Into<String>,
        client_id: &str,
        secret: &str,
        scope: Option<&str>,
    ) -> Self {
        let secret = format!("{{{{secret:{secret}}}}}");
        let client = [("client_id", client_id), ("client_secret", secret.as_str())];
        let scope = scope.map(|scope| ("scope", scope));
        let grant = [("grant_type", "client_credentials")];
        Self::post(url)
            .form(grant.into_iter().chain(client).chain(scope))
            .header("accept", "application/json")
    }

    /// Authenticates with the token that [`Token`] fetches, as a bearer token.
    #[must_use]
    pub fn bearer_token(self) -> Self {
        self.bearer(TOKEN)
    }
}

/// The errors of RFC 6749, section 5.2, with what they mean for whoever keeps the route.
const ERRORS: [(&str, &str); 6] = [
    ("invalid_request", "the carrier does not understand how the token is asked for"),
    ("invalid_client", "the carrier does not know the client, or its secret is another"),
    ("invalid_grant", "the carrier does not accept the client's grant"),
    ("unauthorized_client", "the client may not ask for a token in this way"),
    ("unsupported_grant_type", "the carrier gives no tokens for client credentials"),
    ("invalid_scope", "the carrier does not know the scope, or the client may not have it"),
];

impl Failure {
    /// What an answer without a token means, by RFC 6749, section 5.2, where it says so, or else by its status. Always
    /// a failure of the route. The carrier's own words are not repeated.
    pub fn from_token_error(response: &Response) -> Self {
        #[derive(Deserialize)]
        struct Answer {
            error: String,
        }
        let wait = response.retry_after_ms();
        let status = response.status;
        let answer = serde_json::from_slice::<Answer>(&response.body).ok();
        let known = answer.and_then(|answer| ERRORS.iter().find(|(code, _)| *code == answer.error));
        let failure = match (status, known) {
            (400..=499, Some((code, text))) => Self::retryable(*code, *text),
            (429 | 503, _) => {
                Self::throttled(format!("http-{status}"), "too many tokens were asked for")
            }
            _ => Self::retryable(
                format!("http-{status}"),
                format!("the carrier answered {status} to the request for a token"),
            ),
        };
        failure.retry_after_ms(wait).about_route()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credential, FailureClass};

    #[test]
    fn a_client_is_in_the_header_or_in_the_form() {
        let body = |request: &Request| String::from_utf8(request.body.clone()).expect("ascii");
        let url = "https://acme.example/token";
        let basic = Request::client_credentials(url, Some("sms:send")).basic("c1", "client_secret");
        assert_eq!(body(&basic), "grant_type=client_credentials&scope=sms%3Asend");
        let credential = Credential::Basic {
            user: "c1".to_owned(),
            password_secret: "client_secret".to_owned(),
        };
        assert_eq!(basic.credential, Some(credential));
        let form = Request::client_credentials_in_form(url, "c 1", "client_secret", None);
        assert_eq!(
            body(&form),
            "grant_type=client_credentials&client_id=c+1\
             &client_secret=%7B%7Bsecret%3Aclient_secret%7D%7D"
        );
        assert_eq!(form.credential, None);
        let bearer = Request::get(url).bearer_token();
        assert_eq!(bearer.credential, Some(Credential::Bearer("{{token}}".to_owned())));
    }

    #[test]
    fn an_error_is_of_the_route_and_in_our_words() {
        let check = |status, body: &str, class, code: &str| {
            let headers = vec![("retry-after".to_owned(), "2".to_owned())];
            let response = Response { status, headers, body: body.as_bytes().to_vec() };
            let failure = Failure::from_token_error(&response);
            assert_eq!((failure.class, &*failure.code), (class, code), "{status} {body}");
            assert_eq!(failure.retry_after_ms, Some(2_000));
            assert_eq!(failure.attributes.len(), 1, "it is about the route");
            assert!(!failure.text.contains("hush"), "{failure:?}");
        };
        let known = r#"{"error":"invalid_client","error_description":"hush"}"#;
        check(401, known, FailureClass::Retryable, "invalid_client");
        check(400, r#"{"error":"hush"}"#, FailureClass::Retryable, "http-400");
        check(400, "hush", FailureClass::Retryable, "http-400");
        check(429, "", FailureClass::Throttled, "http-429");
        check(503, known, FailureClass::Throttled, "http-503");
        check(302, "", FailureClass::Retryable, "http-302");
    }
}
