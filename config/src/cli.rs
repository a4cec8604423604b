//! What the operator's commands assume.

use serde::Deserialize;

/// What the operator's commands assume.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cli {
    /// The account that is meant when a command names none.
    #[serde(deserialize_with = "crate::layer::empty_is_none")]
    pub account: Option<String>,
}
