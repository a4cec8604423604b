//! What a route tells its carrier.

use crate::Failure;

/// The settings of a route, without its secrets: those never enter a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// The value of a setting, or `None` when the route does not give one. An empty value counts as
    /// none, since forms and files often cannot tell the two apart.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of a setting, or the manifest's default for it.
    pub fn get_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.get(name).unwrap_or(default)
    }

    /// The value of a setting that the carrier cannot do without.
    ///
    /// # Errors
    /// A failure of the route, not of the message: see [`Failure::about_route`].
    pub fn require(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| {
            Failure::retryable("missing-setting", format!("the route does not set `{name}`"))
                .about_route()
        })
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(settings: I) -> Self {
        Self(settings.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
