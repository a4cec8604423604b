//! Callbacks: where carriers report to. Each route has one, found by a token that nobody can guess.

use std::fmt;
use std::str::FromStr;

use dripline_domain::ids::{AccountId, RouteId};

use crate::{Pool, StoreError};

/// The secret part of a route's callback. Neither `Debug` nor `Display` shows it, and it cannot be serialised.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CallbackToken(String);

/// A text that is no callback's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the token of a callback")]
pub struct NotACallbackToken;

impl CallbackToken {
    /// Of a token; each stands for three bits and a third. `callback_tokens_are_digits` says the same.
    const DIGITS: usize = 48;

    /// As it stands in the table.
    pub(crate) fn stored(token: String) -> Self {
        Self(token)
    }

    /// The token itself. For the address that has it, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for CallbackToken {
    type Err = NotACallbackToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() == Self::DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        if fits { Ok(Self(text.to_owned())) } else { Err(NotACallbackToken) }
    }
}

impl fmt::Debug for CallbackToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackToken(***)")
    }
}

/// Whose callback it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The route's account.
    pub account_id: AccountId,
    /// The route.
    pub route_id: RouteId,
    /// The route's revision.
    pub revision: i64,
}

/// Whose callbacks have these tokens, in their order.
pub async fn find(
    pool: &Pool,
    tokens: &[CallbackToken],
) -> Result<Vec<Option<Callback>>, StoreError> {
    let texts: Vec<&str> = tokens.iter().map(CallbackToken::expose).collect();
    let rows = sqlx::query!(
        r#"SELECT r.route_id AS "route_id?", r.account_id AS "account_id?", r.revision AS "revision?"
           FROM unnest($1::TEXT[]) WITH ORDINALITY AS asked (token, place)
           LEFT JOIN routes r ON r.callback_token = asked.token
           ORDER BY asked.place"#,
        &texts as &[&str],
    )
    .fetch_all(pool)
    .await?;
    let callback = rows.into_iter().map(|row| {
        Some(Callback {
            account_id: row.account_id?.into(),
            route_id: row.route_id?.into(),
            revision: row.revision?,
        })
    });
    Ok(callback.collect())
}
