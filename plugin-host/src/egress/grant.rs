//! What one route may reach, and the connections it keeps open.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use url::Url;

use super::address;
use super::pool::IdlePool;
use super::redaction::Redactor;
use super::secrets::Secrets;
use crate::manifest::Manifest;
use crate::message::Settings;
use crate::token::Token;

/// Why a route gets no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not `scheme://host[:port]`.
    #[error("`{origin}` is no origin: {text}")]
    Origin {
        /// As it was written.
        origin: String,
        /// What is wrong.
        text: &'static str,
    },
    /// The manifest takes an origin from a setting that the route does not have.
    #[error("origin `{{{setting}}}` needs the setting `{setting}`, which the route does not give")]
    MissingSetting {
        /// The setting's name.
        setting: String,
    },
    /// Nothing is granted by both sides.
    #[error(
        "the route may reach no origin: the carrier talks to {carrier}, the route allows {route}"
    )]
    NothingGranted {
        /// The manifest's origins, expanded.
        carrier: String,
        /// The route's.
        route: String,
    },
}

/// Scheme, host and port: `https://api.example.com`, `http://127.0.0.1:8080`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Origin {
    /// The origin that `text` names. A path, a query or a user is an error; one slash at the end is
    /// not.
    pub fn parse(text: &str) -> Result<Self, GrantError> {
        let error = |why| GrantError::Origin { origin: text.to_owned(), text: why };
        let url = Url::parse(text).map_err(|_| error("write `https://host[:port]`"))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(error("it may not have a path or a query"));
        }
        // A star is a legal host to the URL standard, and would read like a promise that is not kept.
        if url.host_str().is_some_and(|host| host.contains('*')) {
            return Err(error("name one host; there are no wildcards"));
        }
        Self::of(&url).ok_or_else(|| error("write `https://host[:port]`"))
    }

    /// The origin of a URL, whatever its path and query.
    pub fn of_url(text: &str) -> Option<Self> {
        Url::parse(text).ok().and_then(|url| Self::of(&url))
    }

    /// The origin of a URL with scheme http or https, a host and no user.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
        Some(Self { tls, host, port: url.port_or_known_default()? })
    }

    /// Whether `url` lies within, without allocating.
    pub(super) fn contains(&self, url: &Url) -> bool {
        let scheme = if self.tls { "https" } else { "http" };
        url.scheme() == scheme
            && url.host_str() == Some(&self.host)
            && url.port_or_known_default() == Some(self.port)
    }

    /// The host as an address, when it is one.
    pub(super) fn address(&self) -> Option<std::net::IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// `host[:port]` as the `host` header has it.
    fn authority(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        if self.port == default {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// What a route is configured to allow.
#[derive(Clone, Debug, Default)]
pub struct RouteRights<'a> {
    /// Origins that the route may send to. Empty: none.
    pub allowed_origins: &'a [String],
    /// Lets it send to this machine itself; for tests and simulators.
    pub allow_loopback: bool,
    /// Secret values by name. Those that the manifest does not declare are left out.
    pub secrets: Secrets,
    /// How long a whole exchange may take, if shorter than [`super::EgressOptions::total_timeout`].
    pub timeout: Option<Duration>,
}

/// One route's rights: origins, secrets, and the connections kept open for them. Made once per
/// revision of a route and cloned freely: clones share the connections, which are closed with the
/// last clone.
#[derive(Clone, Debug)]
pub struct Grant(Arc<Rights>);

#[derive(Debug)]
pub(super) struct Rights {
    pub(super) targets: Vec<Arc<Target>>,
    pub(super) secrets: Secrets,
    pub(super) redactor: Redactor,
    pub(super) timeout: Option<Duration>,
}

/// A granted origin.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) origin: Origin,
    pub(super) host_header: HeaderValue,
    pub(super) allow_loopback: bool,
    pub(super) idle: IdlePool,
}

