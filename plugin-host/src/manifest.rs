//! What a carrier plugin says about itself. Read once, when it is loaded.

use std::fmt;
use std::time::Duration;

use dripline_domain::segment::TextRules;
use dripline_domain::throttle::Throttle;

use crate::message::{Attribute, Settings};
use crate::texts;

/// The attribute that says how long a carrier keeps a key.
pub(crate) const KEY_LIFETIME: &str = "key.lifetime-seconds";
pub(crate) const UNSIGNED: &str = "webhook.unsigned";

/// The attribute that says how long after a hand-over "we do not have it" is final.
pub(crate) const LOOKUP_FINAL_AFTER: &str = "lookup.final-after-seconds";

/// The attribute that says how a client is put into `Authorization: Basic` to fetch a token.
pub(crate) const TOKEN_CLIENT: &str = "token.client";

/// Its one value.
pub(crate) const FORM_ENCODED: &str = "form-encoded";

/// What holds where a manifest says nothing: longer than any carrier is known to think about a request.
const DEFAULT_FINAL_AFTER: Duration = Duration::from_mins(15);

/// What protects against a second copy when an attempt ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateClass {
    /// K: the carrier keeps an idempotency key.
    Key,
    /// Q: the carrier can be asked by our reference.
    Query,
    /// L: neither.
    Lost,
}

impl DuplicateClass {
    /// `K`, `Q` or `L`, as the documents call it.
    pub fn letter(self) -> char {
        match self {
            Self::Key => 'K',
            Self::Query => 'Q',
            Self::Lost => 'L',
        }
    }
}

/// One setting that a route must or may give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingSchema {
    /// For example `account_sid`.
    pub name: String,
    /// One sentence for the person who fills it in.
    pub text: String,
    /// The route is refused without it.
    pub required: bool,
    /// Used when the route says nothing.
    pub default: Option<String>,
    /// Its value stays in the host; the plugin only names it.
    pub secret: bool,
}

/// A carrier's description of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The same as the name it was loaded under.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// Settings and secrets that it takes.
    pub settings: Vec<SettingSchema>,
    /// Origins it talks to: `https://host[:port]`, or `{setting}`.
    pub origins: Vec<String>,
    /// What protects against duplicates.
    pub duplicates: DuplicateClass,
    /// Which texts this carrier takes, and how it counts their segments.
    pub texts: TextRules,
    /// Hints that the contract does not name, such as throttles.
    pub attributes: Vec<Attribute>,
}

/// Why a route's settings do not fit the plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A required setting, or a required secret, was not given.
    #[error("carrier `{carrier}` needs the {what} `{name}` ({text})", what = if *.secret { "secret" } else { "setting" })]
    Missing {
        /// The carrier's name.
        carrier: String,
        /// The setting.
        name: String,
        /// What the plugin says about it.
        text: String,
        /// Whether it belongs among the secrets.
        secret: bool,
    },
    /// The plugin knows no such setting.
    #[error("carrier `{carrier}` has no {what} `{name}`; it knows {known}", what = if *.secret { "secret" } else { "setting" })]
    Unknown {
        /// The carrier's name.
        carrier: String,
        /// The setting.
        name: String,
        /// Those that exist, for the message.
        known: String,
        /// Whether it stood among the secrets.
        secret: bool,
    },
    /// A value is not what the plugin says it must be.
    #[error("the setting `{name}` of carrier `{carrier}` is `{value}` and must be {wanted}")]
    Value {
        /// The carrier's name.
        carrier: String,
        /// The setting.
        name: String,
        /// What was given.
        value: String,
        /// What it must be.
        wanted: String,
    },
    /// A secret must never be written where plugins can read it.
    #[error("`{name}` of carrier `{carrier}` is a secret and may not be a plain setting")]
    SecretAsSetting {
        /// The carrier's name.
        carrier: String,
        /// The setting.
        name: String,
    },
}

/// What a setting's value must be. A manifest says so by the attribute `setting.NAME.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingKind {
    /// `origin`.
    Origin,
    /// `whole`: a whole number from 0.
    Whole,
    /// `one-of:a|b`.
    OneOf(Vec<String>),
}

impl SettingKind {
    /// What the attribute says; `None` when this host does not know it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "origin" => Some(Self::Origin),
            "whole" => Some(Self::Whole),
            _ => {
                let words = text.strip_prefix("one-of:")?.split('|').map(str::to_owned);
                Some(Self::OneOf(words.collect()))
            }
        }
    }

    pub(crate) fn admits(&self, value: &str) -> bool {
        match self {
            Self::Origin => crate::egress::Origin::parse(value).is_ok(),
            Self::Whole => value.parse::<u64>().is_ok(),
            Self::OneOf(words) => words.iter().any(|word| word == value),
        }
    }
}

