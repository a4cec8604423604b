//! Cases as they stand in files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) type Map = BTreeMap<String, String>;

/// Why cases could not be run.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// The folder or a file cannot be read.
    #[error("read `{}`", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("the cases `{}` are not understood: {text}", .path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong, with line and column.
        text: String,
    },
    /// There is no `*.toml` in the folder.
    #[error("there are no cases in `{}`", .path.display())]
    None {
        /// Which.
        path: PathBuf,
    },
}

/// One file of cases.
#[derive(Debug)]
pub(crate) struct Cases<F> {
    pub(crate) name: String,
    pub(crate) content: F,
}

/// Every `*.toml` of the folder, in the order of their names.
pub(crate) fn read<F: DeserializeOwned>(
    folder: Option<&Path>,
) -> Result<Vec<Cases<F>>, CasesError> {
    let Some(folder) = folder else { return Ok(Vec::new()) };
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| CasesError::Read { path, source }
    };
    let mut paths = std::fs::read_dir(folder)
        .map_err(failed(folder))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, std::io::Error>>()
        .map_err(failed(folder))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(CasesError::None { path: folder.to_owned() });
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
        let content = toml::from_str(&text).map_err(|error| CasesError::Format {
            path: path.clone(),
            text: placed(&text, &error),
        })?;
        Ok(Cases { name: path.display().to_string(), content })
    };
    paths.into_iter().map(read).collect()
}

/// The parser's message behind its place, on one line.
fn placed(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message.to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {message}")
}

/// The cases of a carrier.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CarrierFile {
    /// Of every case that has none of its own.
    #[serde(default)]
    pub(crate) settings: Map,
    /// The same.
    #[serde(default)]
    pub(crate) secrets: Map,
    /// The same.
    #[serde(default)]
    pub(crate) message: Message,
    #[serde(rename = "case")]
    pub(crate) cases: Vec<CarrierCase>,
}

/// What goes into a carrier, and what must come out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CarrierCase {
    pub(crate) name: String,
    pub(crate) settings: Option<Map>,
    pub(crate) secrets: Option<Map>,
    /// What the plugin is told about the time, in seconds since 1970.
    #[serde(default)]
    pub(crate) now: i64,
    pub(crate) message: Option<Message>,
    pub(crate) question: Option<Asked>,
    /// Whether it is about fetching a token.
    #[serde(default)]
    pub(crate) fetch: bool,
    pub(crate) request: Option<ExpectedRequest>,
    pub(crate) refused: Option<ExpectedFailure>,
    pub(crate) response: Option<GivenResponse>,
    pub(crate) accepted: Option<ExpectedAccepted>,
    /// The carrier's ids of what was asked about; empty when it does not have it.
    pub(crate) found: Option<Vec<String>>,
    /// The token that must be found in the answer.
    pub(crate) token: Option<ExpectedToken>,
    pub(crate) failure: Option<ExpectedFailure>,
    pub(crate) hook: Option<GivenHook>,
    #[serde(default)]
    pub(crate) receipts: Vec<ExpectedReceipt>,
    #[serde(default)]
    pub(crate) inbound: Vec<ExpectedInbound>,
    /// The code of the rejection.
    pub(crate) rejected: Option<String>,
}

/// A message that is asked about. What it does not give is the message's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) reference: Option<String>,
    pub(crate) sender: Option<String>,
    pub(crate) recipient: Option<String>,
    #[serde(default)]
    pub(crate) attempted_at_ms: u64,
}

/// A token, and for how long it is good.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedToken {
    pub(crate) value: String,
    pub(crate) lifetime_seconds: Option<u64>,
}

/// A request that the carrier makes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenHook {
    #[serde(default = "post")]
    pub(crate) method: String,
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) headers: Map,
    #[serde(default)]
    pub(crate) body: String,
    /// Whether what proves it covers its body, which a secret that is merely repeated does not.
    #[serde(default = "yes")]
    pub(crate) signed: bool,
}

fn yes() -> bool {
    true
}

/// A report that must be heard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedReceipt {
    pub(crate) reference: Option<String>,
    pub(crate) carrier_reference: Option<String>,
    pub(crate) progress: String,
    pub(crate) code: Option<String>,
}

/// A contact's message that must be heard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedInbound {
    pub(crate) carrier_reference: String,
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) text: String,
}

/// A message to be sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Message {
    pub(crate) reference: String,
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) text: String,
    pub(crate) callback_url: Option<String>,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            reference: "0123456789abcdef0123456789abcdef-1-1".to_owned(),
            sender: "+12025550100".to_owned(),
            recipient: "+12025550123".to_owned(),
            text: "Your parcel arrives today".to_owned(),
            callback_url: None,
        }
    }
}

/// The request that a message must become.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedRequest {
    #[serde(default = "post")]
    pub(crate) method: String,
    pub(crate) url: String,
    /// Those that matter; others are allowed.
    #[serde(default)]
    pub(crate) headers: Map,
    pub(crate) form: Option<Vec<(String, String)>>,
    pub(crate) json: Option<serde_json::Value>,
    pub(crate) body: Option<String>,
    pub(crate) credential: Option<ExpectedCredential>,
}

fn post() -> String {
    "POST".to_owned()
}

/// How it must be authenticated.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExpectedCredential {
    Bearer(String),
    Basic { user: String, password_secret: String },
    Header { name: String, secret: String },
}

/// The failure that must come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedFailure {
    pub(crate) class: Class,
    pub(crate) code: String,
    /// Not compared when left out.
    pub(crate) text: Option<String>,
    pub(crate) retry_after_ms: Option<u64>,
    #[serde(default)]
    pub(crate) attributes: Map,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Throttled,
    Retryable,
    Permanent,
    Stopped,
    Uncertain,
}

/// An answer of the carrier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenResponse {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: Map,
    #[serde(default)]
    pub(crate) body: String,
}

/// That the carrier took the message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedAccepted {
    pub(crate) carrier_references: Vec<String>,
    #[serde(default)]
    pub(crate) attributes: Map,
}

/// The cases of a renderer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RendererFile {
    #[serde(rename = "case")]
    pub(crate) cases: Vec<RendererCase>,
}

/// A template, what it reads, and what it becomes for each contact.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RendererCase {
    pub(crate) name: String,
    pub(crate) template: String,
    pub(crate) fields: Option<Vec<String>>,
    pub(crate) problems: Option<Vec<ExpectedProblem>>,
    #[serde(default)]
    pub(crate) audience: Vec<Person>,
}

/// What is wrong with a template, and where; both count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedProblem {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) text: String,
}

/// One contact's fields, and the text or the error that they give.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    #[serde(default)]
    pub(crate) fields: Map,
    pub(crate) text: Option<String>,
    pub(crate) error: Option<ExpectedError>,
}

/// Why there is no text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedError {
    pub(crate) code: String,
    pub(crate) text: String,
}
