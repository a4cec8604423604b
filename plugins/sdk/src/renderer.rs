//! Renderers: a template and a contact's fields in, a text out.

use std::fmt;

/// A renderer plugin.
pub trait Renderer {
    /// The fields that a template reads, sorted, or what is wrong with it.
    ///
    /// # Errors
    /// Every problem found, in the order of their places.
    fn check(template: &str) -> Result<Vec<String>, Vec<Problem>>;

    /// One template for many contacts: prepare it once, then render each. The result has one entry
    /// per contact, in their order; one contact's error does not touch the others.
    fn render(template: &str, audience: Vec<Fields>) -> Vec<Result<String, RenderError>>;
}

/// The fields of one contact. `Debug` shows their names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value of a field, or `None` when the contact has none or has only blanks there: an empty
    /// cell of a list is a missing value, whatever the list's format makes of it.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        Some(found.1.as_str()).filter(|value| !value.trim().is_empty())
    }

    /// The names of all fields, also of blank ones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Problem {
    /// Counts from 1.
    pub line: u32,
    /// Counts from 1, in characters.
    pub column: u32,
    /// A lowercase fragment for the person who wrote the template.
    pub text: String,
}

/// Why a template could not be rendered for one contact. Never quotes the contact's fields.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct RenderError {
    /// For example `missing-field`.
    pub code: String,
    /// A lowercase fragment that names fields but never shows their values.
    pub text: String,
}

impl RenderError {
    /// An error with a code.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// The contact lacks a field that the template needs.
    pub fn missing_field(name: &str) -> Self {
        Self::new("missing-field", format!("the contact has no field `{name}`"))
    }
}
