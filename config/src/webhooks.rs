//! Where carriers report to.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

/// Where carriers report to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Where this worker listens; `None`: it does not.
    #[serde(deserialize_with = "parsed_or_none")]
    pub listen: Option<SocketAddr>,
    /// How carriers reach whoever listens; `None`: they are told of no address.
    #[serde(deserialize_with = "parsed_or_none")]
    pub public_url: Option<PublicUrl>,
    /// Requests in work at most.
    pub max_requests: usize,
    /// The largest body.
    pub max_body_kib: u64,
    /// How long a request may take to come in, and then to be answered.
    pub timeout_seconds: u64,
}

impl Webhooks {
    /// [`Webhooks::max_body_kib`] in bytes.
    pub fn max_body_bytes(&self) -> u64 {
        self.max_body_kib * 1024
    }

    /// [`Webhooks::timeout_seconds`] as a duration.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

/// The beginning of every address that carriers call, without a slash at its end.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// A text that cannot be what carriers call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address of the form `https://host/path` (`http://` only for this machine itself), without a user, \
     `?` and `#`"
)]
pub struct NotAPublicUrl;

impl PublicUrl {
    /// Behind what comes before it, the path of every callback.
    pub const CALLBACKS: &'static str = "/hooks/";

    /// The address of the callback with this token. A secret, since the token is one.
    pub fn callback(&self, token: &str) -> String {
        format!("{}{}{token}", self.0, Self::CALLBACKS)
    }
}

impl FromStr for PublicUrl {
    type Err = NotAPublicUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| NotAPublicUrl)?;
        let is_here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(NotAPublicUrl),
        };
        let fits = (url.scheme() == "https" || (url.scheme() == "http" && is_here))
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        // Signatures cover the address, so that it must be what stands in the carrier's books: nothing that would
        // be written in another way there.
        let base = url.as_str().trim_end_matches('/');
        if fits && base == text.trim_end_matches('/') {
            Ok(Self(base.to_owned()))
        } else {
            Err(NotAPublicUrl)
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicUrl({})", self.0)
    }
}

fn parsed_or_none<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriers_are_told_of_addresses_that_they_can_call() {
        let check = |text: &str, base: Option<&str>| {
            let parsed = text.parse::<PublicUrl>().ok().map(|url| url.to_string());
            assert_eq!(parsed.as_deref(), base, "{text}");
        };
        check("https://sms.example.com", Some("https://sms.example.com"));
        check("https://sms.example.com/", Some("https://sms.example.com"));
        check("https://example.com:8443/dripline/", Some("https://example.com:8443/dripline"));
        check("http://127.0.0.1:8088", Some("http://127.0.0.1:8088"));
        check("http://localhost", Some("http://localhost"));
        check("http://[::1]:1", Some("http://[::1]:1"));
        for wrong in [
            "http://sms.example.com",
            "sms.example.com",
            "ftp://sms.example.com",
            "https://",
            "https://user@example.com",
            "https://:secret@example.com",
            "https://example.com?a=b",
            "https://example.com#a",
            "https://EXAMPLE.com",
            "https://example.com/a b",
            "https://example.com/a/../b",
        ] {
            check(wrong, None);
        }
        let url: PublicUrl = "https://example.com/sms".parse().unwrap();
        assert_eq!(url.callback("12"), "https://example.com/sms/hooks/12");
    }
}
