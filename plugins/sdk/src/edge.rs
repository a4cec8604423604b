//! Where plain Rust meets the component model. The only part that exists in components alone.

use std::marker::PhantomData;

use crate::{Atom, DuplicateClass, FailureClass, log};

#[expect(missing_docs, clippy::pedantic, reason = "generated code")]
pub mod carrier_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "carrier-plugin",
        pub_export_macro: true,
        default_bindings_module: "dripline_plugin_sdk::edge::carrier_world",
    });
}

#[expect(missing_docs, clippy::pedantic, reason = "generated code")]
pub mod renderer_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "renderer-plugin",
        pub_export_macro: true,
        default_bindings_module: "dripline_plugin_sdk::edge::renderer_world",
    });
}

#[expect(missing_docs, clippy::pedantic, reason = "generated code")]
pub mod lookup_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "lookup-plugin",
        pub_export_macro: true,
        default_bindings_module: "dripline_plugin_sdk::edge::lookup_world",
        with: {
            "dripline:plugin/http@0.1.2": super::carrier_world::dripline::plugin::http,
            "dripline:plugin/carrier-types@0.1.2": super::carrier_world::dripline::plugin::carrier_types,
        },
    });
}

#[expect(missing_docs, clippy::pedantic, reason = "generated code")]
pub mod token_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "token-plugin",
        pub_export_macro: true,
        default_bindings_module: "dripline_plugin_sdk::edge::token_world",
        with: {
            "dripline:plugin/http@0.1.2": super::carrier_world::dripline::plugin::http,
            "dripline:plugin/carrier-types@0.1.2": super::carrier_world::dripline::plugin::carrier_types,
        },
    });
}

#[expect(missing_docs, clippy::pedantic, reason = "generated code")]
pub mod webhook_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "webhook-plugin",
        pub_export_macro: true,
        default_bindings_module: "dripline_plugin_sdk::edge::webhook_world",
        with: {
            "dripline:plugin/http@0.1.2": super::carrier_world::dripline::plugin::http,
            "dripline:plugin/carrier-types@0.1.2": super::carrier_world::dripline::plugin::carrier_types,
        },
    });
}

#[expect(missing_docs, clippy::pedantic, reason = "generated code")]
pub mod imports_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "carrier-imports",
        default_bindings_module: "dripline_plugin_sdk::edge::imports_world",
    });
}

use carrier_world::dripline::plugin::carrier_types as types;
use carrier_world::dripline::plugin::http;
use carrier_world::exports::dripline::plugin::carrier as carrier_export;
use lookup_world::exports::dripline::plugin::lookup as lookup_export;
use renderer_world::exports::dripline::plugin::renderer as renderer_export;
use token_world::exports::dripline::plugin::token as token_export;
use webhook_world::exports::dripline::plugin::webhook as webhook_export;

pub(crate) fn log(level: log::Level, message: &str) {
    use carrier_world::dripline::plugin::log::{Level, write};
    let level = match level {
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    };
    write(level, message);
}

impl From<crate::Hash> for imports_world::dripline::plugin::sign::Hash {
    fn from(hash: crate::Hash) -> Self {
        match hash {
            crate::Hash::Sha1 => Self::Sha1,
            crate::Hash::Sha256 => Self::Sha256,
        }
    }
}

/// Exports `C` as the interface `carrier`.
pub struct CarrierEdge<C>(PhantomData<C>);

