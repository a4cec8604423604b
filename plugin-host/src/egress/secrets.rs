//! Secret values. They live in the host only and never show themselves.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Secrets by the names under which a carrier's manifest declares them.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, Arc<str>>);

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
        self.0.insert(name, value.into());
        Ok(())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(AsRef::as_ref)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }
}

/// Shows the names only.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
