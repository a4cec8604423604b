//! Secrets by reference: configuration says where a secret is kept, never what it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs, io};

use serde::{Deserialize, Serialize};

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretReference {
    /// `env:NAME`: the value of an environment variable.
    Environment(String),
    /// `file:/path`: what a file holds, without the line end that editors add.
    File(PathBuf),
}

/// A secret. Neither `Debug` nor `Display` shows it, and it cannot be serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A text that refers to no secret. Does not repeat it, since it may be the secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is given by where it is kept: `env:NAME`, or `file:/path` with a whole path")]
pub struct NotASecretReference;

/// Why a secret is not where it should be. Never contains it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("environment variable {0} is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(SecretReference),
    /// Secrets are texts.
    #[error("{0} is not valid UTF-8")]
    NotText(SecretReference),
    /// A file of this size is something else.
    #[error("{0} is larger than {max} bytes", max = SecretReference::MAX_BYTES)]
    TooLarge(SecretReference),
}

impl SecretReference {
    /// The longest secret.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Reads the secret from the process' environment or the file.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        self.resolve_with(|name| std::env::var_os(name))
    }

    /// Reads the secret, with `lookup` for the environment.
    pub fn resolve_with(
        &self,
        lookup: impl FnOnce(&str) -> Option<OsString>,
    ) -> Result<Secret, SecretError> {
        let text = match self {
            Self::Environment(name) => lookup(name)
                .ok_or_else(|| SecretError::NotSet(name.clone()))?
                .into_string()
                .map_err(|_| SecretError::NotText(self.clone()))?,
            Self::File(path) => self.read(path)?,
        };
        if text.is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(SecretError::TooLarge(self.clone()));
        }
        Ok(Secret(text))
    }

    fn read(&self, path: &Path) -> Result<String, SecretError> {
        let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(unreadable)?.len();
        if size > Self::MAX_BYTES as u64 {
            return Err(SecretError::TooLarge(self.clone()));
        }
        warn_if_open_to_all(path);
        let bytes = fs::read(path).map_err(unreadable)?;
        let mut text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(self.clone()))?;
        let end = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(end);
        Ok(text)
    }
}

#[cfg(unix)]
fn warn_if_open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0) {
        tracing::warn!(path = %path.display(), "a secret's file can be read by every user");
    }
}

#[cfg(not(unix))]
fn warn_if_open_to_all(_: &Path) {}

impl Secret {
    /// A secret that came from elsewhere, such as a test.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself. For the place that uses it, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for SecretReference {
    type Err = NotASecretReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("env:")
            && is_variable_name(name)
        {
            return Ok(Self::Environment(name.to_owned()));
        }
        if let Some(path) = text.strip_prefix("file:")
            && Path::new(path).is_absolute()
        {
            return Ok(Self::File(path.into()));
        }
        Err(NotASecretReference)
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The reference as it is written.
impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl TryFrom<String> for SecretReference {
    type Error = NotASecretReference;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SecretReference> for String {
    fn from(reference: SecretReference) -> Self {
        reference.to_string()
    }
}
