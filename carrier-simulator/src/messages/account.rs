//! The account that requests must speak for.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The one account that the simulator has.
#[derive(Clone)]
pub struct Account {
    account_sid: String,
    auth_token: String,
    /// What the header `Authorization` has to be, without its scheme. One for the account itself and
    /// one for its API key.
    credentials: Vec<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("account_sid", &self.account_sid).finish_non_exhaustive()
    }
}

/// Why there can be no such account.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAccount {
    /// A SID is two letters and 32 hexadecimal digits.
    #[error("`{0}` is no {1} SID: it must be {1} and 32 hexadecimal digits in lower case")]
    Sid(String, &'static str),
    /// Anybody could send.
    #[error("the auth token is empty")]
    EmptyToken,
}

impl Account {
    /// An account, with an API key that has the same secret when `api_key_sid` is given.
    pub fn new(
        account_sid: &str,
        api_key_sid: Option<&str>,
        auth_token: &str,
    ) -> Result<Self, InvalidAccount> {
        if auth_token.is_empty() {
            return Err(InvalidAccount::EmptyToken);
        }
        let mut credentials = Vec::new();
        for (sid, kind) in [(Some(account_sid), "AC"), (api_key_sid, "SK")] {
            let Some(sid) = sid else { continue };
            if !is_sid(sid, kind) {
                return Err(InvalidAccount::Sid(sid.to_owned(), kind));
            }
            credentials.push(STANDARD.encode(format!("{sid}:{auth_token}")));
        }
        let (account_sid, auth_token) = (account_sid.to_owned(), auth_token.to_owned());
        Ok(Self { account_sid, auth_token, credentials })
    }

    /// The account's SID.
    pub fn sid(&self) -> &str {
        &self.account_sid
    }

    /// The secret, for carriers whose requests are signed with it.
    pub(crate) fn token(&self) -> &str {
        &self.auth_token
    }

    /// Whether a request gives the secret itself under this scheme.
    pub(crate) fn admits_token(&self, authorization: Option<&str>, scheme: &str) -> bool {
        authorization.and_then(|text| text.split_once(' ')).is_some_and(|(given, value)| {
            given.eq_ignore_ascii_case(scheme) && value.trim() == self.auth_token
        })
    }

    /// Whether a request may speak for this account.
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        let Some((scheme, value)) = authorization.and_then(|text| text.split_once(' ')) else {
            return false;
        };
        scheme.eq_ignore_ascii_case("basic")
            && self.credentials.iter().any(|known| known == value.trim())
    }
}

pub(super) fn is_sid(text: &str, kind: &str) -> bool {
    text.strip_prefix(kind).is_some_and(|rest| {
        rest.len() == 32 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "AC00000000000000000000000000000001";

    #[test]
    fn only_the_right_credentials_are_admitted() {
        let key = "SK00000000000000000000000000000001";
        let account = Account::new(SID, Some(key), "token").expect("an account");
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let check = |text: Option<&str>, expected| assert_eq!(account.admits(text), expected);
        check(Some(&basic(&format!("{SID}:token"))), true);
        check(Some(&basic(&format!("{key}:token"))), true);
        check(Some(&basic(&format!("{SID}:other"))), false);
        check(Some(&basic("AC1:token")), false);
        check(Some("Bearer token"), false);
        check(None, false);

        assert!(Account::new("AC1", None, "token").is_err());
        assert!(Account::new(SID, None, "").is_err());
        assert!(!format!("{account:?}").contains(&STANDARD.encode(format!("{SID}:token"))));
    }
}
