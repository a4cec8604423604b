//! Test cases as data, run natively.
//!
//! A plugin's `cases/*.toml` say what goes in and what must come out. One test runs them all, and for
//! each of them also what every plugin must do:
//!
//! ```no_run
//! # use dripline_plugin_sdk::*;
//! # struct Acme;
//! # impl Carrier for Acme {
//! #     fn describe() -> Manifest { Manifest::new("acme", "1") }
//! #     fn send_request(_: &Settings, _: &Outgoing) -> Result<Request, Failure> {
//! #         Ok(Request::post("https://acme.example/"))
//! #     }
//! #     fn send_outcome(_: &Settings, r: &Response) -> Result<Accepted, Failure> {
//! #         Err(Failure::from_status(r))
//! #     }
//! # }
//! # // In a plugin this is `#[test] fn cases()`.
//! dripline_plugin_sdk::testing::carrier_cases::<Acme>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
//! ```
//!
//! # A carrier's cases
//! ```toml
//! [settings]                          # of every case in the file, unless it has its own
//! account = "12"
//!
//! [[case]]
//! name = "a message becomes one request"
//! message = { recipient = "+12025550123", text = "Hi" }   # the rest has defaults
//! request.url = "https://api.acme.example/messages"
//! request.headers = { content-type = "application/x-www-form-urlencoded" }
//! request.form = [["to", "+12025550123"], ["text", "Hi"]]  # or `json = {..}` or `body = ".."`
//! request.credential = { bearer = "token" }
//!
//! [[case]]
//! name = "a stopped recipient"
//! response = { status = 400, body = '{"error":"unsubscribed"}' }
//! failure = { class = "stopped", code = "unsubscribed" }
//! ```
//! Instead of `request`, `refused` is the failure of `send_request`; instead of `failure`,
//! `accepted = { carrier_references = [".."] }` is what the response means.
//!
//! A carrier that can be asked ([`lookup_cases`]) has cases with a `question`, whose `request` asks and
//! whose `response` means `found = ["id"]`, `found = []` (the carrier does not have it) or a `failure`:
//! ```toml
//! [[case]]
//! name = "the carrier has it"
//! question = { reference = "in5-7-1" }
//! response = { status = 200, body = '{"messages":[{"id":"m1"}]}' }
//! found = ["m1"]
//! ```
//! A carrier that fetches tokens ([`token_cases`]) has cases with `fetch = true`, whose `request` fetches one and whose
//! `response` has the `token`, read by the kit where the carrier says that it stands; or means a `failure`:
//! ```toml
//! [[case]]
//! name = "a token is fetched"
//! fetch = true
//! request.url = "https://api.acme.example/token"
//! request.form = [["grant_type", "client_credentials"]]
//! request.credential = { basic = { user = "12", password_secret = "client_secret" } }
//! response = { status = 200, body = '{"access_token":"t1","expires_in":3600}' }
//! token = { value = "t1", lifetime_seconds = 3600 }
//! ```
//! A carrier that reports ([`webhook_cases`]) has cases with a `hook`, at the time `now` in seconds since
//! 1970 and with the `secrets` of the case or of the file, which are the tests' own:
//! ```toml
//! [secrets]
//! signing_key = "for tests only"
//!
//! [[case]]
//! name = "a message arrived"
//! now = 1795348800
//! hook.url = "https://dripline.example/hooks/acme"
//! hook.headers = { x-acme-signature = "5f2c.." }
//! hook.body = '{"id":"m1","status":"delivered"}'
//! receipts = [{ carrier_reference = "m1", progress = "delivered" }]
//! inbound = []                        # or `rejected = "forged"` instead of both
//! ```
//!
//! For every case is checked as well: the same twice gives the same; the request goes to an origin of
//! the manifest, with secrets that the manifest declares and headers that are headers; no failure
//! quotes the recipient or the text; a response that is cut off or garbage makes no panic, and after a
//! 2xx is *uncertain*.
//!
//! # A renderer's cases
//! ```toml
//! [[case]]
//! name = "a default stands in"
//! template = 'Hi {{ name | default("there") }}'
//! fields = ["name"]                   # or `problems = [{ line = 1, column = 4, text = ".." }]`
//! audience = [
//!     { fields = { name = "Zoë" }, text = "Hi Zoë" },
//!     { fields = {}, text = "Hi there" },           # or `error = { code = "..", text = ".." }`
//! ]
//! ```

mod carrier;
pub(crate) mod keyed;
mod lookup;
mod renderer;
mod token;
mod webhook;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Runs a carrier's cases: every `*.toml` in the folder.
///
/// # Panics
/// When a case fails, naming every one that does; and when there is none.
pub fn carrier_cases<C: crate::Carrier>(folder: impl AsRef<Path>) {
    run(folder.as_ref(), carrier::run::<C>);
}

/// Runs the cases of a carrier that can be asked: those with a `question`.
///
/// # Panics
/// When a case fails, naming every one that does; and when there is none.
pub fn lookup_cases<L: crate::Lookup>(folder: impl AsRef<Path>) {
    run(folder.as_ref(), lookup::run::<L>);
}

/// Runs the cases of a carrier that fetches tokens: those with `fetch = true`.
///
/// # Panics
/// When a case fails, naming every one that does; and when there is none.
pub fn token_cases<T: crate::Carrier + crate::Token>(folder: impl AsRef<Path>) {
    run(folder.as_ref(), token::run::<T>);
}

/// Runs the cases of a carrier that reports: those with a `hook`.
///
/// # Panics
/// When a case fails, naming every one that does; and when there is none.
pub fn webhook_cases<W: crate::Carrier + crate::Webhook>(folder: impl AsRef<Path>) {
    run(folder.as_ref(), webhook::run::<W>);
}

/// Runs a renderer's cases: every `*.toml` in the folder.
///
/// # Panics
/// When a case fails, naming every one that does; and when there is none.
pub fn renderer_cases<R: crate::Renderer>(folder: impl AsRef<Path>) {
    run(folder.as_ref(), renderer::run::<R>);
}

/// The name of a case and what is wrong with it.
type Failed = (String, String);

fn run<F: DeserializeOwned>(folder: &Path, run: impl Fn(&F) -> (usize, Vec<Failed>)) {
    let listing = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("read the folder `{}`: {error}", folder.display()));
    let paths = listing.map(|entry| entry.expect("an entry of a folder that is there").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
    files.sort();
    let (mut count, mut report) = (0, String::new());
    for path in files {
        let name = path.display();
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("read the cases `{name}`: {error}"));
        let file = toml::from_str(&text)
            .unwrap_or_else(|error| panic!("the cases `{name}` are not understood: {error}"));
        let (cases, failed) = run(&file);
        count += cases;
        for (case, reason) in failed {
            let _ = writeln!(report, "{name}: {case}: {reason}");
        }
    }
    assert!(count > 0, "there are no cases in `{}`", folder.display());
    assert!(report.is_empty(), "cases failed:\n{report}");
}

/// Fails with both values when they differ.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is\n  {found:?}\nand should be\n  {expected:?}"))
}
