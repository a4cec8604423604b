//! From a plugin's wish to a request that may be sent.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, Uri};
use url::{Position, Url};

use super::grant::{Rights, Target};
use super::placeholder::{Place, TOKEN, calls_for_token, encoded, fill, smuggles};
use super::{EgressOptions, Forbidden};
use crate::http::{Credential, Header, Request};

/// Headers that decide how a request is framed, routed or compressed. Compression is among them
/// because a packed answer could carry a secret past the redaction.
const FORBIDDEN: [&str; 11] = [
    "host",
    "connection",
    "transfer-encoding",
    "content-length",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "accept-encoding",
    "http2-settings",
];

/// A checked request with its secrets in place. Never shown.
pub(super) struct Assembled {
    pub(super) target: Arc<Target>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Assembled {
    pub(super) fn new(
        rights: &Rights,
        request: Request,
        options: &EgressOptions,
    ) -> Result<Self, Forbidden> {
        let method = method(&request.method)?;
        at_most("URL", options.request_head_bytes, request.url.len())?;
        let url = Url::parse(&request.url).map_err(|_| Forbidden::Url)?;
        // From here on secrets may be inserted: the origin is known to be granted.
        let target = target(rights, &url)?;
        let uri = uri(rights, url)?;
        let mut headers = headers(rights, &request, options)?;
        let body = body(rights, request, options)?;
        headers.insert(HOST, target.host_header.clone());
        headers.entry(USER_AGENT).or_insert(
            const { HeaderValue::from_static(concat!("dripline/", env!("CARGO_PKG_VERSION"))) },
        );
        Ok(Self { target, method, uri, headers, body })
    }

    /// Method, path with query, headers and body. They hold the secrets.
    pub(super) fn into_parts(self) -> (String, String, HeaderMap, Vec<u8>) {
        (self.method.to_string(), self.uri.to_string(), self.headers, self.body.into())
    }

    /// The request, once per connection it is tried on.
    pub(super) fn to_request(&self) -> hyper::Request<Full<Bytes>> {
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn method(name: &str) -> Result<Method, Forbidden> {
    match name {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err(Forbidden::Method { method: shown(name) }),
    }
}

fn target(rights: &Rights, url: &Url) -> Result<Arc<Target>, Forbidden> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Forbidden::Url);
    }
    rights.targets.iter().find(|target| target.origin.contains(url)).cloned().ok_or_else(|| {
        match super::Origin::of(url) {
            Some(origin) => Forbidden::Origin { origin: shown(&origin.to_string()) },
            None => Forbidden::Url,
        }
    })
}

fn uri(rights: &Rights, mut url: Url) -> Result<Uri, Forbidden> {
    if calls(rights, url.path()) {
        return Err(Forbidden::SecretPlace { place: "the URL's path" });
    }
    let filled = match url.query() {
        Some(query) => match fill(query, Place::Encoded, &rights.secrets)? {
            std::borrow::Cow::Owned(filled) => Some(filled),
            std::borrow::Cow::Borrowed(_) => None,
        },
        None => None,
    };
    if let Some(filled) = filled {
        url.set_query(Some(&filled));
    }
    url[Position::BeforePath..Position::AfterQuery].parse().map_err(|_| Forbidden::Url)
}

fn headers(
    rights: &Rights,
    request: &Request,
    options: &EgressOptions,
) -> Result<HeaderMap, Forbidden> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 4);
    let mut size = 0;
    for Header { name, value } in &request.headers {
        size += name.len() + value.len() + 4;
        at_most("head", options.request_head_bytes, size)?;
        let value = fill(value, Place::Header, &rights.secrets)?;
        headers.append(header_name(name)?, header_value(name, &value)?);
    }
    let secret = |name: &str| match name {
        TOKEN => rights.secrets.token().ok_or(Forbidden::NoToken),
        _ => rights.secrets.get(name).ok_or_else(|| Forbidden::UnknownSecret { name: shown(name) }),
    };
    let (name, value) = match &request.credential {
        None => return Ok(headers),
        Some(Credential::Bearer { secret: name }) => {
            (AUTHORIZATION, format!("Bearer {}", secret(name)?))
        }
        Some(Credential::Basic { user, password_secret }) => {
            // A colon would move characters of the user into the password.
            if user.contains(':') || user.chars().any(char::is_control) {
                return Err(Forbidden::HeaderText { name: AUTHORIZATION.to_string() });
            }
            (AUTHORIZATION, basic(user, secret(password_secret)?))
        }
        Some(Credential::EncodedBasic { user, password_secret }) => {
            (AUTHORIZATION, basic(&encoded(user), &encoded(secret(password_secret)?)))
        }
        Some(Credential::Header { name, secret: secret_name }) => {
            (header_name(name)?, secret(secret_name)?.to_owned())
        }
    };
    let mut value = header_value(name.as_str(), &value)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}

fn basic(user: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
}