impl<C: crate::Carrier + 'static> carrier_export::Guest for CarrierEdge<C> {
    fn describe() -> types::Manifest {
        let manifest = C::describe();
        types::Manifest {
            name: manifest.name,
            version: manifest.version,
            settings: manifest.settings.into_iter().map(setting_schema).collect(),
            origins: manifest.origins,
            duplicates: match manifest.duplicates {
                DuplicateClass::Key => types::DuplicateClass::Key,
                DuplicateClass::Query => types::DuplicateClass::Query,
                DuplicateClass::Lost => types::DuplicateClass::Lost,
            },
            segments: types::SegmentRules {
                gsm7_single: manifest.segments.gsm7_single,
                gsm7_multi: manifest.segments.gsm7_multi,
                ucs2_single: manifest.segments.ucs2_single,
                ucs2_multi: manifest.segments.ucs2_multi,
                atom: match manifest.segments.atom {
                    Atom::CodePoint => types::Atom::CodePoint,
                    Atom::Grapheme => types::Atom::Grapheme,
                },
                max_segments: manifest.segments.max_segments,
            },
            attributes: attributes(manifest.attributes),
        }
    }

    fn send_request(
        settings: Vec<types::Setting>,
        message: types::Outgoing,
    ) -> Result<http::Request, types::Failure> {
        let message = crate::Outgoing {
            reference: message.reference,
            sender: message.sender,
            recipient: message.recipient.into(),
            text: message.text.into(),
            callback_url: message.callback_url,
        };
        C::send_request(&from_host(settings), &message).map(request).map_err(failure)
    }

    fn send_outcome(
        settings: Vec<types::Setting>,
        response: http::Response,
    ) -> Result<types::Accepted, types::Failure> {
        C::send_outcome(&from_host(settings), &answer(response)).map(accepted).map_err(failure)
    }
}

/// Exports `L` as the interface `lookup`.
pub struct LookupEdge<L>(PhantomData<L>);

impl<L: crate::Lookup + 'static> lookup_export::Guest for LookupEdge<L> {
    fn request(
        settings: Vec<types::Setting>,
        message: lookup_export::Question,
    ) -> Result<http::Request, types::Failure> {
        L::lookup_request(&from_host(settings), &question(message)).map(request).map_err(failure)
    }

    fn outcome(
        settings: Vec<types::Setting>,
        message: lookup_export::Question,
        response: http::Response,
    ) -> Result<Option<types::Accepted>, types::Failure> {
        L::lookup_outcome(&from_host(settings), &question(message), &answer(response))
            .map(|found| found.map(accepted))
            .map_err(failure)
    }
}

/// Exports `T` as the interface `token`.
pub struct TokenEdge<T>(PhantomData<T>);

impl<T: crate::Token + 'static> token_export::Guest for TokenEdge<T> {
    fn request(settings: Vec<types::Setting>) -> Result<http::Request, types::Failure> {
        T::token_request(&from_host(settings)).map(request).map_err(failure)
    }

    fn outcome(
        settings: Vec<types::Setting>,
        response: http::Response,
    ) -> Result<token_export::Place, types::Failure> {
        T::token_outcome(&from_host(settings), &answer(response))
            .map(|place| token_export::Place { value: place.value, expires_in: place.expires_in })
            .map_err(failure)
    }
}

/// Exports `W` as the interface `webhook`.
pub struct WebhookEdge<W>(PhantomData<W>);

impl<W: crate::Webhook + 'static> webhook_export::Guest for WebhookEdge<W> {
    fn parse(
        settings: Vec<types::Setting>,
        hook: webhook_export::Hook,
    ) -> Result<webhook_export::Heard, webhook_export::Rejection> {
        let hook = crate::Hook {
            method: hook.method,
            url: hook.url,
            headers: hook.headers.into_iter().map(|h| (h.name, h.value)).collect(),
            body: hook.body,
        };
        let heard = W::parse(&from_host(settings), &hook);
        heard.map(heard_of).map_err(|rejection| webhook_export::Rejection {
            code: rejection.code,
            text: rejection.text,
        })
    }
}

fn heard_of(heard: crate::Heard) -> webhook_export::Heard {
    let receipts = heard.receipts.into_iter().map(|receipt| webhook_export::Receipt {
        reference: receipt.reference,
        carrier_reference: receipt.carrier_reference,
        progress: match receipt.progress {
            crate::Progress::Queued => webhook_export::Progress::Queued,
            crate::Progress::Sent => webhook_export::Progress::Sent,
            crate::Progress::Delivered => webhook_export::Progress::Delivered,
            crate::Progress::Undelivered => webhook_export::Progress::Undelivered,
        },
        code: receipt.code,
        text: receipt.text,
        attributes: attributes(receipt.attributes),
    });
    let inbound = heard.inbound.into_iter().map(|inbound| webhook_export::Inbound {
        carrier_reference: inbound.carrier_reference,
        sender: inbound.sender.expose().to_owned(),
        recipient: inbound.recipient,
        text: inbound.text.expose().to_owned(),
        attributes: attributes(inbound.attributes),
    });
    webhook_export::Heard { receipts: receipts.collect(), inbound: inbound.collect() }
}

