//! The fields of what a gateway tells, wherever they stand.

use dripline_plugin_sdk::{Hook, Settings};
use serde_json::Value;

use crate::answer::word;
use crate::hooks::Mistake;

/// Where the fields stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// In a JSON body, under pointers (RFC 6901).
    Json,
    /// In a body as browsers send forms.
    Form,
    /// In the URL's query.
    Query,
}

impl Format {
    pub(crate) fn of(settings: &Settings) -> Self {
        match settings.get_or("hook_format", "json") {
            "form" => Self::Form,
            "query" => Self::Query,
            _ => Self::Json,
        }
    }

    /// That a setting, where it is given, names a field as this format does.
    pub(crate) fn check(self, settings: &Settings, name: &str) -> Result<(), Mistake> {
        let Some(path) = settings.get(name) else { return Ok(()) };
        match self {
            Self::Json if !path.starts_with('/') => {
                Err(Mistake(format!("`{name}` is no JSON pointer: it has to begin with a slash")))
            }
            // With a slash it was written for JSON, and would never be found.
            Self::Form | Self::Query if path.starts_with('/') => {
                Err(Mistake(format!("`{name}` is a JSON pointer, but `hook_format` is not `json`")))
            }
            _ => Ok(()),
        }
    }
}

/// What one request told.
pub(crate) enum Document {
    Json(Value),
    Pairs(Vec<(String, String)>),
}

/// The fields of one report.
#[derive(Clone, Copy)]
pub(crate) enum Fields<'a> {
    Json(&'a Value),
    Pairs(&'a [(String, String)]),
}

impl Document {
    /// `None` when the body is not what it should be.
    pub(crate) fn of(format: Format, hook: &Hook) -> Option<Self> {
        match format {
            Format::Json => hook.json().ok().map(Self::Json),
            Format::Form => Some(Self::Pairs(hook.form())),
            Format::Query => Some(Self::Pairs(hook.query())),
        }
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        match self {
            Self::Json(value) => Fields::Json(value),
            Self::Pairs(pairs) => Fields::Pairs(pairs),
        }
    }

    /// The reports: those of the list at `path`, or of the whole where it is a list, or the whole as the only one.
    pub(crate) fn items(&self, path: Option<&str>) -> Vec<Fields<'_>> {
        let Self::Json(value) = self else { return vec![self.fields()] };
        let found = path.map_or(Some(value), |path| value.pointer(path));
        match found {
            Some(Value::Array(items)) => items.iter().map(Fields::Json).collect(),
            Some(item) => vec![Fields::Json(item)],
            // As with an item that lacks what it must have.
            None => vec![Fields::Json(&Value::Null)],
        }
    }
}

impl Fields<'_> {
    /// The text or number of this name, the first of several.
    pub(crate) fn at(self, path: &str) -> Option<String> {
        match self {
            Self::Json(value) => word(value.pointer(path)?),
            Self::Pairs(pairs) => Some(pairs.iter().find(|(name, _)| name == path)?.1.clone()),
        }
    }
}
