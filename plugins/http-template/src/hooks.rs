//! What a gateway tells afterwards, by the route's settings.

use dripline_plugin_sdk::{
    Failure, Heard, Hook, Inbound, Manifest, Progress, Receipt, Rejection, Setting, Settings, log,
};

use crate::document::{Document, Fields, Format};
use crate::proof::Proof;

/// Settings that list a gateway's words for how far a message has come.
const STATUSES: [(&str, Progress); 4] = [
    ("queued_statuses", Progress::Queued),
    ("sent_statuses", Progress::Sent),
    ("delivered_statuses", Progress::Delivered),
    ("undelivered_statuses", Progress::Undelivered),
];

/// Settings that say where a report has what.
const OF_RECEIPTS: [&str; 4] =
    ["receipt_status_path", "receipt_id_path", "receipt_reference_path", "receipt_code_path"];

/// The same of a contact's message.
const OF_INBOUND: [&str; 4] =
    ["inbound_id_path", "inbound_from_path", "inbound_text_path", "inbound_to_path"];

/// The settings that this file and its neighbours read.
pub(crate) fn declare(manifest: Manifest) -> Manifest {
    let manifest = manifest
        .setting(
            Setting::optional("hook_format", "Where a report's fields stand.")
                .default("json")
                .one_of(&["json", "form", "query"]),
        )
        .setting(Setting::optional("hook_list_path", "Where JSON has a list of reports."))
        .setting(
            Setting::optional("hook_proof", "What proves that a report is the gateway's.")
                .one_of(&["secret", "hmac-sha1", "hmac-sha256"]),
        )
        .setting(
            Setting::optional("hook_proof_in", "What of a request has the secret or signature.")
                .default("header")
                .one_of(&["header", "query", "field"]),
        )
        .setting(Setting::optional("hook_proof_at", "The name of that header or field."))
        .setting(Setting::optional("hook_proof_prefix", "What stands before it, as `sha256=`."))
        .setting(
            Setting::optional("hook_signature", "How a signature is written.")
                .default("hex")
                .one_of(&["hex", "base64"]),
        )
        .setting(
            Setting::optional("hook_signed", "What is signed, with placeholders.")
                .default("{{body}}"),
        )
        .setting(Setting::optional_secret("hook_secret", "The secret that proves reports."))
        .setting(
            Setting::optional("unsigned_hooks", "Whether to believe reports that nothing proves.")
                .flag(),
        )
        .unsigned_webhooks_where("unsigned_hooks");
    [
        ("receipt_status_path", "Where a report has the message's status."),
        ("receipt_id_path", "Where a report has the gateway's id of the message."),
        ("receipt_reference_path", "Where a report has the reference of the message."),
        ("receipt_code_path", "Where a report has an error's code."),
        ("queued_statuses", "Statuses of messages that the gateway has."),
        ("sent_statuses", "Statuses of messages that have left the gateway."),
        ("delivered_statuses", "Statuses of messages that have arrived."),
        ("undelivered_statuses", "Statuses of messages that have not arrived."),
        ("inbound_statuses", "Statuses of contacts' messages, where these have one."),
        ("inbound_id_path", "Where a contact's message has its id."),
        ("inbound_from_path", "Where it has the contact's number."),
        ("inbound_text_path", "Where it has its text."),
        ("inbound_to_path", "Where it has the number or name that it was sent to."),
    ]
    .into_iter()
    .fold(manifest, |manifest, (name, text)| manifest.setting(Setting::optional(name, text)))
}

/// A mistake in the route's settings: one sentence.
pub(crate) struct Mistake(pub(crate) String);

impl From<Mistake> for Failure {
    fn from(Mistake(text): Mistake) -> Self {
        Self::retryable("bad-setting", text).about_route()
    }
}

impl From<Mistake> for Rejection {
    fn from(Mistake(text): Mistake) -> Self {
        Self::new("bad-setting", text)
    }
}

/// How to read what a gateway tells.
pub(crate) struct Hooks<'a> {
    settings: &'a Settings,
    format: Format,
    /// What proves it; none where the route says that nothing does.
    proof: Option<Proof<'a>>,
}

