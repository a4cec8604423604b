//! One layer: settings of one origin, each with its place, checked against the schema.

use std::net::SocketAddr;
use std::path::PathBuf;

use config::{Map, Source, Value, ValueKind};
use serde::{Deserialize, Deserializer};

use crate::database::DatabaseUrl;
use crate::error::{Place, Problem};
use crate::schema::{Allowed, Rule};
use crate::secret::SecretReference;
use crate::webhooks::PublicUrl;

/// One setting in one layer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: &'static str,
    pub(crate) value: Scalar,
    pub(crate) place: Place,
}

/// What settings are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Whole(i64),
    Text(String),
}

/// Settings of one origin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    pub(crate) entries: Vec<Entry>,
}

impl Layer {
    /// Adds a setting, or says why its value cannot stand there. `shown` is the value as it was
    /// written.
    pub(crate) fn add(
        &mut self,
        rule: &'static Rule,
        value: Option<Scalar>,
        place: Place,
        shown: &str,
    ) -> Result<(), Problem> {
        let value = match value {
            Some(value) if fits(&rule.allowed, &value) => value,
            _ => return Err(bad_value(rule, place, shown)),
        };
        let has_password = |text: &str| DatabaseUrl::parse(text).is_ok_and(|u| u.has_password());
        if let (Allowed::Url, Place::File { .. }, Scalar::Text(text)) =
            (&rule.allowed, &place, &value)
            && has_password(text)
        {
            let text = "contains a password, which must not stand in a file; set DATABASE_URL, or \
                        write `env:NAME` or `file:/path`";
            return Err(Problem::Unfit { key: rule.key.to_owned(), place, text: text.to_owned() });
        }
        self.entries.push(Entry { key: rule.key, value: absolute(rule, value, &place), place });
        Ok(())
    }
}

fn fits(allowed: &Allowed, value: &Scalar) -> bool {
    match (allowed, value) {
        (Allowed::Whole(range), Scalar::Whole(number)) => range.contains(number),
        (Allowed::OneOf(words), Scalar::Text(text)) => words.contains(&text.as_str()),
        (Allowed::Url, Scalar::Text(text)) => {
            text.is_empty()
                || DatabaseUrl::parse(text).is_ok()
                || text.parse::<SecretReference>().is_ok()
        }
        (Allowed::Listen, Scalar::Text(text)) => {
            text.is_empty() || text.parse::<SocketAddr>().is_ok()
        }
        (Allowed::PublicUrl, Scalar::Text(text)) => {
            text.is_empty() || text.parse::<PublicUrl>().is_ok()
        }
        (Allowed::Text | Allowed::Path, Scalar::Text(text)) => !text.contains('\0'),
        _ => false,
    }
}

fn bad_value(rule: &Rule, place: Place, shown: &str) -> Problem {
    let value = match rule.allowed {
        Allowed::Url => "something else, not shown since it may hold a password".to_owned(),
        _ => shown.to_owned(),
    };
    Problem::BadValue { key: rule.key.to_owned(), place, value, allowed: rule.allowed.to_string() }
}

/// A relative path in a file is meant from the file's directory, wherever the program was started.
fn absolute(rule: &Rule, value: Scalar, place: &Place) -> Scalar {
    match (&rule.allowed, place, value) {
        (Allowed::Path, Place::File { path, .. }, Scalar::Text(text)) if !text.is_empty() => {
            let directory = path.parent().map(PathBuf::from).unwrap_or_default();
            // Both parts came from UTF-8 or are kept as they are when they cannot be joined as text.
            let joined = directory.join(&text).into_os_string().into_string();
            Scalar::Text(joined.unwrap_or(text))
        }
        (_, _, value) => value,
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let value = |entry: &Entry| {
            let kind = match &entry.value {
                Scalar::Whole(number) => ValueKind::I64(*number),
                Scalar::Text(text) => ValueKind::String(text.clone()),
            };
            Value::new(Some(&entry.place.to_string()), kind)
        };
        Ok(self.entries.iter().map(|entry| (entry.key.to_owned(), value(entry))).collect())
    }
}

/// In the file a setting always has a value; an empty one means that nothing is set.
pub(crate) fn empty_is_none<'de, D: Deserializer<'de>, T: From<String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| T::from(text)))
}

/// The same for a number.
pub(crate) fn zero_is_none<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default + PartialEq>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let number = T::deserialize(deserializer)?;
    Ok((number != T::default()).then_some(number))
}
