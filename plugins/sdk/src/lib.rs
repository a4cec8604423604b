//! What a Dripline plugin is written with.
//!
//! A plugin is a WebAssembly component. It computes; it never acts: a [`Carrier`] says what HTTP
//! request would send a message and what a response means, and the host does the sending. A
//! [`Renderer`] turns a template and a contact's fields into a text. Neither has a network, files, a
//! clock or a secret; a secret is *named* in a [`Credential`], and the host inserts its value.
//!
//! Everything here is plain Rust and works natively, so that a plugin is tested by `cargo test`. Only
//! [`export_carrier!`], [`export_lookup!`], [`export_token!`], [`export_webhook!`] and [`export_renderer!`] know of
//! WebAssembly.
//!
//! # A carrier
//! ```
//! use dripline_plugin_sdk::*;
//! use serde::{Deserialize, Serialize};
//!
//! struct Acme;
//!
//! #[derive(Serialize)]
//! struct Send<'a> {
//!     from: &'a str,
//!     to: &'a str,
//!     text: &'a str,
//!     client_reference: &'a str,
//! }
//!
//! #[derive(Deserialize)]
//! struct Answer {
//!     #[serde(default)]
//!     message_id: String,
//!     #[serde(default)]
//!     error: String,
//! }
//!
//! impl Carrier for Acme {
//!     fn describe() -> Manifest {
//!         Manifest::new("acme", env!("CARGO_PKG_VERSION"))
//!             .setting(Setting::required("workspace", "The workspace's number, from Acme's console."))
//!             .setting(Setting::secret("api_key", "An API key that may send."))
//!             .origin("https://api.acme.example")
//!             .duplicates(DuplicateClass::Lost)
//!             .segments(SegmentRules { max_segments: 6, ..SegmentRules::default() })
//!     }
//!
//!     fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
//!         let workspace = http::path_segment(settings.require("workspace")?)?;
//!         let url = format!("https://api.acme.example/v1/{workspace}/messages");
//!         Ok(Request::post(url).bearer("api_key").json(&Send {
//!             from: &message.sender,
//!             to: message.recipient.expose(),
//!             text: message.text.expose(),
//!             client_reference: &message.reference,
//!         }))
//!     }
//!
//!     fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
//!         let answer = response.json::<Answer>();
//!         if response.is_success() {
//!             // What cannot be read may have been sent all the same.
//!             let id = answer?.message_id;
//!             return if id.is_empty() {
//!                 Err(Failure::uncertain("no-id", "Acme took the message and gave it no id"))
//!             } else {
//!                 Ok(Accepted::new(id))
//!             };
//!         }
//!         // Our own words: a carrier's often quote the recipient's number.
//!         Err(match answer.map(|answer| answer.error).as_deref() {
//!             Ok("unsubscribed") => Failure::stopped("unsubscribed", "the recipient opted out"),
//!             Ok("bad_number") => Failure::permanent("bad_number", "no such mobile number"),
//!             Ok("slow_down") => Failure::throttled("slow_down", "too many messages at once")
//!                 .retry_after_ms(response.retry_after_ms()),
//!             _ => Failure::from_status(response),
//!         })
//!     }
//! }
//!
//! export_carrier!(Acme);
//! ```
//!
//! `Cargo.toml` needs `crate-type = ["cdylib", "rlib"]`, and
//! `cargo build --release --target wasm32-wasip2` makes the component.
//!
//! # Tests
//! Cases are data; the feature `testing` runs them. See the module `testing`.
//!
//! # What is where
//! [`Carrier`] and [`Renderer`] are what a plugin implements, [`Lookup`], [`mod@token`] and [`Webhook`] what a carrier
//! may besides, with [`sign`] and [`verify`] for keyed hashes under secrets that are only named;
//! [`Manifest`] describes a carrier;
//! [`Request`], [`Response`] and [`http`] are HTTP as values; [`Failure`] says what went wrong;
//! [`Sensitive`] and [`redact`] keep people out of logs; [`mod@log`] is for the author's own lines.

mod carrier;
pub mod clock;
pub mod codes;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod edge;
pub mod encoding;
pub mod http;
pub mod log;
mod lookup;
mod manifest;
pub mod redact;
mod renderer;
mod settings;
pub mod sign;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
pub mod verify;
mod webhook;

pub use carrier::{Accepted, Attribute, Carrier, Failure, FailureClass, Outgoing};
pub use codes::{Code, Codes, Meaning};
pub use http::{Credential, Request, Response};
pub use lookup::{Lookup, Question};
pub use manifest::{Atom, DuplicateClass, Manifest, SegmentRules, Setting, TextEncoding};
pub use redact::Sensitive;
pub use renderer::{Fields, Problem, RenderError, Renderer};
pub use settings::Settings;
pub use sign::Hash;
pub use token::{TOKEN, Token, TokenPlace};
pub use webhook::{Heard, Hook, Inbound, Progress, Receipt, Rejection, Webhook};

/// Makes this crate's component a carrier. Once, in the crate's root.
#[macro_export]
macro_rules! export_carrier {
    ($carrier:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Edge = $crate::edge::CarrierEdge<$carrier>;
    $crate::edge::carrier_world::export!(Edge with_types_in $crate::edge::carrier_world);
        };
    };
}

/// Lets this crate's carrier be asked about messages. Once, beside [`export_carrier!`].
#[macro_export]
macro_rules! export_lookup {
    ($carrier:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Edge = $crate::edge::LookupEdge<$carrier>;
    $crate::edge::lookup_world::export!(Edge with_types_in $crate::edge::lookup_world);
        };
    };
}

/// Lets this crate's carrier have tokens fetched. Once, beside [`export_carrier!`].
#[macro_export]
macro_rules! export_token {
    ($carrier:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Edge = $crate::edge::TokenEdge<$carrier>;
    $crate::edge::token_world::export!(Edge with_types_in $crate::edge::token_world);
        };
    };
}

/// Lets this crate's carrier read what it is told afterwards. Once, beside [`export_carrier!`].
#[macro_export]
macro_rules! export_webhook {
    ($carrier:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Edge = $crate::edge::WebhookEdge<$carrier>;
    $crate::edge::webhook_world::export!(Edge with_types_in $crate::edge::webhook_world);
        };
    };
}

/// Makes this crate's component a renderer. Once, in the crate's root.
#[macro_export]
macro_rules! export_renderer {
    ($renderer:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Edge = $crate::edge::RendererEdge<$renderer>;
    $crate::edge::renderer_world::export!(Edge with_types_in $crate::edge::renderer_world);
        };
    };
}
