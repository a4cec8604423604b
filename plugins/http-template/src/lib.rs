//! The carrier `http-template`: a carrier by configuration alone, for gateways that take one HTTP request for one
//! message.
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `url` | where to; placeholders may stand in its path and query |
//! | `method` | `POST` (the default), `PUT`, `PATCH` or `GET` |
//! | `body` | the body, with placeholders; none with `GET` |
//! | `content_type` | of the body: `application/json` (the default), `application/x-www-form-urlencoded`, `text/plain` or `application/xml` |
//! | `headers` | further headers, one a line: `X-Api-Version: 2` |
//! | `authorization` | `bearer` and `basic` with `user` use the secret `password`; `none` is the default |
//! | `user` | for `basic` |
//! | `password` | a secret; as `{{secret:password}}` it may stand in the URL, a header or the body as well |
//! | `id_path` | where a JSON answer has the message's id: a JSON pointer (RFC 6901). Without it, the whole answer is the id |
//! | `code_path` | where a JSON answer has an error's code |
//! | `stopped_codes`, `permanent_codes`, `throttled_codes`, `route_codes` | what codes mean, separated by commas |
//!
//! # Placeholders
//! `{{to}}` (E.164), `{{to_digits}}` (without the plus), `{{from}}`, `{{from_digits}}`, `{{text}}`, `{{reference}}` and
//! `{{callback_url}}`. Their values are escaped for where they stand: in a URL and a form by percent signs, in JSON and
//! XML as these want it inside quotes and between tags. No value can break out of its place.
//!
//! # Facts that shape it
//! * Nothing is known of the gateway, so that the class is *lost*.
//! * A 2xx without an id that can be read is *uncertain*, also when it has a code that is not listed: it may have been
//!   sent.

mod answer;
mod template;

use dripline_plugin_sdk::{
    Accepted, Carrier, DuplicateClass, Failure, Manifest, Outgoing, Request, Response, Setting,
    Settings, export_carrier,
};

use template::{Escape, Values};

/// The carrier.
pub struct HttpTemplate;

impl Carrier for HttpTemplate {
    fn describe() -> Manifest {
        Manifest::new("http-template", env!("CARGO_PKG_VERSION"))
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
                        "text/plain",
                        "application/xml",
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
            .setting(Setting::optional("code_path", "Where the answer has an error's code."))
            .setting(Setting::optional("stopped_codes", "Codes of recipients who opted out."))
            .setting(Setting::optional("permanent_codes", "Codes of messages that are refused."))
            .setting(Setting::optional("throttled_codes", "Codes that ask to come back later."))
            .setting(Setting::optional("route_codes", "Codes that concern the account."))
            .origin("{url}")
            .duplicates(DuplicateClass::Lost)
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let values = Values::of(message);
        let fill = |name: &'static str, text: &str, escape: Escape| {
            values.fill(text, escape).map_err(|unknown| {
                let text = format!("`{name}` has the placeholder `{unknown}`, which there is not");
                Failure::retryable("unknown-placeholder", text).about_route()
            })
        };
        let method = settings.get_or("method", "POST");
        let url = fill("url", settings.require("url")?, Escape::Percent)?;
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
            request.body = fill("body", body, Escape::of(content_type))?.into_bytes();
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

export_carrier!(HttpTemplate);