fn header_name(name: &str) -> Result<HeaderName, Forbidden> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Forbidden::HeaderText { name: shown(name) })?;
    // The parsed name is in lower case.
    let lower = parsed.as_str();
    if FORBIDDEN.contains(&lower) || lower.starts_with("proxy-") {
        return Err(Forbidden::Header { name: lower.to_owned() });
    }
    Ok(parsed)
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, Forbidden> {
    HeaderValue::from_str(value)
        .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
        .map_err(|_| Forbidden::HeaderText { name: shown(name) })
}

fn body(rights: &Rights, request: Request, options: &EgressOptions) -> Result<Bytes, Forbidden> {
    at_most("body", options.request_body_bytes, request.body.len())?;
    let place = body_place(&request.headers);
    let body = match String::from_utf8(request.body) {
        Ok(text) => text,
        // Placeholders are text, so bytes that are not cannot be asked to hold one.
        Err(bytes) => return Ok(bytes.into_bytes().into()),
    };
    let Some(place) = place else {
        if calls(rights, &body) {
            let place = "a body that is not of one type, form, JSON or XML";
            return Err(Forbidden::SecretPlace { place });
        }
        return Ok(body.into());
    };
    let filled = match fill(&body, place, &rights.secrets)? {
        std::borrow::Cow::Owned(filled) => filled,
        std::borrow::Cow::Borrowed(_) => body,
    };
    Ok(filled.into())
}

/// Whether `text` calls for something that these rights could insert elsewhere.
fn calls(rights: &Rights, text: &str) -> bool {
    smuggles(text) || (rights.secrets.token().is_some() && calls_for_token(text))
}