/// As in "`x` is not {kind}".
impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin => f.write_str("an origin, `https://host[:port]`"),
            Self::Whole => f.write_str("a whole number from 0"),
            Self::OneOf(words) => write!(f, "one of {}", words.join(", ")),
        }
    }
}

impl Manifest {
    /// The names of the secrets it may use.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter(|s| s.secret).map(|s| s.name.as_str())
    }

    /// How long the carrier keeps our reference as a key, counted from the first request with it. `None`:
    /// it keeps none, or the plugin does not say for how long.
    pub fn key_lifetime(&self) -> Option<Duration> {
        let kept = self.duplicates == DuplicateClass::Key;
        kept.then(|| self.seconds(KEY_LIFETIME)).flatten()
    }

    /// How long after a hand-over the carrier's answer that it does not have a message is believed.
    /// Before, the request may still be on its way to its books.
    pub fn lookup_final_after(&self) -> Duration {
        self.seconds(LOOKUP_FINAL_AFTER).unwrap_or(DEFAULT_FINAL_AFTER)
    }

    /// What one sender may send at most, by the carrier's documentation. A hint for whoever adds a route; what is no
    /// number from 1 says nothing.
    pub fn documented_throttle(&self) -> Throttle {
        let limit = |name: &str| self.attribute(name).and_then(|value| value.parse().ok());
        Throttle {
            segments_per_second: limit("throttle.segments-per-second"),
            segments_per_day: limit("throttle.segments-per-day"),
        }
    }

    /// In what it sends texts, as words: `gsm7`, `ucs2`, and `smart` where the carrier may replace characters of UCS-2
    /// by GSM-7's that look alike, on which nothing here counts.
    pub fn encodings(&self) -> Vec<&'static str> {
        let is_smart = self.attribute(texts::ENCODINGS).is_some_and(texts::is_smart);
        texts::encoding_words(self.texts.encodings, is_smart)
    }

    /// Whether the carrier, at least on some routes, proves nothing of what it tells us.
    pub fn has_unsigned_webhooks(&self) -> bool {
        self.attribute(UNSIGNED).is_some_and(|value| value == "true" || named(value).is_some())
    }

    /// Whether it proves nothing on a route with these settings. One that may prove it or not names a setting, which
    /// the route has to turn on.
    pub fn believes_unsigned(&self, settings: &Settings) -> bool {
        self.attribute(UNSIGNED).is_some_and(|value| match named(value) {
            Some(setting) => settings.get(setting).is_some_and(|value| value == "true"),
            None => value == "true",
        })
    }

    /// Whether id and secret of a client are form-encoded in `Authorization: Basic`, where a token is fetched.
    pub(crate) fn encodes_client(&self) -> bool {
        self.attribute(TOKEN_CLIENT) == Some(FORM_ENCODED)
    }

    pub(crate) fn setting_kind(&self, name: &str) -> Option<SettingKind> {
        SettingKind::parse(self.attribute(&format!("setting.{name}.type"))?)
    }

    fn seconds(&self, attribute: &str) -> Option<Duration> {
        let value = self.attribute(attribute)?;
        value.parse().ok().map(Duration::from_secs)
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|attribute| attribute.name == name)?;
        Some(&found.value)
    }

    /// The origins that it talks to with these complete settings, as far as they give them.
    pub fn origins_with(&self, settings: &Settings) -> Vec<String> {
        let expand = |origin: &String| match named(origin) {
            // A setting may be a URL with a path.
            Some(setting) => settings.get(setting).map(|value| {
                crate::egress::Origin::of_url(value).map_or(value.clone(), |o| o.to_string())
            }),
            None => Some(origin.clone()),
        };
        self.origins.iter().filter_map(expand).collect()
    }

    /// Checks a route's settings and the names of its secrets, and fills in defaults. An empty value counts
    /// as none, since forms and files often cannot tell the two apart.
    pub fn complete_settings<'a>(
        &self,
        given: &Settings,
        secrets: impl IntoIterator<Item = &'a str>,
    ) -> Result<Settings, SettingsError> {
        let secrets: Vec<&str> = secrets.into_iter().collect();
        let carrier = || self.name.clone();
        for name in given.keys() {
            match self.settings.iter().find(|s| s.name == *name) {
                None => return Err(self.unknown(name, false)),
                Some(schema) if schema.secret => {
                    return Err(SettingsError::SecretAsSetting {
                        carrier: carrier(),
                        name: name.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        for name in &secrets {
            if !self.settings.iter().any(|s| s.secret && s.name == *name) {
                return Err(self.unknown(name, true));
            }
        }
        let mut complete = given.clone();
        complete.retain(|_, value| !value.is_empty());
        for (name, value) in &complete {
            match self.setting_kind(name) {
                Some(kind) if !kind.admits(value) => {
                    return Err(SettingsError::Value {
                        carrier: carrier(),
                        name: name.clone(),
                        value: value.clone(),
                        wanted: kind.to_string(),
                    });
                }
                _ => {}
            }
        }
        for schema in &self.settings {
            let present = if schema.secret {
                secrets.contains(&schema.name.as_str())
            } else {
                complete.contains_key(&schema.name)
            };
            if present {
                continue;
            }
            match &schema.default {
                Some(default) if !schema.secret => {
                    complete.insert(schema.name.clone(), default.clone());
                }
                _ if schema.required => {
                    return Err(SettingsError::Missing {
                        carrier: carrier(),
                        name: schema.name.clone(),
                        text: schema.text.clone(),
                        secret: schema.secret,
                    });
                }
                _ => {}
            }
        }
        Ok(complete)
    }

    fn unknown(&self, name: &str, secret: bool) -> SettingsError {
        let known: Vec<String> = self
            .settings
            .iter()
            .filter(|s| s.secret == secret)
            .map(|s| format!("`{}`", s.name))
            .collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        SettingsError::Unknown { carrier: self.name.clone(), name: name.to_owned(), known, secret }
    }
}

/// The setting that an origin or an attribute names, as `{setting}`.
pub(crate) fn named(value: &str) -> Option<&str> {
    value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_setting_is_none() {
        let setting = |name: &str, default: Option<&str>| SettingSchema {
            name: name.to_owned(),
            text: String::new(),
            required: default.is_none(),
            default: default.map(str::to_owned),
            secret: false,
        };
        let manifest = Manifest {
            name: "acme".to_owned(),
            version: "1".to_owned(),
            settings: vec![setting("base", Some("https://acme.example")), setting("account", None)],
            origins: vec!["{base}".to_owned(), "https://other.example".to_owned()],
            duplicates: DuplicateClass::Lost,
            texts: TextRules::default(),
            attributes: vec![],
        };
        let settings = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let complete =
            manifest.complete_settings(&settings(&[("base", ""), ("account", "1")]), []).unwrap();
        assert_eq!(complete, settings(&[("base", "https://acme.example"), ("account", "1")]));
        assert_eq!(
            manifest.origins_with(&complete),
            ["https://acme.example", "https://other.example"]
        );
        let missing = manifest.complete_settings(&settings(&[("account", "")]), []);
        assert!(matches!(missing, Err(SettingsError::Missing { .. })), "{missing:?}");
    }

    #[test]
    fn a_documented_throttle_is_a_number_from_1() {
        let throttle = |second: &str, day: &str| {
            let attribute = |name: &str, value: &str| Attribute {
                name: format!("throttle.segments-per-{name}"),
                value: value.to_owned(),
            };
            let manifest = Manifest {
                name: "acme".to_owned(),
                version: "1".to_owned(),
                settings: vec![],
                origins: vec![],
                duplicates: DuplicateClass::Lost,
                texts: TextRules::default(),
                attributes: vec![attribute("second", second), attribute("day", day)],
            };
            let Throttle { segments_per_second, segments_per_day } = manifest.documented_throttle();
            (segments_per_second.map(u32::from), segments_per_day.map(u32::from))
        };
        assert_eq!(throttle("1", "2000"), (Some(1), Some(2_000)));
        assert_eq!(throttle("0", "-1"), (None, None));
        assert_eq!(throttle("many", ""), (None, None));
    }

    #[test]
    fn a_value_is_what_the_manifest_wants() {
        for (kind, good, bad) in [
            ("origin", "https://acme.example", "acme.example"),
            ("origin", "http://127.0.0.1:8080/", "https://acme.example/path"),
            ("whole", "0", "-1"),
            ("one-of:us|eu", "eu", "EU"),
        ] {
            let kind = SettingKind::parse(kind).expect("a kind");
            assert!(kind.admits(good), "{good}");
            assert!(!kind.admits(bad), "{bad}");
        }
        assert_eq!(SettingKind::parse("colour"), None);
    }
}
