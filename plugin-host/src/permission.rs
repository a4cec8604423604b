//! What a plugin asks for, and somebody has to approve before it is installed.

use std::fmt;

use serde::Serialize;

use crate::manifest::named;
use crate::registry::PluginInfo;

/// One thing that a plugin asks for. Its `Display` form is what is kept of an approval, and so never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// To send to this origin.
    Origin(String),
    /// To send to the origin that this setting of a route names.
    OriginOfSetting(String),
    /// To have this secret put into its requests.
    Secret(String),
    /// To sign with its secrets.
    Sign,
    /// To be believed what its carrier reports without a signature.
    UnsignedWebhooks,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(origin) => write!(f, "origin {origin}"),
            Self::OriginOfSetting(setting) => write!(f, "origin {{{setting}}}"),
            Self::Secret(name) => write!(f, "secret {name}"),
            Self::Sign => f.write_str("sign"),
            Self::UnsignedWebhooks => f.write_str("unsigned-webhooks"),
        }
    }
}

impl PluginInfo {
    /// All that it asks for, sorted.
    pub fn permissions(&self) -> Vec<Permission> {
        let Some(manifest) = &self.manifest else { return Vec::new() };
        let origins = manifest.origins.iter().map(|origin| match named(origin) {
            Some(setting) => Permission::OriginOfSetting(setting.to_owned()),
            None => Permission::Origin(origin.clone()),
        });
        let secrets = manifest.secret_names().map(|name| Permission::Secret(name.to_owned()));
        let signs = self.imports.iter().any(|import| import == "sign").then_some(Permission::Sign);
        let unsigned = (self.webhook && manifest.has_unsigned_webhooks())
            .then_some(Permission::UnsignedWebhooks);
        let mut all: Vec<_> = origins.chain(secrets).chain(signs).chain(unsigned).collect();
        all.sort();
        all.dedup();
        all
    }
}
