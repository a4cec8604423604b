//! The settings of Dripline's programs: typed, layered and checked.
//!
//! Three layers, later ones winning: [`DEFAULTS`], one file, the environment. The first is also the
//! documentation. `schema` says what each key may be; every layer is checked against it on its own,
//! so that a mistake is reported where it stands, all mistakes at once. Then the `config` crate lays
//! the layers over each other and fills [`Settings`].
//!
//! To add a setting: write it, with a comment, into `default.toml`, add a line to `schema::RULES`
//! and a field to its section here.

mod cli;
mod database;
mod environment;
mod error;
mod file;
mod layer;
mod load;
mod plugins;
mod schema;
mod secret;
mod telemetry;
mod webhooks;
mod worker;

pub use cli::Cli;
pub use database::{Database, DatabaseUrl, Embedded, NotAPostgresUrl};
pub use error::{ConfigError, Place, Problem};
pub use load::{load, load_from};
pub use plugins::{PluginKindLimits, Plugins};
pub use secret::{NotASecretReference, Secret, SecretError, SecretReference};
pub use telemetry::{LogFormat, Telemetry};
pub use webhooks::{NotAPublicUrl, PublicUrl, Webhooks};
pub use worker::{Breaker, Retry, Worker};

use std::path::PathBuf;

use serde::Deserialize;

/// The built-in settings, with a comment for each.
pub const DEFAULTS: &str = include_str!("../default.toml");

/// All settings of a program, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where Dripline keeps what it needs between runs.
    pub state_dir: PathBuf,
    /// The PostgreSQL to use.
    pub database: Database,
    /// How the daemon works.
    pub worker: Worker,
    /// Where plugins are, and what they may use.
    pub plugins: Plugins,
    /// What is logged, and how.
    pub telemetry: Telemetry,
    /// What the operator's commands assume.
    pub cli: Cli,
}

impl Settings {
    /// The embedded Postgres' own directory.
    pub fn postgres_dir(&self) -> PathBuf {
        self.state_dir.join("postgres")
    }

    /// Where workers keep their journals.
    pub fn journal_dir(&self) -> PathBuf {
        self.state_dir.join("journal")
    }
}