impl Grant {
    /// The rights that the carrier's manifest asks for *and* the route allows. An empty
    /// intersection is an error, since such a route could never send.
    pub fn new(
        manifest: &Manifest,
        settings: &Settings,
        route: &RouteRights<'_>,
    ) -> Result<Self, GrantError> {
        let wanted = manifest_origins(manifest, settings)?;
        let allowed = route
            .allowed_origins
            .iter()
            .map(|text| Origin::parse(text))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let granted: Vec<Origin> = wanted.intersection(&allowed).cloned().collect();
        if granted.is_empty() {
            return Err(GrantError::NothingGranted {
                carrier: listed(&wanted),
                route: listed(&allowed),
            });
        }
        let mut secrets = Secrets::default();
        for name in manifest.secret_names() {
            if let Some(value) = route.secrets.get(name) {
                secrets.insert(name, value).expect("a kept secret was checked when it was added");
            }
        }
        Ok(Self::of(granted, route.allow_loopback, secrets, route.timeout))
    }

    /// An origin that is written as an address to which nothing is ever sent with these rights, and what kind of
    /// address that is, such as `loopback`. What a name stands for is seen when it is connected to.
    pub fn forbidden_address(&self) -> Option<(&Origin, &'static str)> {
        self.0.targets.iter().find_map(|target| {
            let kind = address::refusal(target.origin.address()?, target.allow_loopback)?;
            Some((&target.origin, kind))
        })
    }

    /// The secrets that the manifest declares and the route gives.
    pub fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// The same rights, with this token for the requests that ask for one. Both share their connections.
    #[must_use]
    pub fn with_token(&self, token: &Token) -> Self {
        let Rights { targets, secrets, timeout, .. } = &*self.0;
        let secrets = secrets.with_token(token);
        let redactor = Redactor::new(&secrets);
        Self(Arc::new(Rights { targets: targets.clone(), secrets, redactor, timeout: *timeout }))
    }

    /// Every origin granted, sorted.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.0.targets.iter().map(|target| &target.origin)
    }

    pub(super) fn of(
        origins: Vec<Origin>,
        allow_loopback: bool,
        secrets: Secrets,
        timeout: Option<Duration>,
    ) -> Self {
        let targets = origins
            .into_iter()
            .map(|origin| {
                let host_header = HeaderValue::from_str(&origin.authority())
                    .expect("a parsed URL's host is a valid header");
                Arc::new(Target { origin, host_header, allow_loopback, idle: IdlePool::default() })
            })
            .collect();
        let redactor = Redactor::new(&secrets);
        Self(Arc::new(Rights { targets, secrets, redactor, timeout }))
    }

    pub(super) fn rights(&self) -> &Rights {
        &self.0
    }
}

fn manifest_origins(
    manifest: &Manifest,
    settings: &Settings,
) -> Result<BTreeSet<Origin>, GrantError> {
    let origin = |text: &String| {
        let Some(setting) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return Origin::parse(text);
        };
        let value = settings
            .get(setting)
            .ok_or_else(|| GrantError::MissingSetting { setting: setting.to_owned() })?;
        // A setting may be a base URL with a path; only its origin matters here.
        Origin::of_url(value).ok_or_else(|| GrantError::Origin {
            origin: value.clone(),
            text: "write `https://host[:port]`",
        })
    };
    manifest.origins.iter().map(origin).collect()
}

fn listed(origins: &BTreeSet<Origin>) -> String {
    if origins.is_empty() {
        return "none".to_owned();
    }
    origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_and_printed_alike() {
        for (text, expected) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://API.example.com:443/", "https://api.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            // The forms that address filters forget.
            ("http://2130706433", "http://127.0.0.1"),
            ("http://0x7f.1", "http://127.0.0.1"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "",
            "api.example.com",
            "ftp://x",
            "https://*",
            "https://*.x",
            "https://u:p@x",
            "https://x/a",
            "https://x/?q",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }
}
