//! The PostgreSQL to use.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// The PostgreSQL to use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Where it is; `None` means the embedded one.
    #[serde(deserialize_with = "url_or_none")]
    pub url: Option<DatabaseUrl>,
    /// Connections that one process opens at most.
    pub max_connections: u32,
    /// The embedded one.
    pub embedded: Embedded,
}

/// The embedded PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// Where the server's binaries are; `None` means that they are looked for.
    #[serde(deserialize_with = "crate::layer::empty_is_none")]
    pub binaries_dir: Option<PathBuf>,
    /// The port on 127.0.0.1; `None` means a unix socket only.
    #[serde(deserialize_with = "crate::layer::zero_is_none")]
    pub port: Option<u16>,
}

/// A `postgres://` URL. `Display` and `Debug` leave its password out.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// A text that is no `postgres://` URL. Does not repeat it, since it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a URL of the form `postgres://user@host:port/name`, in which special characters are written \
     like `%40`"
)]
pub struct NotAPostgresUrl;

impl DatabaseUrl {
    /// Takes a URL with the scheme `postgres` or `postgresql`. What follows is for the driver to
    /// understand, except that `@` stands only between user and host: else it would not be certain
    /// where a password ends, and a part of it could be shown.
    pub fn parse(url: &str) -> Result<Self, NotAPostgresUrl> {
        let rest = strip_scheme(url).ok_or(NotAPostgresUrl)?;
        let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
        let stray = rest.matches('@').count() > usize::from(authority.contains('@'));
        if rest.is_empty() || stray || rest.contains(char::is_whitespace) {
            return Err(NotAPostgresUrl);
        }
        Ok(Self(url.to_owned()))
    }

    /// The whole URL, password included. For the driver only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a password stands in it, before the host or among its parameters.
    pub fn has_password(&self) -> bool {
        self.redacted() != self.0
    }

    fn redacted(&self) -> String {
        let (base, query) = match self.0.split_once('?') {
            Some((base, query)) => (base, Some(query)),
            None => (self.0.as_str(), None),
        };
        let mut redacted = redact_user_info(base);
        for (index, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
            redacted.push(if index == 0 { '?' } else { '&' });
            match pair.split_once('=') {
                Some((name, _)) if is_secret_parameter(name) => {
                    redacted.push_str(name);
                    redacted.push_str("=***");
                }
                _ => redacted.push_str(pair),
            }
        }
        redacted
    }
}

fn strip_scheme(url: &str) -> Option<&str> {
    url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))
}

fn redact_user_info(base: &str) -> String {
    let Some((scheme, rest)) = base.split_once("://") else { return base.to_owned() };
    let Some((user_info, host)) = rest.split_once('@') else { return base.to_owned() };
    match user_info.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => base.to_owned(),
    }
}

fn is_secret_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("password") || name.contains("passwd") || name == "sslkey"
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

fn url_or_none<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DatabaseUrl>, D::Error> {
    let url = String::deserialize(deserializer)?;
    if url.is_empty() {
        return Ok(None);
    }
    DatabaseUrl::parse(&url).map(Some).map_err(serde::de::Error::custom)
}
