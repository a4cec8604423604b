//! What a carrier plugin says about itself. Read once, when it is loaded.

use dripline_domain::segment::SegmentRules;

use crate::message::{Attribute, Settings};

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
    /// How this carrier counts segments.
    pub segments: SegmentRules,
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
    /// A secret must never be written where plugins can read it.
    #[error("`{name}` of carrier `{carrier}` is a secret and may not be a plain setting")]
    SecretAsSetting {
        /// The carrier's name.
        carrier: String,
        /// The setting.
        name: String,
    },
}

impl Manifest {
    /// The names of the secrets it may use.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter(|s| s.secret).map(|s| s.name.as_str())
    }

    /// Checks a route's settings and the names of its secrets, and fills in defaults.
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