impl<'a> Hooks<'a> {
    /// The route's; none when its gateway tells nothing.
    pub(crate) fn of(settings: &'a Settings) -> Result<Option<Self>, Mistake> {
        let wrong = |text: &str| Err(Mistake(text.to_owned()));
        let given = |name: &&str| settings.get(name).is_some();
        let lists = STATUSES.map(|(name, _)| name);
        let receipts = OF_RECEIPTS.iter().chain(&lists).any(given);
        let inbound = OF_INBOUND.iter().chain(&["inbound_statuses"]).any(given);
        let unsigned = settings.get("unsigned_hooks") == Some("true");
        let format = Format::of(settings);
        let proof = Proof::of(settings, format)?;
        match (&proof, unsigned) {
            (Some(_), true) => {
                return wrong("`hook_proof` and `unsigned_hooks` exclude each other");
            }
            (None, false) if receipts || inbound => {
                return wrong("nothing proves a report: set `hook_proof`, or `unsigned_hooks`");
            }
            (None, false) => return Ok(None),
            _ if !receipts && !inbound => {
                return wrong("there is nothing to read: set `receipt_status_path` or others");
            }
            _ => {}
        }
        if receipts {
            require(settings, &OF_RECEIPTS[..1])?;
            if !OF_RECEIPTS[1..3].iter().any(given) {
                return wrong("set `receipt_id_path` or `receipt_reference_path`");
            }
            if !lists.iter().any(given) {
                return wrong("set at least one of `delivered_statuses` and its like");
            }
        }
        if inbound {
            require(settings, &OF_INBOUND[..3])?;
        }
        for name in OF_RECEIPTS.iter().chain(&OF_INBOUND).chain(&["hook_list_path"]) {
            format.check(settings, name)?;
        }
        each_means_one_thing(settings)?;
        Ok(Some(Self { settings, format, proof }))
    }

    pub(crate) fn read(&self, hook: &Hook) -> Result<Heard, Rejection> {
        let document = Document::of(self.format, hook);
        if let Some(proof) = &self.proof {
            proof.check(hook, document.as_ref())?;
        }
        let document = document.ok_or_else(Rejection::not_understood)?;
        let mut heard = Heard::nothing();
        for fields in document.items(self.settings.get("hook_list_path")) {
            self.item(fields, &mut heard)?;
        }
        Ok(heard)
    }

    fn item(&self, fields: Fields<'_>, heard: &mut Heard) -> Result<(), Rejection> {
        let at = |name: &str| fields.at(self.settings.get(name)?);
        let some = |name: &str| at(name).filter(|found| !found.is_empty());
        let must = |name: &str| some(name).ok_or_else(Rejection::not_understood);
        let status = some("receipt_status_path");
        let Some(status) = status.filter(|status| !self.lists("inbound_statuses", status)) else {
            let (id, from) = (must("inbound_id_path")?, must("inbound_from_path")?);
            // A text may be empty.
            let text = at("inbound_text_path").ok_or_else(Rejection::not_understood)?;
            let to = at("inbound_to_path").unwrap_or_default();
            heard.inbound.push(Inbound::new(id, &from, to, text));
            return Ok(());
        };
        let Some((_, progress)) = STATUSES.into_iter().find(|(name, _)| self.lists(name, &status))
        else {
            log::write(log::Level::Info, "a message has a status that no setting lists");
            return Ok(());
        };
        let (id, reference) = (some("receipt_id_path"), some("receipt_reference_path"));
        if id.is_none() && reference.is_none() {
            return Err(Rejection::not_understood());
        }
        let mut receipt = Receipt::new("", progress).reference(reference);
        receipt.carrier_reference = id;
        if progress == Progress::Undelivered {
            let code = some("receipt_code_path").unwrap_or(status);
            receipt = receipt.because(code, "the message did not arrive");
        }
        heard.receipts.push(receipt);
        Ok(())
    }

    fn lists(&self, name: &str, status: &str) -> bool {
        words(self.settings, name).any(|word| word == status)
    }
}

fn words<'a>(settings: &'a Settings, name: &str) -> impl Iterator<Item = &'a str> {
    settings.get_or(name, "").split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn require(settings: &Settings, names: &[&str]) -> Result<(), Mistake> {
    let missing = names.iter().find(|name| settings.get(name).is_none());
    missing.map_or(Ok(()), |name| Err(Mistake(format!("`{name}` is missing"))))
}

/// That no status is in two lists.
fn each_means_one_thing(settings: &Settings) -> Result<(), Mistake> {
    let lists = STATUSES.map(|(name, _)| name).into_iter().chain(["inbound_statuses"]);
    let all: Vec<(&str, &str)> =
        lists.flat_map(|name| words(settings, name).map(move |word| (word, name))).collect();
    for (index, (word, name)) in all.iter().enumerate() {
        if let Some((_, other)) = all[..index].iter().find(|(earlier, _)| earlier == word) {
            let text = format!("the status `{word}` is in `{other}` and in `{name}`");
            return Err(Mistake(text));
        }
    }
    Ok(())
}
