//! Placeholders, and values escaped for where they stand.

use dripline_plugin_sdk::{Outgoing, http};

/// How a value is written so that it cannot leave its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// In a URL, a form or a header: by percent signs.
    Percent,
    /// Within the quotes of a JSON string.
    Json,
    /// Between XML's tags, or within the quotes of an attribute.
    Xml,
    /// Not at all.
    Plain,
}

impl Escape {
    /// What a body of this type needs.
    pub(crate) fn of(content_type: &str) -> Self {
        match content_type {
            "application/x-www-form-urlencoded" => Self::Percent,
            "application/xml" | "text/xml" => Self::Xml,
            "text/plain" => Self::Plain,
            _ => Self::Json,
        }
    }

    fn apply(self, value: &str) -> String {
        match self {
            Self::Percent => http::percent_encode(value),
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Xml => value
                .chars()
                // What XML cannot hold in any form is left out.
                .filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
                .fold(String::with_capacity(value.len()), |mut escaped, c| {
                    match c {
                        '&' => escaped.push_str("&amp;"),
                        '<' => escaped.push_str("&lt;"),
                        '>' => escaped.push_str("&gt;"),
                        '"' => escaped.push_str("&quot;"),
                        '\'' => escaped.push_str("&#39;"),
                        // Of these XML's readers would make a space or a line feed.
                        '\n' => escaped.push_str("&#10;"),
                        '\r' => escaped.push_str("&#13;"),
                        '\t' => escaped.push_str("&#9;"),
                        c => escaped.push(c),
                    }
                    escaped
                }),
            Self::Plain => value.to_owned(),
        }
    }
}

/// The values of one message.
pub(crate) struct Values<'a>([(&'static str, &'a str); 7]);

impl<'a> Values<'a> {
    pub(crate) fn of(message: &'a Outgoing) -> Self {
        let to = message.recipient.expose();
        Self([
            ("to", to),
            ("to_digits", to.trim_start_matches('+')),
            ("from", &message.sender),
            ("from_digits", message.sender.trim_start_matches('+')),
            ("text", message.text.expose()),
            ("reference", &message.reference),
            ("callback_url", message.callback_url.as_deref().unwrap_or_default()),
        ])
    }

    /// The same of a message that says something else.
    pub(crate) fn with_text(&self, text: &'a str) -> Self {
        Self(self.0.map(|(name, value)| (name, if name == "text" { text } else { value })))
    }

    /// The text with its placeholders filled in, once: a value is never looked at again. The host fills in the
    /// secrets. An unknown placeholder is the error.
    pub(crate) fn fill(&self, text: &str, escape: Escape) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            filled.push_str(before);
            let Some((name, after)) = after.split_once("}}") else {
                filled.push_str("{{");
                rest = after;
                continue;
            };
            let name = name.trim();
            if name.starts_with("secret:") {
                filled.extend(["{{", name, "}}"]);
            } else {
                let known = self.0.iter().find(|(known, _)| *known == name);
                let (_, value) = known.ok_or_else(|| format!("{{{{{name}}}}}"))?;
                filled.push_str(&escape.apply(value));
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Whether a URL's path has a segment of one or two dots. Who reads the URL takes such a segment away, and with two dots
/// the one before it as well; percent signs do not help, since `%2e` is read as a dot there.
pub(crate) fn has_dots(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    })
}