fn question(question: lookup_export::Question) -> crate::Question {
    crate::Question {
        reference: question.reference,
        sender: question.sender,
        recipient: question.recipient.into(),
        attempted_at_ms: question.attempted_at_ms,
    }
}

fn answer(response: http::Response) -> crate::Response {
    crate::Response {
        status: response.status,
        headers: response.headers.into_iter().map(|h| (h.name, h.value)).collect(),
        body: response.body,
    }
}

fn accepted(accepted: crate::Accepted) -> types::Accepted {
    types::Accepted {
        carrier_references: accepted.carrier_references,
        attributes: attributes(accepted.attributes),
    }
}

fn from_host(settings: Vec<types::Setting>) -> crate::Settings {
    settings.into_iter().map(|setting| (setting.name, setting.value)).collect()
}

fn setting_schema(setting: crate::Setting) -> types::SettingSchema {
    types::SettingSchema {
        name: setting.name,
        text: setting.text,
        required: setting.required,
        default: setting.default,
        secret: setting.secret,
    }
}

fn attributes(attributes: Vec<crate::Attribute>) -> Vec<types::Attribute> {
    attributes.into_iter().map(|a| types::Attribute { name: a.name, value: a.value }).collect()
}

fn request(request: crate::Request) -> http::Request {
    let headers = request.headers.into_iter();
    http::Request {
        method: request.method,
        url: request.url,
        headers: headers.map(|(name, value)| http::Header { name, value }).collect(),
        body: request.body,
        credential: request.credential.map(|credential| match credential {
            crate::Credential::Bearer(secret) => http::Credential::Bearer(secret),
            crate::Credential::Basic { user, password_secret } => {
                http::Credential::Basic(http::Basic { user, password_secret })
            }
            crate::Credential::Header { name, secret } => {
                http::Credential::Header(http::SecretHeader { name, secret })
            }
        }),
    }
}

fn failure(failure: crate::Failure) -> types::Failure {
    types::Failure {
        class: match failure.class {
            FailureClass::Throttled => types::FailureClass::Throttled,
            FailureClass::Retryable => types::FailureClass::Retryable,
            FailureClass::Permanent => types::FailureClass::Permanent,
            FailureClass::Stopped => types::FailureClass::Stopped,
            FailureClass::Uncertain => types::FailureClass::Uncertain,
        },
        code: failure.code,
        text: failure.text,
        retry_after_ms: failure.retry_after_ms,
        attributes: attributes(failure.attributes),
    }
}

/// Exports `R` as the interface `renderer`.
pub struct RendererEdge<R>(PhantomData<R>);

impl<R: crate::Renderer + 'static> renderer_export::Guest for RendererEdge<R> {
    fn check(template: String) -> Result<Vec<String>, Vec<renderer_export::Problem>> {
        R::check(&template).map_err(|problems| {
            let problem = |p: crate::Problem| renderer_export::Problem {
                line: p.line,
                column: p.column,
                text: p.text,
            };
            problems.into_iter().map(problem).collect()
        })
    }

    fn render(
        template: String,
        audience: Vec<Vec<renderer_export::Field>>,
    ) -> Vec<Result<String, renderer_export::RenderError>> {
        let fields = |contact: Vec<renderer_export::Field>| {
            contact.into_iter().map(|field| (field.name, field.value)).collect()
        };
        let texts = R::render(&template, audience.into_iter().map(fields).collect());
        let error =
            |e: crate::RenderError| renderer_export::RenderError { code: e.code, text: e.text };
        texts.into_iter().map(|text| text.map_err(error)).collect()
    }
}
