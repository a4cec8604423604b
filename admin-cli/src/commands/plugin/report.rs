//! A plugin as `list` and `show` report it.

use std::collections::BTreeMap;

use dripline_domain::segment::Atom;
use dripline_plugin_host::{DuplicateClass, Limits, Manifest, Permission, PluginInfo, PluginKind};
use serde::Serialize;

use crate::output::page::{Column, Page};

#[derive(Debug, Serialize)]
pub(super) struct PluginReport {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) digest: String,
    pub(super) file_bytes: usize,
    /// The version of the contract that it was built for.
    contract: String,
    memory_limit_bytes: usize,
    deadline_ms: u64,
    /// What one call may return.
    output_limit_bytes: usize,
    /// The largest of what it makes: one text of a renderer's, the body of one request of a carrier's.
    product_limit_bytes: usize,
    /// How many lines one call may log.
    log_lines_limit: u32,
    /// The contract's interfaces whose functions it calls.
    imports: Vec<String>,
    /// What it can do beside its kind: `lookup`, `token`, `webhook`.
    abilities: Vec<&'static str>,
    /// What a carrier says about itself; none for renderers.
    carrier: Option<CarrierReport>,
}

#[derive(Debug, Serialize)]
struct CarrierReport {
    version: String,
    settings: Vec<SettingReport>,
    origins: Vec<String>,
    duplicate_class: char,
    duplicates: String,
    segments: SegmentReport,
    /// What it sends texts in.
    encodings: Vec<&'static str>,
    /// The most characters of a text, where it says so.
    max_characters: Option<u32>,
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct SettingReport {
    name: String,
    text: String,
    required: bool,
    default: Option<String>,
    secret: bool,
}

#[derive(Debug, Serialize)]
struct SegmentReport {
    gsm7_single: u16,
    gsm7_multi: u16,
    ucs2_single: u16,
    ucs2_multi: u16,
    atom: &'static str,
    max_segments: u16,
}

impl PluginReport {
    pub(super) fn new(info: &PluginInfo, limits: &Limits) -> Self {
        let (memory_limit_bytes, deadline, product_limit_bytes) = match info.kind {
            PluginKind::Renderer => {
                (limits.renderer_memory_bytes, limits.render_deadline, limits.text_bytes)
            }
            PluginKind::Carrier => {
                (limits.carrier_memory_bytes, limits.carrier_deadline, limits.request_bytes)
            }
        };
        Self {
            name: info.name.clone(),
            kind: info.kind.to_string(),
            digest: info.digest.clone(),
            file_bytes: info.file_bytes,
            contract: info.contract.clone(),
            memory_limit_bytes,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            output_limit_bytes: limits.output_bytes,
            product_limit_bytes,
            log_lines_limit: limits.log_lines,
            imports: info.imports.clone(),
            abilities: [(info.lookup, "lookup"), (info.token, "token"), (info.webhook, "webhook")]
                .into_iter()
                .filter_map(|(able, name)| able.then_some(name))
                .collect(),
            carrier: info.manifest.as_deref().map(|m| CarrierReport::new(m, info.lookup)),
        }
    }

    pub(super) fn version(&self) -> Option<String> {
        self.carrier.as_ref().map(|carrier| carrier.version.clone())
    }

    /// What a carrier sends texts in, and the most characters of one, where it says so.
    pub(super) fn texts(&self) -> (String, Option<u32>) {
        let carrier = self.carrier.as_ref();
        let encodings = carrier.map(CarrierReport::encoding_words).unwrap_or_default();
        (encodings, carrier.and_then(|carrier| carrier.max_characters))
    }

