//! Calls to carriers: what request sends a message, and what an answer means.

use dripline_domain::segment::{Atom, SegmentRules};

use crate::bindings::carrier::CarrierPluginPre;
use crate::bindings::carrier::dripline::plugin::{carrier_types as wit, http as wire};
use crate::egress::placeholder::{calls_for_token, smuggles};
use crate::error::PluginError;
use crate::http::{Credential, Header, Request, Response};
use crate::limits::Limits;
use crate::manifest::{DuplicateClass, Manifest, SettingSchema};
use crate::message::{Accepted, Attribute, CallError, Failure, FailureClass, Outgoing, Settings};
use crate::registry::CarrierReady;
use crate::session::{Session, Setting};
use crate::state::State;
use crate::texts;

/// After so many failures in a row the rest of a batch is not tried. One that used up its time counts as
/// several, since it held up its neighbours.
pub(crate) const MOST_BUILD_FAILURES: u32 = 8;

/// The same for answers, of which each matters more: what cannot be read may be `unknown` for days.
pub(crate) const MOST_READ_FAILURES: u32 = 32;

/// What the plugin says about itself, unread: see [`manifest`].
pub(crate) fn describe(
    setting: Setting<'_>,
    pre: &CarrierPluginPre<State>,
) -> Result<wit::Manifest, PluginError> {
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    session
        .call("describe", "", |store, plugin| plugin.dripline_plugin_carrier().call_describe(store))
}

/// One request per message, in their order.
pub(crate) fn build_requests(
    setting: Setting<'_>,
    ready: &CarrierReady,
    settings: &Settings,
    messages: &[Outgoing],
) -> Vec<Result<Request, CallError>> {
    let (pre, has_token) = (&ready.carrier, ready.token.is_some());
    let settings = wit_settings(settings);
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    messages
        .iter()
        .map(|message| {
            let Outgoing { reference, sender, recipient, text, callback_url } = message;
            let texts = [reference, sender, recipient, text].into_iter().chain(callback_url);
            refuse_smuggling(texts, has_token)?;
            go_on(setting, &session, MOST_BUILD_FAILURES)?;
            let outgoing = wit::Outgoing {
                reference: &message.reference,
                sender: &message.sender,
                recipient: &message.recipient,
                text: &message.text,
                callback_url: message.callback_url.as_deref(),
            };
            let built = session.call("send-request", &message.reference, |store, plugin| {
                plugin.dripline_plugin_carrier().call_send_request(store, &settings, outgoing)
            })?;
            let request = built.map_err(|failure| CallError::Failure(failure_of(failure)))?;
            Ok(request_of(setting, request)?)
        })
        .collect()
}

/// One reading per answer, in their order.
pub(crate) fn read_responses(
    setting: Setting<'_>,
    pre: &CarrierPluginPre<State>,
    settings: &Settings,
    responses: &[Response],
) -> Vec<Result<Accepted, CallError>> {
    let settings = wit_settings(settings);
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    responses
        .iter()
        .map(|response| {
            go_on(setting, &session, MOST_READ_FAILURES)?;
            let headers = wit_headers(response);
            let answer =
                wire::Response { status: response.status, headers: &headers, body: &response.body };
            let read = session.call("send-outcome", "", |store, plugin| {
                plugin.dripline_plugin_carrier().call_send_outcome(store, &settings, answer)
            })?;
            match read {
                Ok(accepted) => Ok(accepted_of(accepted)),
                Err(failure) => Err(CallError::Failure(failure_of(failure))),
            }
        })
        .collect()
}

/// A contact's own words must not be able to call for a secret, nor for a token where the carrier has one, when
/// the plugin copies them into its request.
pub(crate) fn refuse_smuggling<'a>(
    texts: impl IntoIterator<Item = &'a String>,
    has_token: bool,
) -> Result<(), CallError> {
    if !texts.into_iter().any(|text| smuggles(text) || (has_token && calls_for_token(text))) {
        return Ok(());
    }
    Err(CallError::Failure(Failure {
        class: FailureClass::Permanent,
        code: "secret_placeholder".to_owned(),
        text: "the message holds a secret's placeholder".to_owned(),
        retry_after: None,
        attributes: Vec::new(),
    }))
}

