//! Runs plugins: WebAssembly components that compute and never act.
//!
//! A *renderer* turns a template and a contact's fields into text. A *carrier* says what HTTP request
//! would send a message and what an answer means; this crate does the sending. So one attempt is one
//! request, secrets never enter a guest, and whether a failure came before or after the wire is
//! known.
//!
//! # Layout
//!
//! - [`PluginHost`] loads plugins and calls them, on threads of its own: `host`, over `engine` (the
//!   compiler and the clock), `registry` and `inspect` (what is checked before a plugin runs), `cache`
//!   (compiled code), `session` (one instance per batch), `renderer`, `carrier`, `lookup`,
//!   `token`, `webhook`, `wasi` (the neutral parts of WASI), `log`, `keyed` (signatures under secrets that are only named), `limits`, `deadline`, `cpu`.
//! - [`egress`] is the one door for HTTP: grants, secrets, addresses, redaction, and whether a byte
//!   was written.
//! - [`outcome`] decides what an attempt meant for its delivery.
//! - [`quote`] prices a workflow for an audience; `texts` reads what a manifest says of the texts that it takes.
//! - `testing` (feature) answers requests without a network.
//!
//! # How to
//!
//! - add a limit: a field of [`Limits`], the place that enforces it, a variant of [`PluginError`] that
//!   carries its numbers, and a hostile fixture in `plugins/fixtures/hostile`;
//! - add a host function for plugins: an interface in `plugins/wit`, an implementation beside `log`,
//!   and its functions' names in `inspect`, so that older hosts name what they lack;
//! - add an optional ability of carriers: an exported interface in `plugins/wit`; look it up by name
//!   when the plugin is loaded, and keep its index in `registry`;
//! - allow another WASI interface: see `wasi`.

mod bindings;
mod cache;
mod carrier;
mod cpu;
pub mod crash;
mod deadline;
pub mod egress;
mod engine;
mod error;
mod host;
mod http;
mod inspect;
mod keyed;
mod limits;
mod log;
mod lookup;
mod manifest;
mod message;
pub mod outcome;
mod permission;
pub mod quote;
mod registry;
mod renderer;
mod session;
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod texts;
mod token;
mod wasi;
mod webhook;

pub use cache::CacheError;
pub use dripline_domain::contact::Fields;
pub use error::{HostError, LoadError, PluginError};
pub use host::{HostOptions, PluginHost};
pub use http::{Credential, Header, Request, Response};
pub use limits::Limits;
pub use log::{LogKeeper, LogLine, Said};
pub use manifest::{DuplicateClass, Manifest, SettingSchema, SettingsError};
pub use message::{
    Accepted, Attribute, CallError, Failure, FailureClass, Outgoing, Question, Settings,
};
pub use permission::Permission;
pub use registry::{PluginInfo, PluginKind};
pub use renderer::{Problem, RenderCheckError, RenderError};
pub use token::{NoToken, Token, TokenError, TokenPlace};
pub use webhook::{Heard, Hook, HookError, Inbound, Receipt};