    pub(super) fn lay_out(&self, page: &mut Page) {
        let product = if self.carrier.is_some() { "request's body" } else { "text" };
        let mut pairs = vec![
            ("plugin", self.name.clone()),
            ("kind", self.kind.clone()),
            ("digest", self.digest.clone()),
            ("size", format!("{} bytes", self.file_bytes)),
            ("contract", format!("built for dripline:plugin {}", self.contract)),
            ("memory limit", format!("{} MiB", self.memory_limit_bytes / (1024 * 1024))),
            ("deadline", format!("{} ms", self.deadline_ms)),
            (
                "output limit",
                format!(
                    "{} KiB a call, {} KiB a {product}, {} logged lines",
                    self.output_limit_bytes / 1024,
                    self.product_limit_bytes / 1024,
                    self.log_lines_limit
                ),
            ),
        ];
        for (name, words) in
            [("calls", self.imports.join(", ")), ("can also", self.abilities.join(", "))]
        {
            if !words.is_empty() {
                pairs.push((name, words));
            }
        }
        if self.abilities.contains(&"token") {
            let words =
                "one is fetched, kept in memory and put into its requests; it never sees it";
            pairs.push(("tokens", words.to_owned()));
        }
        pairs.extend(self.carrier.iter().flat_map(CarrierReport::pairs));
        page.pairs(pairs);
        if let Some(carrier) = &self.carrier {
            page.gap();
            carrier.lay_out_settings(page);
        }
    }
}

impl CarrierReport {
    fn new(manifest: &Manifest, lookup: bool) -> Self {
        let rules = &manifest.texts.segments;
        let settings = manifest.settings.iter().map(|setting| SettingReport {
            name: setting.name.clone(),
            text: setting.text.clone(),
            required: setting.required,
            default: setting.default.clone(),
            secret: setting.secret,
        });
        let attributes = manifest.attributes.iter();
        Self {
            version: manifest.version.clone(),
            settings: settings.collect(),
            origins: manifest.origins.clone(),
            duplicate_class: manifest.duplicates.letter(),
            duplicates: promise(manifest, lookup),
            segments: SegmentReport {
                gsm7_single: rules.gsm7_single,
                gsm7_multi: rules.gsm7_multi,
                ucs2_single: rules.ucs2_single,
                ucs2_multi: rules.ucs2_multi,
                atom: match rules.atom {
                    Atom::CodePoint => "code_point",
                    Atom::Grapheme => "grapheme",
                },
                max_segments: rules.max_segments,
            },
            encodings: manifest.encodings(),
            max_characters: manifest.texts.max_characters.map(u32::from),
            attributes: attributes.map(|a| (a.name.clone(), a.value.clone())).collect(),
        }
    }

    fn pairs(&self) -> [(&'static str, String); 5] {
        let rules = &self.segments;
        [
            ("version", self.version.clone()),
            ("sends to", self.origins.join(", ")),
            ("duplicates", format!("class {}: {}", self.duplicate_class, self.duplicates)),
            (
                "segments",
                format!(
                    "GSM-7 {}/{}, UCS-2 {}/{}, at most {}",
                    rules.gsm7_single,
                    rules.gsm7_multi,
                    rules.ucs2_single,
                    rules.ucs2_multi,
                    rules.max_segments,
                ),
            ),
            ("texts", self.texts()),
        ]
    }

    /// Which texts it takes, besides their segments.
    fn texts(&self) -> String {
        let encodings = self.encoding_words();
        match self.max_characters {
            Some(most) => format!("{encodings}; at most {most} characters"),
            None => encodings,
        }
    }

    /// What it sends texts in.
    fn encoding_words(&self) -> String {
        self.encodings.join(", ")
    }

    fn lay_out_settings(&self, page: &mut Page) {
        let columns = [
            Column::Text("SETTING"),
            Column::Text("REQUIRED"),
            Column::Text("DEFAULT"),
            Column::Text("SECRET"),
            Column::Text("MEANING"),
        ];
        let yes = |is: bool| if is { "yes" } else { "" }.to_owned();
        let rows = self.settings.iter().map(|setting| {
            vec![
                setting.name.clone(),
                yes(setting.required),
                setting.default.clone().unwrap_or_default(),
                yes(setting.secret),
                setting.text.clone(),
            ]
        });
        page.table(&columns, rows, "it takes no settings");
        for (name, value) in &self.attributes {
            page.line(format_args!("{name}: {value}"));
        }
    }
}

/// What can be promised against a message sent twice.
fn promise(manifest: &Manifest, lookup: bool) -> String {
    match (manifest.duplicates, manifest.key_lifetime()) {
        (DuplicateClass::Key, Some(lifetime)) => format!(
            "the carrier keeps an idempotency key for {}, so an attempt without an answer is \
             repeated safely",
            humantime::format_duration(lifetime)
        ),
        (DuplicateClass::Key, None) => {
            "the carrier keeps an idempotency key, but the plugin does not say for how long, so an \
             attempt without an answer stays unknown and is never repeated by itself"
                .to_owned()
        }
        (DuplicateClass::Query, _) if lookup => {
            "the carrier can be asked by our reference whether it took an attempt without an answer"
                .to_owned()
        }
        (DuplicateClass::Query, _) => {
            "the carrier could be asked, but the plugin exports no `lookup`, so an attempt without \
             an answer stays unknown and is never repeated by itself"
                .to_owned()
        }
        (DuplicateClass::Lost, _) => {
            "an attempt without an answer stays unknown and is never repeated by itself".to_owned()
        }
    }
}

/// What a permission means, for the person who approves it.
pub(super) fn sentence(permission: &Permission) -> String {
    match permission {
        Permission::Origin(origin) => format!("to send to {origin}"),
        Permission::OriginOfSetting(setting) => {
            format!("to send to the origin that the setting `{setting}` names")
        }
        Permission::Secret(name) => format!("to have the secret `{name}` put into its requests"),
        Permission::Sign => "to sign with its secrets, without seeing them".to_owned(),
        Permission::UnsignedWebhooks => {
            "to be believed what the carrier reports without a signature, under a secret address"
                .to_owned()
        }
    }
}
