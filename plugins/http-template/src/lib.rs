//! The carrier `http-template`: a carrier by configuration alone, for gateways that take one HTTP request for one
//! message.
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `url` | where to; placeholders may stand in its path and query |
//! | `method` | `POST` (the default), `PUT`, `PATCH` or `GET` |
//! | `body` | the body, with placeholders; none with `GET` |
//! | `content_type` | of the body: `application/json` (the default), `application/x-www-form-urlencoded`, `application/xml`, `text/xml` or `text/plain` |
//! | `headers` | further headers, one a line: `X-Api-Version: 2` |
//! | `authorization` | `bearer` and `basic` with `user` use the secret `password`; `none` is the default |
//! | `user` | for `basic` |
//! | `password` | a secret; as `{{secret:password}}` it may stand in the URL's query, a header or the body as well |
//! | `id_path` | where a JSON answer has the message's id: a JSON pointer (RFC 6901). Without it, the answer is one word, the id |
//! | `id_prefix` | without `id_path`: what an answer with an id begins with, such as `OK `; the id is the one word behind it, and any other answer has none. Without both, a word that begins like an error (`err`, `fail`, `invalid`, `nok`) is no id |
//! | `code_path` | where a JSON answer has an error's code |
//! | `stopped_codes`, `permanent_codes`, `throttled_codes`, `route_codes` | what codes mean, separated by commas |
//!
//! # Placeholders
//! `{{to}}` (E.164), `{{to_digits}}` (without the plus), `{{from}}`, `{{from_digits}}`, `{{text}}`, `{{reference}}` and
//! `{{callback_url}}`. Their values are escaped for where they stand: in a URL and a form by percent signs, in JSON and
//! XML as these want it inside quotes and between tags. No value can break out of its place. In a URL's path, where nothing
//! makes `.` and `..` safe, a message whose text is just that is refused.
//!
//! A secret is put in by the host, which escapes it in the same way, and refuses it where it cannot: in the URL's path, in
//! `text/plain`, which has no escapes, and in XML's comments, CDATA sections and the like.
//!
//! # What the gateway tells
//! Receipts on messages, and messages from contacts. With none of these settings nothing is heard.
//!
//! | name | |
//! |---|---|
//! | `hook_format` | where the fields of a report stand: in a body of `json` (the default), a body that is a `form`, or the URL's `query`. A `.._path` is accordingly a JSON pointer or a field's name |
//! | `hook_list_path` | where JSON has a list of reports, to whose items the other pointers then apply. A body that is a list is one anyway |
//! | `receipt_status_path` | where a report has the message's status |
//! | `receipt_id_path`, `receipt_reference_path` | where it has the gateway's id of the message, and our reference; one of them at least |
//! | `receipt_code_path` | where it has an error's code; without one, the status stands for it |
//! | `queued_statuses`, `sent_statuses`, `delivered_statuses`, `undelivered_statuses` | what statuses mean, separated by commas. One that is not listed says nothing |
//! | `inbound_id_path`, `inbound_from_path`, `inbound_text_path`, `inbound_to_path` | where a contact's message has what; all but the last are needed |
//! | `inbound_statuses` | statuses of contacts' messages; not needed where these have no status |
//!
//! Nothing is believed that is not proved:
//!
//! | name | |
//! |---|---|
//! | `hook_proof` | what the gateway gives: the `secret` itself, or its `hmac-sha1` or `hmac-sha256` |
//! | `hook_secret` | that secret |
//! | `hook_proof_in`, `hook_proof_at` | where: a `header` (the default), the URL's `query`, or a `field` of the report; and its name |
//! | `hook_proof_prefix` | what stands before it, such as `sha256=` or `Bearer` |
//! | `hook_signature` | how an HMAC is written: `hex` (the default) or `base64` |
//! | `hook_signed` | what is signed: `{{body}}` (the default), `{{url}}`, `{{header:NAME}}`, and any text between them |
//! | `unsigned_hooks` | `true` instead of all these: the gateway proves nothing, and the secret part of the callback's address is all that protects it |
//!
//! A secret proves who speaks and not what is said; an HMAC proves both. Neither says when: a report that somebody kept
//! is understood again, which tells nothing new, since a receipt never goes back and a message is known by its id.
//!
//! A mistake in any of these is found when a message is sent, or by `dripline route test` before.
//!
//! # Facts that shape it
//! * Nothing is known of the gateway, so that the class is *lost*, and texts may be in GSM-7 and UCS-2 and as long as 255
//!   segments.
//! * A 2xx without an id that can be read is *uncertain*, also when it has a code that is not listed: it may have been
//!   sent.

mod answer;
mod document;
mod hooks;
mod proof;
mod template;

use dripline_plugin_sdk::{
    Accepted, Carrier, DuplicateClass, Failure, Heard, Hook, Manifest, Outgoing, Rejection,
    Request, Response, Setting, Settings, Webhook, export_carrier, export_webhook,
};

use hooks::Hooks;
use template::{Escape, Values};

