//! What can be wrong with settings, and where.

use std::path::PathBuf;
use std::{fmt, io};

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The built-in settings.
    Default,
    /// A file, with line and column counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the built-in settings"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no such setting.
    #[error("unknown setting `{key}` in {place}{}", hint(.nearest.as_deref()))]
    UnknownKey {
        /// The key as it was understood, parts joined by points.
        key: String,
        /// Where it stands.
        place: Place,
        /// The known key, or variable, that was probably meant.
        nearest: Option<String>,
    },
    /// The value is of another kind, or out of range.
    #[error("`{key}` in {place} is {value}; {allowed} is needed")]
    BadValue {
        /// The setting.
        key: String,
        /// Where it stands.
        place: Place,
        /// What was found, as far as it may be shown.
        value: String,
        /// What may stand there.
        allowed: String,
    },
    /// The value is fine by itself, and not with another one or with the rules for secrets.
    #[error("`{key}` in {place} {text}")]
    Unfit {
        /// The setting.
        key: String,
        /// Where it stands.
        place: Place,
        /// What is wrong: the end of a sentence.
        text: String,
    },
    /// The file is not TOML.
    #[error("{place} is not valid TOML: {text}")]
    Syntax {
        /// Where reading failed.
        place: Place,
        /// Why.
        text: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Everything that is wrong, in the order of the layers.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state directory's default needs to know where the user's home is.
    #[error(
        "no state directory: set DRIPLINE_STATE_DIR, since neither XDG_STATE_HOME nor HOME is set"
    )]
    NoStateDirectory,
    /// The layers, each of which is right, make no settings. A mistake in this crate.
    #[error("the settings do not fit together")]
    Merge(#[source] config::ConfigError),
}

fn list(problems: &[Problem]) -> String {
    if let [problem] = problems {
        return problem.to_string();
    }
    let mut text = format!("{} settings are wrong:", problems.len());
    for problem in problems {
        text.push_str("\n  - ");
        text.push_str(&problem.to_string());
    }
    text
}
