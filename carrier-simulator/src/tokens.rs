//! Tokens for a client's own credentials: the endpoint of RFC 6749, sections 2.3.1, 4.4 and 5, as strict as the text
//! allows, and bearer tokens (RFC 6750) that end.
//!
//! The account's SID is the client's id, its auth token the client's secret.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::messages::Account;

/// How every token begins, so that one can be found wherever it does not belong. With a dot and dashes, as those that
/// are signed have them.
pub const TOKEN_BEGINS: &str = "simulated-access-token.";

/// The one scope that there is.
const SCOPE: &str = "sms";

/// How tokens behave, as the fault plan says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// How long a token is good.
    pub lifetime: Duration,
    /// For how many requests a token is good; it is refused after that, as if it had been revoked.
    pub uses: Option<u32>,
    /// Whether a new token ends all those before it.
    pub only_the_last: bool,
}

impl Default for TokenRules {
    /// An hour, whatever is done with them.
    fn default() -> Self {
        Self { lifetime: Duration::from_hours(1), uses: None, only_the_last: false }
    }
}

/// A request for a token, as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenRequest<'a> {
    pub(crate) query: Option<&'a str>,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// Why there is no token: section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenRefusal {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    description: &'static str,
    /// Whether the client came with a header, which the answer then has to name.
    pub(crate) challenges: bool,
}

impl TokenRefusal {
    fn new(error: &'static str, description: &'static str) -> Self {
        Self { status: 400, error, description, challenges: false }
    }

    /// The answer's body.
    pub(crate) fn to_json(self) -> Value {
        json!({ "error": self.error, "error_description": self.description })
    }
}

/// Tokens that are good, by their value.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<String, Live>>);

#[derive(Debug)]
struct Live {
    until: Instant,
    uses_left: Option<u32>,
}

impl Tokens {
    /// Gives a token to whoever asks as the standard wants it. The answer's body.
    pub(crate) fn grant(
        &self,
        account: &Account,
        rules: TokenRules,
        request: TokenRequest<'_>,
    ) -> Result<Value, TokenRefusal> {
        let form = form(request)?;
        let given = |name: &str| form.get(name).map(String::as_str);
        authenticate(account, request.authorization, given("client_id"), given("client_secret"))?;
        match given("grant_type") {
            None => return Err(TokenRefusal::new("invalid_request", "grant_type is missing")),
            Some("client_credentials") => {}
            Some(_) => {
                let text = "only client_credentials are supported";
                return Err(TokenRefusal::new("unsupported_grant_type", text));
            }
        }
        if given("scope").is_some_and(|scope| scope.split(' ').any(|scope| scope != SCOPE)) {
            return Err(TokenRefusal::new("invalid_scope", "there is only the scope sms"));
        }
        let value = format!("{TOKEN_BEGINS}{:032x}", rand::random::<u128>());
        let live = Live { until: Instant::now() + rules.lifetime, uses_left: rules.uses };
        let mut tokens = self.live();
        if rules.only_the_last {
            tokens.clear();
        }
        tokens.insert(value.clone(), live);
        drop(tokens);
        Ok(json!({
            "access_token": value,
            "token_type": "Bearer",
            "expires_in": rules.lifetime.as_secs(),
            "scope": SCOPE,
        }))
    }

    /// Whether a request has a token that is good, which it then uses.
    pub(crate) fn admit(&self, authorization: Option<&str>) -> bool {
        let Some((scheme, value)) = authorization.and_then(|text| text.split_once(' ')) else {
            return false;
        };
        let mut tokens = self.live();
        tokens.retain(|_, live| live.until > Instant::now() && live.uses_left != Some(0));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return false;
        }
        let Some(live) = tokens.get_mut(value.trim()) else { return false };
        live.uses_left = live.uses_left.map(|uses| uses - 1);
        true
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<String, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parameters. One without a value counts as omitted, one that is there twice spoils the request (section 3.2).
fn form(request: TokenRequest<'_>) -> Result<HashMap<String, String>, TokenRefusal> {
    let refuse = |text| Err(TokenRefusal::new("invalid_request", text));
    let kind = request.content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return refuse("the body must be application/x-www-form-urlencoded");
    }
    if request.query.is_some_and(|query| !query.is_empty()) {
        return refuse("parameters must be in the body, not in the address");
    }
    let (mut form, mut seen) = (HashMap::new(), HashSet::new());
    for (name, value) in form_urlencoded::parse(request.body) {
        if !seen.insert(name.clone()) {
            return refuse("a parameter is there more than once");
        }
        if !value.is_empty() {
            form.insert(name.into_owned(), value.into_owned());
        }
    }
    Ok(form)
}

/// By the header or by the form, and never by both (section 2.3).
fn authenticate(
    account: &Account,
    authorization: Option<&str>,
    id: Option<&str>,
    secret: Option<&str>,
) -> Result<(), TokenRefusal> {
    if authorization.is_some() && secret.is_some() {
        let text = "the client may authenticate in one way only";
        return Err(TokenRefusal::new("invalid_request", text));
    }
    let known = |id: &str, secret: &str| id == account.sid() && secret == account.token();
    let is_known = match authorization {
        Some(authorization) => basic(authorization).is_some_and(|(client, secret)| {
            // Who names the client twice has to name the same.
            known(&client, &secret) && id.is_none_or(|id| id == client)
        }),
        None => id.zip(secret).is_some_and(|(id, secret)| known(id, secret)),
    };
    if is_known {
        return Ok(());
    }
    Err(TokenRefusal {
        status: 401,
        challenges: authorization.is_some(),
        ..TokenRefusal::new("invalid_client", "the client is not known")
    })
}