/// The carrier.
pub struct HttpTemplate;

impl Carrier for HttpTemplate {
    fn describe() -> Manifest {
        let manifest = Manifest::new("http-template", env!("CARGO_PKG_VERSION"))
            .setting(Setting::required(
                "url",
                "Where to send, with placeholders in path and query.",
            ))
            .setting(
                Setting::optional("method", "The request's method.")
                    .default("POST")
                    .one_of(&["POST", "PUT", "PATCH", "GET"]),
            )
            .setting(Setting::optional("body", "The body, with placeholders."))
            .setting(
                Setting::optional("content_type", "What the body is.")
                    .default("application/json")
                    .one_of(&[
                        "application/json",
                        "application/x-www-form-urlencoded",
                        "application/xml",
                        "text/xml",
                        "text/plain",
                    ]),
            )
            .setting(Setting::optional("headers", "Further headers, one a line, as `Name: value`."))
            .setting(
                Setting::optional("authorization", "How the secret `password` is given.")
                    .default("none")
                    .one_of(&["none", "bearer", "basic"]),
            )
            .setting(Setting::optional("user", "The user of `basic`."))
            .setting(Setting::optional_secret("password", "The gateway's password, key or token."))
            .setting(Setting::optional("id_path", "Where the answer has the id: a JSON pointer."))
            .setting(Setting::optional(
                "id_prefix",
                "Without `id_path`: what stands before the id in a plain answer, as `OK `.",
            ))
            .setting(Setting::optional("code_path", "Where the answer has an error's code."))
            .setting(Setting::optional("stopped_codes", "Codes of recipients who opted out."))
            .setting(Setting::optional("permanent_codes", "Codes of messages that are refused."))
            .setting(Setting::optional("throttled_codes", "Codes that ask to come back later."))
            .setting(Setting::optional("route_codes", "Codes that concern the account."))
            .origin("{url}")
            .duplicates(DuplicateClass::Lost);
        hooks::declare(manifest)
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let values = Values::of(message);
        let fill = |name: &'static str, text: &str, escape: Escape| {
            values.fill(text, escape).map_err(|unknown| {
                let text = format!("`{name}` has the placeholder `{unknown}`, which there is not");
                Failure::retryable("unknown-placeholder", text).about_route()
            })
        };
        // A mistake in these is found before the first report is lost to it.
        Hooks::of(settings)?;
        let method = settings.get_or("method", "POST");
        let url = fill("url", settings.require("url")?, Escape::Percent)?;
        if url.split('?').next().is_some_and(calls_for_secret) {
            return Err(misplaced("the path of `url`"));
        }
        if template::has_dots(&url) {
            // Either the text made them, or the route did, for every message.
            let others = values.with_text("x");
            let by_route = others.fill(settings.require("url")?, Escape::Percent);
            return Err(if by_route.is_ok_and(|url| !template::has_dots(&url)) {
                let text = "the text is only dots, which cannot be escaped in a URL's path";
                Failure::permanent("dots-in-path", text)
            } else {
                let text = "the path of `url` has a segment of only dots, which leads out of it";
                Failure::retryable("bad-setting", text).about_route()
            });
        }
        let mut request = Request::new(method, url);
        for line in settings.get_or("headers", "").lines().filter(|line| !line.trim().is_empty()) {
            let Some((name, value)) = line.split_once(':') else {
                let text = "`headers` has a line that is no `Name: value`";
                return Err(Failure::retryable("bad-header", text).about_route());
            };
            let value = fill("headers", value.trim(), Escape::Percent)?;
            request = request.header(name.trim().to_lowercase(), value);
        }
        if let Some(body) = settings.get("body").filter(|_| method != "GET") {
            let content_type = settings.get_or("content_type", "application/json");
            let body = fill("body", body, Escape::of(content_type))?;
            if content_type == "text/plain" && calls_for_secret(&body) {
                return Err(misplaced("a `body` of text/plain"));
            }
            request.body = body.into_bytes();
            request = request.header("content-type", content_type);
        }
        Ok(match settings.get_or("authorization", "none") {
            "bearer" => request.bearer("password"),
            "basic" => request.basic(settings.require("user")?, "password"),
            _ => request,
        })
    }

    fn send_outcome(settings: &Settings, response: &Response) -> Result<Accepted, Failure> {
        answer::read(settings, response)
    }
}

impl Webhook for HttpTemplate {
    fn parse(settings: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        match Hooks::of(settings)? {
            Some(hooks) => hooks.read(hook),
            None => Err(Rejection::new("not-set-up", "the route says nothing of reports")),
        }
    }
}

fn calls_for_secret(text: &str) -> bool {
    text.contains("{{secret:")
}

/// The host would refuse it as well, without knowing the settings' names.
fn misplaced(place: &str) -> Failure {
    let text = format!("{place} has a secret, which cannot be escaped there");
    Failure::retryable("misplaced-secret", text).about_route()
}

export_carrier!(HttpTemplate);
export_webhook!(HttpTemplate);
