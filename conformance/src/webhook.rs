//! The cases of a carrier that reports, and what each of them must stand: a body that was changed on its way
//! is not believed, none makes the plugin trap, and a password that the carrier repeats is told to nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dripline_plugin_host::{Header, Heard, Hook, HookError};

use crate::canary::signatures;
use crate::carrier::{Subject, secrets_of};
use crate::cases::{
    CarrierCase, CarrierFile, Cases, ExpectedInbound, ExpectedReceipt, GivenHook, Map,
};
use crate::{Check, garbage, same};

/// Why a plugin believes nothing of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) code: String,
    pub(crate) text: String,
}

type Read = Result<Heard, Rejected>;

impl Subject<'_> {
    pub(crate) async fn tell(
        &self,
        case: &CarrierCase,
        given: &GivenHook,
        settings: &Map,
        secrets: &Map,
    ) -> Result<(), String> {
        let hook = hook_of(given);
        let values = self.canaries.values(secrets);
        let read = self.read_hook(settings, &values, &hook).await?;
        match (&read, &case.rejected) {
            (Ok(heard), None) => compare(heard, case)?,
            (Err(Rejected { code, .. }), Some(expected)) => {
                same("the rejection", code, expected)?;
            }
            (Err(Rejected { code, text }), None) => {
                return Err(format!("the request is rejected: {text} ({code})"));
            }
            (Ok(heard), Some(_)) => return Err(format!("it believes {heard:?}")),
        }
        let is_signed =
            !self.manifest.believes_unsigned(settings) && given.signed && case.rejected.is_none();
        for body in broken(&hook, &case.name) {
            let hook = Hook { body, ..hook.clone() };
            let read = self.read_hook(settings, &values, &hook).await;
            read.and_then(|read| stands(&read, is_signed)).map_err(|problem| {
                let begin = String::from_utf8_lossy(&hook.body[..hook.body.len().min(60)]);
                format!("{problem}, from the body `{begin}`")
            })?;
        }
        for hook in with_secrets(&hook, &values) {
            // The signature may cover what was added or not, so that believing it may be right or wrong.
            let _either: Read = self.read_hook(settings, &values, &hook).await?;
        }
        Ok(())
    }

    /// What the plugin makes of a request, however often and by whichever instance it is read.
    async fn read_hook(&self, settings: &Map, values: &Map, hook: &Hook) -> Result<Read, String> {
        let secrets = secrets_of(values)?;
        let read = async |count| {
            let hooks = vec![hook.clone(); count];
            let read = self.host.read_hooks(self.name, settings, &secrets, hooks).await;
            read.into_iter().map(said).collect()
        };
        // As it came, and as most carriers sign it.
        let known: [&[u8]; 3] = [&hook.body, hook.url.as_bytes(), b""];
        self.steady("reading", &signatures(values, &known), read).await
    }

    /// What every carrier that reports is put through, also one that has no cases for it: requests of whoever comes.
    pub(crate) async fn webhook_hardship(&self, files: &[Cases<CarrierFile>]) -> Vec<Check> {
        if !self.plugin.webhook {
            return Vec::new();
        }
        let settings = files.first().map(|file| file.content.settings.clone()).unwrap_or_default();
        let values = self.canaries.values(&Map::new());
        let mut problems = Vec::new();
        for (name, body) in garbage::bodies() {
            let url = "https://dripline.example/hooks".to_owned();
            let hook = Hook { method: "POST".to_owned(), url, headers: vec![], body };
            let is_signed = !self.manifest.has_unsigned_webhooks();
            for hook in with_secrets(&hook, &values).into_iter().chain([hook]) {
                let read = self.read_hook(&settings, &values, &hook).await;
                let problem = read.and_then(|read| stands(&read, is_signed)).err();
                problems.extend(problem.map(|problem| format!("{name}: {problem}")));
            }
        }
        vec![Check { file: None, case: "a request of whoever comes".to_owned(), problems }]
    }
}

fn said(read: Result<Heard, HookError>) -> Result<Read, String> {
    match read {
        Ok(heard) => Ok(Ok(heard)),
        Err(HookError::Rejected { code, text }) => Ok(Err(Rejected { code, text })),
        Err(error) => Err(error.to_string()),
    }
}

fn hook_of(given: &GivenHook) -> Hook {
    let headers = given.headers.iter().map(|(name, value)| Header::new(name, value));
    Hook {
        method: given.method.clone(),
        url: given.url.clone(),
        headers: headers.collect(),
        body: given.body.clone().into_bytes(),
    }
}

/// The body cut off at every octet, with one octet changed, and something else in its place.
fn broken(hook: &Hook, seed: &str) -> Vec<Vec<u8>> {
    let cut = (0..hook.body.len()).map(|end| hook.body[..end].to_vec());
    let garbled = garbage::bodies().into_iter().map(|(_, body)| body);
    // A case may be about such a body itself.
    let other = cut.chain(garbage::changed(&hook.body, seed)).chain(garbled);
    other.filter(|body| *body != hook.body).collect()
}

/// The request with every secret in it, where carriers that sign nothing repeat a password: in a header, or in the
/// query. The plugin sees it, and is not to tell.
fn with_secrets(hook: &Hook, values: &Map) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for value in values.values() {
        let basic = format!("Basic {}", STANDARD.encode(format!("carrier:{value}")));
        let bearer = format!("Bearer {value}");
        for (name, value) in
            [("authorization", &basic), ("authorization", &bearer), ("x-password", value)]
        {
            let mut headers = hook.headers.clone();
            headers.retain(|header| !header.name.eq_ignore_ascii_case(name));
            headers.push(Header::new(name, value));
            hooks.push(Hook { headers, ..hook.clone() });
        }
        let joint = if hook.url.contains('?') { '&' } else { '?' };
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("password", value).finish();
        hooks.push(Hook { url: format!("{}{joint}{query}", hook.url), ..hook.clone() });
    }
    hooks
}

fn stands(read: &Read, is_signed: bool) -> Result<(), String> {
    match read {
        Ok(heard) if is_signed && *heard != Heard::default() => {
            Err(format!("the signature does not cover the body: it believes {heard:?}"))
        }
        _ => Ok(()),
    }
}

fn compare(heard: &Heard, case: &CarrierCase) -> Result<(), String> {
    let receipts = heard.receipts.iter().map(|receipt| ExpectedReceipt {
        reference: receipt.reference.clone(),
        carrier_reference: receipt.carrier_reference.clone(),
        progress: receipt.status.to_string(),
        code: receipt.code.clone(),
    });
    same("the list of receipts", &receipts.collect(), &case.receipts)?;
    let inbound = heard.inbound.iter().map(|inbound| ExpectedInbound {
        carrier_reference: inbound.carrier_reference.clone(),
        sender: inbound.sender.clone(),
        recipient: inbound.recipient.clone(),
        text: inbound.text.clone(),
    });
    same("the list of messages", &inbound.collect(), &case.inbound)
}
