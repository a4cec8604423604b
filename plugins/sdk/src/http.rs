//! HTTP as plain values.

use serde::{Deserialize, Serialize};

use crate::Failure;

/// A request for the host to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Absolute. Its origin must be granted to the plugin and to the route.
    pub url: String,
    /// In the order they were added.
    pub headers: Vec<(String, String)>,
    /// The body's octets.
    pub body: Vec<u8>,
    /// How the host should authenticate.
    pub credential: Option<Credential>,
}

/// How the host should authenticate. Secrets are named as the manifest declares them; their values
/// never enter the plugin.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// `Authorization: Bearer <secret>`.
    Bearer(String),
    /// `Authorization: Basic base64(<user>:<secret>)`.
    Basic {
        /// Not a secret, for example an account id.
        user: String,
        /// The name of the secret that is the password.
        password_secret: String,
    },
    /// `<name>: <secret>` as a header.
    Header {
        /// The header's name.
        name: String,
        /// The name of the secret that is its value.
        secret: String,
    },
}

impl Request {
    /// A request without headers, body or credential.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            credential: None,
        }
    }

    /// A `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Makes the body `application/x-www-form-urlencoded`, with the fields in their order.
    #[must_use]
    pub fn form<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut body = String::new();
        for (name, value) in fields {
            if !body.is_empty() {
                body.push('&');
            }
            form_escape(name, &mut body);
            body.push('=');
            form_escape(value, &mut body);
        }
        self.body = body.into_bytes();
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// Makes the body JSON.
    ///
    /// # Panics
    /// When `value` cannot be JSON, for example a map whose keys are not strings. That is a mistake of
    /// the plugin, and its first test finds it.
    #[must_use]
    pub fn json(mut self, value: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(value).expect("the body's type can be JSON");
        self.header("content-type", "application/json")
    }

    /// Authenticates with a user and the secret of this name.
    #[must_use]
    pub fn basic(mut self, user: impl Into<String>, password_secret: impl Into<String>) -> Self {
        let credential =
            Credential::Basic { user: user.into(), password_secret: password_secret.into() };
        self.credential = Some(credential);
        self
    }

    /// Authenticates with the secret of this name as a bearer token.
    #[must_use]
    pub fn bearer(mut self, secret: impl Into<String>) -> Self {
        self.credential = Some(Credential::Bearer(secret.into()));
        self
    }

    /// Authenticates with the secret of this name as the value of a header.
    #[must_use]
    pub fn secret_header(mut self, name: impl Into<String>, secret: impl Into<String>) -> Self {
        self.credential = Some(Credential::Header { name: name.into(), secret: secret.into() });
        self
    }
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// In the order they came.
    pub headers: Vec<(String, String)>,
    /// The body's octets, cut off by the host at its limit.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(found.1.trim())
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// A failure of class *uncertain* when the body is not what was expected: a carrier that answered
    /// may well have sent.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let text =
                format!("the carrier answered {} with a body that is not understood", self.status);
            Failure::uncertain("unreadable-answer", text)
        })
    }

    /// How long the carrier asks to wait, from `Retry-After` in either of its forms. A date counts
    /// from the response's own `Date`, since a plugin has no clock.
    pub fn retry_after_ms(&self) -> Option<u64> {
        let value = self.header("retry-after")?;
        if let Ok(seconds) = value.parse::<u64>() {
            return seconds.checked_mul(1_000);
        }
        let (until, now) = (http_date(value)?, http_date(self.header("date")?)?);
        Some(until.saturating_sub(now) * 1_000)
    }
}

/// Escapes one segment of a URL's path, so that a value from a setting cannot change the path.
///
/// # Errors
/// A failure of the route for `.` and `..`: who reads a URL takes such a segment away, with two dots together with the one
/// before it, and no escape helps, since `%2e` is read as a dot there.
pub fn path_segment(value: &str) -> Result<String, Failure> {
    if matches!(value, "." | "..") {
        let text = "a value of only dots cannot be a segment of a URL's path";
        return Err(Failure::retryable("dots-in-path", text).about_route());
    }
    Ok(percent_encode(value))
}

/// Escapes every octet but letters, digits and `-._~`: a value for a URL's query. In a path, [`path_segment`] is needed.
pub fn percent_encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            push_escaped(byte, &mut out);
        }
    }
    out
}

/// As the WHATWG URL standard serialises `application/x-www-form-urlencoded`.
fn form_escape(value: &str, out: &mut String) {
    out.reserve(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => push_escaped(byte, out),
        }
    }
}

fn push_escaped(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// Seconds since 1970 of an RFC 9110 date in its preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.strip_suffix(" GMT")?.split(' ');
    let day: u64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month_name = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)? as u64;
    let year: u64 = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = parts.next()?.split(':').map(str::parse::<u64>);
    let mut unit = |below: u64| clock.next()?.ok().filter(|value| *value < below);
    let (hours, minutes, seconds) = (unit(24)?, unit(60)?, unit(61)?);
    // Days since 1970-01-01, with the year counted from March so that the leap day comes last.
    let (y, m) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hours * 3_600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_browsers_do() {
        let request = Request::post("https://example.com/")
            .form([("To", "+12025550123"), ("Body", "Zoë & \u{1f600}\r\n100% ~*-._")]);
        assert_eq!(
            String::from_utf8(request.body).expect("ascii"),
            "To=%2B12025550123&Body=Zo%C3%AB+%26+%F0%9F%98%80%0D%0A100%25+%7E*-._"
        );
    }

    #[test]
    fn a_path_segment_cannot_leave_its_place() {
        let escaped = path_segment("AC12/../x?y#z %").unwrap();
        assert_eq!(escaped, "AC12%2F..%2Fx%3Fy%23z%20%25");
        assert_eq!(path_segment("%2e%2e").unwrap(), "%252e%252e");
        for dots in [".", ".."] {
            assert_eq!(path_segment(dots).unwrap_err().code, "dots-in-path", "{dots}");
        }
    }

    #[test]
    fn dates_are_counted_from_1970() {
        let check =
            |text: &str, expected: Option<u64>| assert_eq!(http_date(text), expected, "{text}");
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777));
        check("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199));
        check("Sun, 22 Nov 2026 12:00:00 GMT", Some(1_795_348_800));
        check("Sun, 22 Now 2026 12:00:00 GMT", None);
        check("Sun, 99 Nov 2026 12:00:00 GMT", None);
        check("tomorrow", None);
    }

    #[test]
    fn retry_after_has_two_forms() {
        let response = |headers: &[(&str, &str)]| Response {
            status: 429,
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            body: Vec::new(),
        };
        let check = |headers: &[(&str, &str)], expected| {
            assert_eq!(response(headers).retry_after_ms(), expected, "{headers:?}");
        };
        check(&[], None);
        check(&[("Retry-After", "3")], Some(3_000));
        check(&[("retry-after", "-3")], None);
        check(&[("retry-after", "18446744073709551615")], None);
        check(&[("retry-after", "Sun, 22 Nov 2026 12:00:05 GMT")], None);
        let date = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
        check(&[("retry-after", "Sun, 22 Nov 2026 12:00:05 GMT"), date], Some(5_000));
        check(&[("retry-after", "Sun, 22 Nov 2026 11:00:05 GMT"), date], Some(0));
    }
}
