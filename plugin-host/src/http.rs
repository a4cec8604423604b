//! HTTP as plain values, as carrier plugins see it.

use std::fmt;

use crate::egress::placeholder::{TOKEN, calls_for_token};

/// One header of a request or a response.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// As the plugin or the server wrote it; compared without regard to case.
    pub name: String,
    /// Text. Header bytes that are not UTF-8 are replaced when a response is read.
    pub value: String,
}

impl Header {
    /// A header from its two parts.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// Shows the name only: a value may hold a phone number.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ({} bytes)", self.name, self.value.len())
    }
}

/// How the host authenticates a request. Secrets are only named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer <secret>`.
    Bearer {
        /// The secret's name.
        secret: String,
    },
    /// `Authorization: Basic base64(<user>:<secret>)`.
    Basic {
        /// Not a secret, for example an account id.
        user: String,
        /// The name of the secret that is the password.
        password_secret: String,
    },
    /// The same, with user and secret form-encoded before they are put together (RFC 6749, section 2.3.1). No plugin
    /// asks for it in a request: its manifest says so of the requests that fetch tokens.
    EncodedBasic {
        /// Not a secret: the client's id.
        user: String,
        /// The name of the secret that is the password.
        password_secret: String,
    },
    /// `<name>: <secret>`.
    Header {
        /// The header's name.
        name: String,
        /// The secret's name.
        secret: String,
    },
}

/// A request that a carrier plugin asks the host to make. Nothing in it is trusted.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// May hold `{{secret:NAME}}` and `{{token}}` in values.
    pub headers: Vec<Header>,
    /// May hold `{{secret:NAME}}` and `{{token}}` when it is a form or JSON.
    pub body: Vec<u8>,
    /// The credential to add.
    pub credential: Option<Credential>,
}

impl Credential {
    /// The same with user and secret form-encoded, where it has both.
    pub(crate) fn form_encoded(self) -> Self {
        match self {
            Self::Basic { user, password_secret } => Self::EncodedBasic { user, password_secret },
            other => other,
        }
    }
}

impl Request {
    /// Whether it asks for a token, in a placeholder or as its credential.
    pub fn wants_token(&self) -> bool {
        let named = match &self.credential {
            None => None,
            Some(Credential::Bearer { secret } | Credential::Header { secret, .. }) => Some(secret),
            Some(
                Credential::Basic { password_secret, .. }
                | Credential::EncodedBasic { password_secret, .. },
            ) => Some(password_secret),
        };
        named.is_some_and(|name| name == TOKEN)
            || calls_for_token(&self.url)
            || self.headers.iter().any(|header| calls_for_token(&header.value))
            || calls_for_token(&String::from_utf8_lossy(&self.body))
    }

    /// Tells whether another request is the same one: the SHA-256 of everything in it, in hexadecimal.
    /// Secrets are only named in it, and so not part of it.
    pub fn digest(&self) -> String {
        use sha2::Digest as _;
        use std::fmt::Write as _;

        let mut hash = sha2::Sha256::new();
        // Each part with its length before it, so that no two requests read alike.
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(self.method.as_bytes());
        part(self.url.as_bytes());
        part(&(self.headers.len() as u64).to_le_bytes());
        for header in &self.headers {
            part(header.name.as_bytes());
            part(header.value.as_bytes());
        }
        part(&self.body);
        match &self.credential {
            None => part(b"none"),
            Some(Credential::Bearer { secret }) => {
                part(b"bearer");
                part(secret.as_bytes());
            }
            Some(Credential::Basic { user, password_secret }) => {
                part(b"basic");
                part(user.as_bytes());
                part(password_secret.as_bytes());
            }
            Some(Credential::EncodedBasic { user, password_secret }) => {
                part(b"encoded-basic");
                part(user.as_bytes());
                part(password_secret.as_bytes());
            }
            Some(Credential::Header { name, secret }) => {
                part(b"header");
                part(name.as_bytes());
                part(secret.as_bytes());
            }
        }
        hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Shows neither the query, which may hold a phone number, nor the body.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .field("credential", &self.credential)
            .finish()
    }
}

/// What the server answered, with every secret of the grant blotted out.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// For example 201.
    pub status: u16,
    /// In the order they came.
    pub headers: Vec<Header>,
    /// Whole, within the size limit.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.as_str())
    }
}

/// Shows sizes only.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            method: "POST".to_owned(),
            url: "https://acme.example/".to_owned(),
            headers: vec![Header::new("a", "b"), Header::new("c", "")],
            body: b"Hi".to_vec(),
            credential: Some(Credential::Bearer { secret: "token".to_owned() }),
        }
    }

    #[test]
    fn a_token_is_asked_for_in_any_place() {
        assert!(!request().wants_token());
        let changes: [fn(&mut Request); 4] = [
            |r| r.credential = Some(Credential::Bearer { secret: "{{token}}".to_owned() }),
            |r| r.url.push_str("?t=%7B%7Btoken%7D%7D"),
            |r| r.headers.push(Header::new("x-token", "{{token}}")),
            |r| r.body = br#"{"token":"{{token}}"}"#.to_vec(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut request = request();
            change(&mut request);
            assert!(request.wants_token(), "change {number}");
        }
    }

    #[test]
    fn a_digest_tells_requests_apart() {
        let digest = request().digest();
        assert_eq!(digest.len(), 64);
        assert_eq!(digest, request().digest());
        let changes: [fn(&mut Request); 7] = [
            |r| r.method = "PUT".to_owned(),
            |r| r.url.push('x'),
            |r| r.headers[0] = Header::new("ab", ""),
            |r| r.headers.truncate(1),
            |r| r.body.push(b'!'),
            |r| r.credential = None,
            |r| {
                let (name, secret) = ("bearer".to_owned(), "token".to_owned());
                r.credential = Some(Credential::Header { name, secret });
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = request();
            change(&mut other);
            assert_ne!(other.digest(), digest, "change {number}");
        }
    }
}
