//! The environment layer: `DRIPLINE__SECTION__KEY`, and two short names.

use std::ffi::OsString;

use crate::error::{Place, Problem};
use crate::layer::{Layer, Scalar};
use crate::schema::{self, Allowed, Rule};

const PREFIX: &str = "DRIPLINE__";

/// Short names. The long name of the same setting wins over them.
const SHORT_NAMES: [(&str, &str); 2] =
    [("DATABASE_URL", "database.url"), ("DRIPLINE_STATE_DIR", "state_dir")];

/// The variables of a process, as far as anything here asks for them.
#[derive(Debug)]
pub(crate) struct Environment(Vec<(String, OsString)>);

impl Environment {
    pub(crate) fn new<K: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let text = |name: K| name.into().into_string().ok();
        // A name that is not UTF-8 is none of ours.
        Self(pairs.into_iter().filter_map(|(n, v)| Some((text(n)?, v.into()))).collect())
    }

    /// The value of a variable, if it is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&OsString> {
        let variable = self.0.iter().find(|(known, _)| known == name);
        variable.map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// The settings among the variables.
    pub(crate) fn read(&self) -> Result<Layer, Vec<Problem>> {
        let mut layer = Layer::default();
        let mut problems = Vec::new();
        for (name, key) in SHORT_NAMES {
            if let (Some(value), Some(rule)) = (self.get(name), schema::find(key)) {
                problems.extend(add(&mut layer, rule, name, value).err());
            }
        }
        // The order of an environment means nothing; that of messages should be stable.
        let mut ours: Vec<_> = self.0.iter().filter(|(n, _)| n.starts_with(PREFIX)).collect();
        ours.sort();
        for (name, value) in ours {
            match schema::find(&key_of(name)) {
                Some(rule) => problems.extend(add(&mut layer, rule, name, value).err()),
                None => problems.push(unknown(name)),
            }
        }
        if problems.is_empty() { Ok(layer) } else { Err(problems) }
    }
}

fn key_of(name: &str) -> String {
    name[PREFIX.len()..].replace("__", ".").to_ascii_lowercase()
}

fn name_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

fn unknown(name: &str) -> Problem {
    let key = key_of(name);
    let nearest = schema::nearest(&key).map(name_of);
    Problem::UnknownKey { key, place: Place::Environment(name.to_owned()), nearest }
}

fn add(
    layer: &mut Layer,
    rule: &'static Rule,
    name: &str,
    value: &OsString,
) -> Result<(), Problem> {
    let text = value.to_str();
    let scalar = match (&rule.allowed, text) {
        (_, None) => None,
        (Allowed::Whole(_), Some(text)) => text.trim().parse().ok().map(Scalar::Whole),
        (_, Some(text)) => Some(Scalar::Text(text.to_owned())),
    };
    let shown = format!("{:?}", value.to_string_lossy());
    layer.add(rule, scalar, Place::Environment(name.to_owned()), &shown)
}
