//! A request as it would leave, for people to look at.

use super::assemble::Assembled;
use super::grant::Grant;
use super::{EgressOptions, Forbidden};
use crate::http::{Header, Request};

/// A request that passed every check of the door, with `[secret NAME]` in place of each secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// For example `POST`.
    pub method: String,
    /// Where it would go.
    pub url: String,
    /// In their order, the host's own among them.
    pub headers: Vec<Header>,
    /// The body's octets.
    pub body: Vec<u8>,
}

impl Grant {
    /// What would leave if `request` were sent with these rights, by the same checks. Sends nothing and
    /// resolves no name.
    ///
    /// # Errors
    /// Why the door would not let it through.
    pub fn preview(&self, request: Request, options: &EgressOptions) -> Result<Preview, Forbidden> {
        let rights = self.rights();
        let assembled = Assembled::new(rights, request, options)?;
        let origin = assembled.target.origin.to_string();
        let (method, path, headers, body) = assembled.into_parts();
        let redactor = &rights.redactor;
        let headers = headers
            .iter()
            .map(|(name, value)| {
                Header::new(name.as_str(), redactor.redact_value(value.as_bytes()))
            })
            .collect();
        Ok(Preview {
            method,
            url: redactor.redact_value(format!("{origin}{path}").as_bytes()),
            headers,
            body: redactor.redact(body),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{Origin, Secrets};
    use crate::http::Credential;

    fn grant() -> Grant {
        let mut secrets = Secrets::default();
        secrets.insert("token", "hunter2hunter2").unwrap();
        Grant::of(vec![Origin::parse("https://acme.example").unwrap()], false, secrets, None)
    }

    fn request(url: &str) -> Request {
        Request {
            method: "POST".into(),
            url: url.into(),
            headers: vec![Header::new("content-type", "application/json")],
            body: br#"{"key":"{{secret:token}}"}"#.to_vec(),
            credential: Some(Credential::Basic {
                user: "AC1".into(),
                password_secret: "token".into(),
            }),
        }
    }

    #[test]
    fn what_would_leave_is_shown_without_its_secrets() {
        let url = "https://acme.example/v1?key={{secret:token}}";
        let preview = grant().preview(request(url), &EgressOptions::default()).unwrap();
        assert_eq!(preview.url, "https://acme.example/v1?key=[secret token]");
        assert_eq!(preview.body, br#"{"key":"[secret token]"}"#);
        let shown: Vec<_> =
            preview.headers.iter().map(|h| format!("{}: {}", h.name, h.value)).collect();
        assert!(shown.contains(&"host: acme.example".to_owned()), "{shown:?}");
        let login = shown.iter().find(|line| line.starts_with("authorization: ")).unwrap();
        assert!(login.contains("[secret token]"), "{login}");
        assert!(!format!("{preview:?}{shown:?}").contains("hunter2"));
    }

    #[test]
    fn what_may_not_leave_is_refused_here_too() {
        let refused = grant().preview(request("https://evil.example/"), &EgressOptions::default());
        assert!(matches!(refused, Err(Forbidden::Origin { .. })), "{refused:?}");
    }
}
