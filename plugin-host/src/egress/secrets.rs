//! Secret values. They live in the host only and never show themselves.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::token::Token;

/// Secrets by the names under which a carrier's manifest declares them, and the token where one was fetched.
#[derive(Clone, Default)]
pub struct Secrets {
    named: BTreeMap<String, Arc<str>>,
    token: Option<Arc<str>>,
}

/// Why a value cannot be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Most likely an unset variable.
    #[error("the secret `{name}` is empty")]
    Empty {
        /// Which.
        name: String,
    },
    /// A line break in a header would start another header.
    #[error("the secret `{name}` holds a control character, perhaps a line break at its end")]
    ControlCharacter {
        /// Which.
        name: String,
    },
}

impl Secrets {
    /// Adds one. `value` must not be empty nor hold control characters.
    pub fn insert(&mut self, name: impl Into<String>, value: &str) -> Result<(), SecretError> {
        let name = name.into();
        if value.is_empty() {
            return Err(SecretError::Empty { name });
        }
        if value.chars().any(char::is_control) {
            return Err(SecretError::ControlCharacter { name });
        }
        self.named.insert(name, value.into());
        Ok(())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(AsRef::as_ref)
    }

    /// The same, and this token.
    pub(super) fn with_token(&self, token: &Token) -> Self {
        Self { token: Some(token.value().clone()), ..self.clone() }
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Every value, with what is shown in its place.
    pub(super) fn marked(&self) -> impl Iterator<Item = (String, &str)> {
        let named = self.named.iter().map(|(name, value)| (format!("[secret {name}]"), &**value));
        named.chain(self.token().map(|token| ("[token]".to_owned(), token)))
    }
}

/// Shows the names only.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.named.keys()).finish()
    }
}