/// Gives up on a plugin that has failed so often in a row.
pub(crate) fn go_on<P, I>(
    setting: Setting<'_>,
    session: &Session<'_, P, I>,
    most: u32,
) -> Result<(), PluginError>
where
    I: Fn(&mut wasmtime::Store<State>) -> wasmtime::Result<P>,
{
    if session.cost_in_a_row() < most {
        return Ok(());
    }
    let in_a_row = session.failures_in_a_row();
    Err(PluginError::Failing { plugin: setting.plugin.to_owned(), in_a_row })
}

pub(crate) fn wit_headers(response: &Response) -> Vec<wire::HeaderParam<'_>> {
    let headers = response.headers.iter();
    headers.map(|header| wire::HeaderParam { name: &header.name, value: &header.value }).collect()
}

pub(crate) fn accepted_of(accepted: wit::Accepted) -> Accepted {
    Accepted {
        carrier_references: accepted.carrier_references,
        attributes: attributes(accepted.attributes),
    }
}

pub(crate) fn wit_settings(settings: &Settings) -> Vec<wit::Setting<'_>> {
    settings.iter().map(|(name, value)| wit::Setting { name, value }).collect()
}

pub(crate) fn request_of(
    setting: Setting<'_>,
    request: wire::Request,
) -> Result<Request, PluginError> {
    let Limits { request_bytes: limit, .. } = *setting.limits;
    let head = request.url.len()
        + request.headers.iter().map(|h| h.name.len() + h.value.len()).sum::<usize>();
    for (what, actual) in [("request body", request.body.len()), ("request head", head)] {
        if actual > limit {
            let plugin = setting.plugin.to_owned();
            return Err(PluginError::TooLarge { plugin, what, limit, actual });
        }
    }
    let credential = request.credential.map(|credential| match credential {
        wire::Credential::Bearer(secret) => Credential::Bearer { secret },
        wire::Credential::Basic(basic) => {
            Credential::Basic { user: basic.user, password_secret: basic.password_secret }
        }
        wire::Credential::Header(header) => {
            Credential::Header { name: header.name, secret: header.secret }
        }
    });
    Ok(Request {
        method: request.method,
        url: request.url,
        headers: request.headers.into_iter().map(|h| Header::new(h.name, h.value)).collect(),
        body: request.body,
        credential,
    })
}

pub(crate) fn failure_of(failure: wit::Failure) -> Failure {
    Failure {
        class: match failure.class {
            wit::FailureClass::Throttled => FailureClass::Throttled,
            wit::FailureClass::Retryable => FailureClass::Retryable,
            wit::FailureClass::Permanent => FailureClass::Permanent,
            wit::FailureClass::Stopped => FailureClass::Stopped,
            wit::FailureClass::Uncertain => FailureClass::Uncertain,
        },
        code: failure.code,
        text: failure.text,
        retry_after: failure.retry_after_ms.map(std::time::Duration::from_millis),
        attributes: attributes(failure.attributes),
    }
}

pub(crate) fn attributes(attributes: Vec<wit::Attribute>) -> Vec<Attribute> {
    attributes.into_iter().map(|a| Attribute { name: a.name, value: a.value }).collect()
}

/// What the plugin has said about itself, or which part of it is not understood.
pub(crate) fn manifest(manifest: wit::Manifest) -> Result<Manifest, String> {
    let attributes = attributes(manifest.attributes);
    Ok(Manifest {
        name: manifest.name,
        version: manifest.version,
        settings: manifest
            .settings
            .into_iter()
            .map(|setting| SettingSchema {
                name: setting.name,
                text: setting.text,
                required: setting.required,
                default: setting.default,
                secret: setting.secret,
            })
            .collect(),
        origins: manifest.origins,
        duplicates: match manifest.duplicates {
            wit::DuplicateClass::Key => DuplicateClass::Key,
            wit::DuplicateClass::Query => DuplicateClass::Query,
            wit::DuplicateClass::Lost => DuplicateClass::Lost,
        },
        texts: texts::rules(segment_rules(manifest.segments), &attributes)?,
        attributes,
    })
}

fn segment_rules(rules: wit::SegmentRules) -> SegmentRules {
    SegmentRules {
        gsm7_single: rules.gsm7_single,
        gsm7_multi: rules.gsm7_multi,
        ucs2_single: rules.ucs2_single,
        ucs2_multi: rules.ucs2_multi,
        atom: match rules.atom {
            wit::Atom::CodePoint => Atom::CodePoint,
            wit::Atom::Grapheme => Atom::Grapheme,
        },
        max_segments: rules.max_segments,
    }
}
