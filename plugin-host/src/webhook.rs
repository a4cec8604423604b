//! Calls to carriers that report: what a request that they made to us tells.

use std::fmt;

use dripline_domain::receipt::ReceiptStatus;

use crate::bindings::webhook::WebhookPluginPre;
use crate::bindings::webhook::dripline::plugin::{carrier_types as types, http as wire};
use crate::bindings::webhook::exports::dripline::plugin::webhook as wit;
use crate::carrier::{MOST_READ_FAILURES, go_on};
use crate::egress::Redactor;
use crate::error::PluginError;
use crate::http::Header;
use crate::message::{Attribute, Settings};
use crate::outcome::{REASON_CHARS, masked};
use crate::session::{Session, Setting};
use crate::state::State;

/// A request that a carrier made to us, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// For example `POST`.
    pub method: String,
    /// The whole URL that the carrier called, with its query.
    pub url: String,
    /// In the order they came.
    pub headers: Vec<Header>,
    /// Whole, within the size limit of whoever received it.
    pub body: Vec<u8>,
}

/// Shows neither the query, which may hold a token, nor the headers, which may hold signatures.
impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("method", &self.method)
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What one request told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Reports on messages.
    pub receipts: Vec<Receipt>,
    /// Messages from contacts.
    pub inbound: Vec<Inbound>,
}

impl Heard {
    /// The same without secrets, to be kept: a carrier may repeat one to us, which a plugin then sees and may repeat in
    /// its turn, as a reason why a message did not arrive.
    #[must_use]
    pub fn redacted(mut self, redactor: &Redactor) -> Self {
        for receipt in &mut self.receipts {
            for said in [&mut receipt.code, &mut receipt.text].into_iter().flatten() {
                *said = redactor.redact_value(said.as_bytes());
            }
        }
        self
    }
}

/// What a carrier reports on one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Ours, where the carrier gives it back.
    pub reference: Option<String>,
    /// The carrier's own id of the message.
    pub carrier_reference: Option<String>,
    /// How far the message has come.
    pub status: ReceiptStatus,
    /// The carrier's code, when it did not arrive.
    pub code: Option<String>,
    /// One sentence, with what may be a phone number masked.
    pub text: Option<String>,
    /// Whatever else the plugin found.
    pub attributes: Vec<Attribute>,
}

/// A message from a contact.
#[derive(Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The carrier's own id of it, by which a second copy is known.
    pub carrier_reference: String,
    /// Whose, E.164.
    pub sender: String,
    /// To which of our numbers or names.
    pub recipient: String,
    /// What it says.
    pub text: String,
    /// Whatever else the plugin found.
    pub attributes: Vec<Attribute>,
}

/// Shows neither the sender nor the text.
impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("carrier_reference", &self.carrier_reference)
            .field("text_bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// Why nothing is believed of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// The plugin says that the request is not the carrier's, or that it is not understood.
    #[error("the request is rejected: {text} ({code})")]
    Rejected {
        /// For example `forged`.
        code: String,
        /// One sentence, with what may be a phone number masked.
        text: String,
    },
    /// The plugin believed it without having checked a signature.
    #[error("plugin `{plugin}` believed a request without checking its signature")]
    Unproved {
        /// The plugin.
        plugin: String,
    },
    /// The carrier reports nothing.
    #[error("plugin `{plugin}` reads no reports, since it exports no `webhook`")]
    NoWebhook {
        /// The plugin.
        plugin: String,
    },
    /// The plugin failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

impl HookError {
    /// The same without secrets, to be shown.
    #[must_use]
    pub fn redacted(self, redactor: &Redactor) -> Self {
        match self {
            Self::Rejected { code, text } => Self::Rejected {
                code: redactor.redact_value(code.as_bytes()),
                text: redactor.redact_value(text.as_bytes()),
            },
            other => other,
        }
    }
}

/// One reading per request, in their order.
pub(crate) fn read_hooks(
    setting: Setting<'_>,
    pre: Option<&WebhookPluginPre<State>>,
    unsigned: bool,
    settings: &Settings,
    hooks: &[Hook],
) -> Vec<Result<Heard, HookError>> {
    let plugin = || setting.plugin.to_owned();
    let Some(pre) = pre else {
        return hooks.iter().map(|_| Err(HookError::NoWebhook { plugin: plugin() })).collect();
    };
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| types::Setting { name: name.clone(), value: value.clone() })
        .collect();
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    hooks
        .iter()
        .map(|hook| {
            go_on(setting, &session, MOST_READ_FAILURES)?;
            let hook = hook_to(hook);
            let (read, proved) = session.call("webhook.parse", "", |store, plugin| {
                let webhook = plugin.dripline_plugin_webhook();
                let read = webhook.call_parse(&mut *store, &settings, &hook)?;
                Ok((read, store.data().keys.proved))
            })?;
            let heard = read.map_err(|rejection| HookError::Rejected {
                code: masked(&rejection.code, REASON_CHARS),
                text: masked(&rejection.text, REASON_CHARS),
            })?;
            if !proved && !unsigned {
                return Err(HookError::Unproved { plugin: plugin() });
            }
            Ok(heard_of(heard))
        })
        .collect()
}

fn hook_to(hook: &Hook) -> wit::Hook {
    let headers = hook.headers.iter();
    let header =
        |header: &Header| wire::Header { name: header.name.clone(), value: header.value.clone() };
    wit::Hook {
        method: hook.method.clone(),
        url: hook.url.clone(),
        headers: headers.map(header).collect(),
        body: hook.body.clone(),
    }
}

fn attributes(attributes: Vec<types::Attribute>) -> Vec<Attribute> {
    attributes.into_iter().map(|a| Attribute { name: a.name, value: a.value }).collect()
}

fn heard_of(heard: wit::Heard) -> Heard {
    let receipts = heard.receipts.into_iter().map(|receipt| Receipt {
        reference: receipt.reference,
        carrier_reference: receipt.carrier_reference,
        status: match receipt.progress {
            wit::Progress::Queued => ReceiptStatus::Queued,
            wit::Progress::Sent => ReceiptStatus::Sent,
            wit::Progress::Delivered => ReceiptStatus::Delivered,
            wit::Progress::Undelivered => ReceiptStatus::Undelivered,
        },
        code: receipt.code.map(|code| masked(&code, REASON_CHARS)),
        text: receipt.text.map(|text| masked(&text, REASON_CHARS)),
        attributes: attributes(receipt.attributes),
    });
    let inbound = heard.inbound.into_iter().map(|inbound| Inbound {
        carrier_reference: inbound.carrier_reference,
        sender: inbound.sender,
        recipient: inbound.recipient,
        text: inbound.text,
        attributes: attributes(inbound.attributes),
    });
    Heard { receipts: receipts.collect(), inbound: inbound.collect() }
}