fn body_place(headers: &[Header]) -> Option<Place> {
    let mut types = headers.iter().filter(|h| h.name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
    // Of two types nobody knows which one the other side believes.
    let (content_type, None) = (types.next()?, types.next()) else { return None };
    let media = content_type.value.split(';').next()?.trim().to_ascii_lowercase();
    if media == "application/x-www-form-urlencoded" {
        Some(Place::Encoded)
    } else if media == "application/json" || media.ends_with("+json") {
        Some(Place::Json)
    } else if media == "application/xml" || media == "text/xml" || media.ends_with("+xml") {
        Some(Place::Xml)
    } else {
        None
    }
}

fn at_most(what: &'static str, limit: usize, actual: usize) -> Result<(), Forbidden> {
    if actual > limit { Err(Forbidden::TooLarge { what, limit, actual }) } else { Ok(()) }
}

/// What a plugin wrote, short and on one line, for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Grant, Origin, Secrets};
    use super::*;

    fn grant() -> Grant {
        let mut secrets = Secrets::default();
        secrets.insert("token", "s&cret\"1").unwrap();
        let origins = vec![Origin::parse("https://api.example.com").unwrap()];
        Grant::of(origins, false, secrets, None)
    }

    fn request() -> Request {
        Request {
            method: "POST".into(),
            url: "https://api.example.com/messages?a=1".into(),
            headers: vec![],
            body: vec![],
            credential: None,
        }
    }

    fn assemble(change: impl FnOnce(&mut Request)) -> Result<Assembled, Forbidden> {
        let mut request = request();
        change(&mut request);
        Assembled::new(grant().rights(), request, &EgressOptions::default())
    }

    fn with_header(name: &str, value: &str) -> Result<Assembled, Forbidden> {
        assemble(|r| r.headers.push(Header::new(name, value)))
    }

    #[track_caller]
    fn refused(result: Result<Assembled, Forbidden>) -> Forbidden {
        result.err().expect("it should have been refused")
    }

    #[test]
    fn only_granted_origins_are_reached() {
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com.evil.test/",
            "https://evil.test/?https://api.example.com/",
            "https://api.example.com@evil.test/",
            "https://user@api.example.com/",
            "file:///etc/passwd",
            "/messages",
            "https://[::ffff:127.0.0.1]/",
        ] {
            let refusal = refused(assemble(|r| r.url = url.into()));
            assert!(
                matches!(refusal, Forbidden::Origin { .. } | Forbidden::Url),
                "{url}: {refusal}"
            );
        }
        assert!(assemble(|r| r.url = "https://API.EXAMPLE.com:443/x".into()).is_ok());
    }

    #[test]
    fn framing_headers_belong_to_the_host() {
        for name in [
            "Host",
            "connection",
            "Transfer-Encoding",
            "content-length",
            "TE",
            "Upgrade",
            "Proxy-Authorization",
            "expect",
            "accept-encoding",
        ] {
            assert!(matches!(refused(with_header(name, "x")), Forbidden::Header { .. }), "{name}");
        }
    }

    #[test]
    fn line_breaks_are_refused_wherever_they_hide() {
        for (name, value) in [
            ("x-a", "1\r\nx-b: 2"),
            ("x-a\r\nx-b", "1"),
            ("x-a", "1\n2"),
            ("x a", "1"),
            ("x-a", "\0"),
        ] {
            assert!(
                matches!(refused(with_header(name, value)), Forbidden::HeaderText { .. }),
                "{name}: {value}"
            );
        }
        let basic = Credential::Basic { user: "u\r\nx".into(), password_secret: "token".into() };
        assert!(assemble(|r| r.credential = Some(basic)).is_err());
        assert!(assemble(|r| r.method = "POST /x HTTP/1.1\r\nx: y".into()).is_err());
    }

    #[test]
    fn secrets_are_put_where_they_may_stand() {
        let assembled = assemble(|r| {
            r.url.push_str("&k={{secret:token}}");
            r.headers.push(Header::new("content-type", "application/json; charset=utf-8"));
            r.headers.push(Header::new("x-key", "k {{secret:token}}"));
            r.body = br#"{"k":"{{secret:token}}"}"#.to_vec();
            r.credential =
                Some(Credential::Basic { user: "AC1".into(), password_secret: "token".into() });
        })
        .unwrap();
        assert_eq!(assembled.uri, "/messages?a=1&k=s%26cret%221");
        assert_eq!(assembled.headers["x-key"], "k s&cret\"1");
        assert_eq!(assembled.headers["authorization"], "Basic QUMxOnMmY3JldCIx");
        assert_eq!(assembled.headers["host"], "api.example.com");
        assert_eq!(assembled.body, r#"{"k":"s&cret\"1"}"#);
    }

    #[test]
    fn an_encoded_client_is_one_that_every_form_would_have() {
        let assembled = assemble(|r| {
            r.credential = Some(Credential::EncodedBasic {
                user: "a:b c".into(),
                password_secret: "token".into(),
            });
        });
        let value = format!("Basic {}", STANDARD.encode("a%3Ab%20c:s%26cret%221"));
        assert_eq!(assembled.unwrap().headers["authorization"], value);
    }

    #[test]
    fn xml_is_known_by_its_types() {
        for kind in ["application/xml", "Text/XML; charset=utf-8", "application/soap+xml"] {
            let assembled = assemble(|r| {
                r.headers.push(Header::new("Content-Type", kind));
                r.body = b"<a k='{{secret:token}}'/>".to_vec();
            });
            assert_eq!(assembled.unwrap().body, "<a k='s&amp;cret&quot;1'/>", "{kind}");
        }
    }

    #[test]
    fn secrets_stand_nowhere_else() {
        let path = assemble(|r| r.url = "https://api.example.com/{{secret:token}}".into());
        assert!(matches!(refused(path), Forbidden::SecretPlace { .. }));
        let body = assemble(|r| r.body = b"{{secret:token}}".to_vec());
        assert!(matches!(refused(body), Forbidden::SecretPlace { .. }));
        let host = assemble(|r| r.url = "https://{{secret:token}}.evil.test/".into());
        assert!(matches!(refused(host), Forbidden::Url | Forbidden::Origin { .. }));
        let elsewhere = assemble(|r| r.url = "https://evil.test/?{{secret:token}}".into());
        assert!(matches!(refused(elsewhere), Forbidden::Origin { .. }));
        let body = |types: &[&str], body: &str| {
            assemble(|r| {
                let headers = types.iter().map(|kind| Header::new("content-type", *kind));
                r.headers.extend(headers);
                r.body = body.as_bytes().to_vec();
            })
        };
        // Types that are none of the three, or that the other side may read as another one.
        for types in [
            &["text/plain"][..],
            &["text/html"],
            &["application/xml-dtd"],
            &["application/xml, application/json"],
            &["application/xml", "application/json"],
            &["application/json", "application/json"],
            &["multipart/mixed; boundary=application/xml"],
            &["xml"],
            &[""],
        ] {
            let refusal = refused(body(types, "<a>{{secret:token}}</a>"));
            assert!(matches!(refusal, Forbidden::SecretPlace { .. }), "{types:?}: {refusal:?}");
            assert!(body(types, "<a>nothing</a>").is_ok(), "{types:?}");
        }
        let comment = body(&["text/xml"], "<!--{{secret:token}}--><a/>");
        assert!(matches!(refused(comment), Forbidden::SecretPlace { .. }));
        let unknown = with_header("x-key", "{{secret:other}}");
        assert_eq!(refused(unknown), Forbidden::UnknownSecret { name: "other".into() });
    }

    #[test]
    fn sizes_are_capped() {
        let options = EgressOptions::default();
        let body = assemble(|r| r.body = vec![b'x'; options.request_body_bytes + 1]);
        assert!(matches!(refused(body), Forbidden::TooLarge { what: "body", .. }));
        let head = with_header("x-a", &"x".repeat(options.request_head_bytes));
        assert!(matches!(refused(head), Forbidden::TooLarge { what: "head", .. }));
        let url = assemble(|r| r.url.push_str(&"x".repeat(options.request_head_bytes)));
        assert!(matches!(refused(url), Forbidden::TooLarge { what: "URL", .. }));
    }
}