/// Id and secret, each form-encoded before they are put together (section 2.3.1).
fn basic(authorization: &str) -> Option<(String, String)> {
    let (scheme, pair) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decode = |text: &str| {
        // As the value of a parameter without a name.
        let mut pairs = form_urlencoded::parse(text.as_bytes());
        let (value, rest) = (pairs.next()?, pairs.next());
        (value.1.is_empty() && rest.is_none()).then(|| value.0.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "AC00000000000000000000000000000001";
    const FORM: &str = "application/x-www-form-urlencoded";

    fn account() -> Account {
        Account::new(SID, None, "s+cret").expect("an account")
    }

    fn grant(authorization: Option<&str>, body: &str) -> Result<Value, TokenRefusal> {
        let request = TokenRequest {
            query: None,
            authorization,
            content_type: Some(FORM),
            body: body.as_bytes(),
        };
        Tokens::default().grant(&account(), TokenRules::default(), request)
    }

    fn header(secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{SID}:{secret}")))
    }

    #[test]
    fn a_client_is_known_by_its_header_or_by_its_form() {
        let plain = "grant_type=client_credentials&scope=sms";
        let in_form = format!("{plain}&client_id={SID}&client_secret=s%2Bcret");
        for answer in [grant(Some(&header("s%2Bcret")), plain), grant(None, &in_form)] {
            let answer = answer.expect("a token");
            assert!(answer["access_token"].as_str().is_some_and(|token| token.len() > 32));
            assert_eq!(
                (&answer["token_type"], &answer["expires_in"]),
                (&json!("Bearer"), &json!(3600))
            );
        }
    }

    #[test]
    fn everything_else_is_refused_by_its_name() {
        let good = header("s%2Bcret");
        let client = format!("client_id={SID}&client_secret=s%2Bcret");
        for (authorization, body, status, error) in [
            (None, "grant_type=client_credentials".to_owned(), 401, "invalid_client"),
            // Not encoded, a plus is a space.
            (
                Some(&header("s+cret")),
                "grant_type=client_credentials".to_owned(),
                401,
                "invalid_client",
            ),
            (
                Some(&good),
                format!("grant_type=client_credentials&{client}"),
                400,
                "invalid_request",
            ),
            (Some(&good), String::new(), 400, "invalid_request"),
            (Some(&good), "grant_type=".to_owned(), 400, "invalid_request"),
            (
                Some(&good),
                "grant_type=client_credentials&scope=&scope=".to_owned(),
                400,
                "invalid_request",
            ),
            (Some(&good), "grant_type=password".to_owned(), 400, "unsupported_grant_type"),
            (
                Some(&good),
                "grant_type=client_credentials&scope=sms+mail".to_owned(),
                400,
                "invalid_scope",
            ),
            (
                Some(&good),
                "grant_type=client_credentials&client_id=AC1".to_owned(),
                401,
                "invalid_client",
            ),
        ] {
            let refusal = grant(authorization.map(String::as_str), &body).expect_err(&body);
            assert_eq!((refusal.status, refusal.error), (status, error), "{body}");
            assert_eq!(refusal.challenges, status == 401 && authorization.is_some(), "{body}");
        }
        for (query, content_type) in [(Some("client_id=AC1"), FORM), (None, "application/json")] {
            let request = TokenRequest {
                query,
                authorization: Some(&good),
                content_type: Some(content_type),
                body: b"grant_type=client_credentials",
            };
            let refusal = Tokens::default()
                .grant(&account(), TokenRules::default(), request)
                .expect_err(content_type);
            assert_eq!(refusal.error, "invalid_request");
        }
    }

    #[test]
    fn a_token_ends() {
        let tokens = Tokens::default();
        let good = header("s%2Bcret");
        let ask = |rules| {
            let request = TokenRequest {
                query: None,
                authorization: Some(&good),
                content_type: Some(FORM),
                body: b"grant_type=client_credentials",
            };
            let answer = tokens.grant(&account(), rules, request).expect("a token");
            format!("Bearer {}", answer["access_token"].as_str().expect("a text"))
        };
        let twice = ask(TokenRules { uses: Some(2), ..TokenRules::default() });
        assert_eq!([(); 3].map(|()| tokens.admit(Some(&twice))), [true, true, false]);
        let first = ask(TokenRules::default());
        let only = ask(TokenRules { only_the_last: true, ..TokenRules::default() });
        assert!(!tokens.admit(Some(&first)) && tokens.admit(Some(&only)));
        let over = ask(TokenRules { lifetime: Duration::ZERO, ..TokenRules::default() });
        assert!(!tokens.admit(Some(&over)));
        let long = ask(TokenRules::default());
        assert!(tokens.admit(Some(&long)) && tokens.admit(Some(&long)));
        assert!(!tokens.admit(Some(&long.replace("Bearer", "Basic"))));
        assert!(!tokens.admit(Some("Bearer t-1")) && !tokens.admit(None));
    }
}
