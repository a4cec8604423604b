//! A carrier's cases.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Deserialize;

use super::{Failed, same};
use crate::{
    Accepted, Attribute, Carrier, Credential, Failure, FailureClass, Manifest, Outgoing, Request,
    Response, Sensitive, Settings,
};

type Map = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) settings: Map,
    #[serde(default)]
    pub(super) secrets: Map,
    #[serde(default)]
    message: Message,
    pub(super) case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    settings: Option<Map>,
    secrets: Option<Map>,
    /// In seconds since 1970.
    #[serde(default)]
    now: u64,
    message: Option<Message>,
    pub(super) question: Option<Asked>,
    /// Whether it is about fetching a token.
    #[serde(default)]
    pub(super) fetch: bool,
    pub(super) request: Option<ExpectedRequest>,
    pub(super) refused: Option<ExpectedFailure>,
    pub(super) response: Option<GivenResponse>,
    accepted: Option<ExpectedAccepted>,
    /// The carrier's ids of what was asked about; empty when it does not have it.
    pub(super) found: Option<Vec<String>>,
    pub(super) token: Option<ExpectedToken>,
    pub(super) failure: Option<ExpectedFailure>,
    pub(super) hook: Option<GivenHook>,
    #[serde(default)]
    pub(super) receipts: Vec<ExpectedReceipt>,
    #[serde(default)]
    pub(super) inbound: Vec<ExpectedInbound>,
    /// The code of the rejection.
    pub(super) rejected: Option<String>,
}

/// A message that is asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) reference: Option<String>,
    pub(super) sender: Option<String>,
    pub(super) recipient: Option<String>,
    #[serde(default)]
    pub(super) attempted_at_ms: u64,
}

/// What the host must find in an answer.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedToken {
    pub(super) value: String,
    pub(super) lifetime_seconds: Option<u64>,
}

/// A request that the carrier makes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenHook {
    #[serde(default = "post")]
    pub(super) method: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: Map,
    #[serde(default)]
    pub(super) body: String,
    /// Whether what proves it covers its body, which a secret that is merely repeated does not.
    #[serde(default = "yes")]
    pub(super) signed: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedReceipt {
    pub(super) reference: Option<String>,
    pub(super) carrier_reference: Option<String>,
    pub(super) progress: crate::Progress,
    pub(super) code: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedInbound {
    pub(super) carrier_reference: String,
    pub(super) sender: String,
    pub(super) recipient: String,
    pub(super) text: String,
}

impl Case {
    /// Runs something with the case's settings, secrets and time.
    pub(super) fn within<T>(&self, file: &File, run: impl FnOnce(&Settings) -> T) -> T {
        let settings = self.settings.as_ref().unwrap_or(&file.settings);
        let settings: Settings = settings.clone().into_iter().collect();
        let secrets = self.secrets.as_ref().unwrap_or(&file.secrets);
        super::keyed::within(secrets, self.now, || run(&settings))
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Message {
    reference: String,
    sender: String,
    recipient: String,
    text: String,
    callback_url: Option<String>,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            reference: "0123456789abcdef0123456789abcdef-1-1".to_owned(),
            sender: "+12025550100".to_owned(),
            recipient: "+12025550123".to_owned(),
            text: "Your parcel arrives today".to_owned(),
            callback_url: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedRequest {
    #[serde(default = "post")]
    method: String,
    url: String,
    /// Those that matter; others are allowed.
    #[serde(default)]
    headers: Map,
    form: Option<Vec<(String, String)>>,
    json: Option<serde_json::Value>,
    body: Option<String>,
    credential: Option<Credential>,
}

fn post() -> String {
    "POST".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedFailure {
    class: FailureClass,
    code: String,
    /// Not compared when left out.
    text: Option<String>,
    retry_after_ms: Option<u64>,
    #[serde(default)]
    attributes: Map,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenResponse {
    status: u16,
    #[serde(default)]
    headers: Map,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAccepted {
    carrier_references: Vec<String>,
    #[serde(default)]
    attributes: Map,
}

pub(super) fn run<C: Carrier>(file: &File) -> (usize, Vec<Failed>) {
    let manifest = C::describe();
    let mut failed: Vec<Failed> = Vec::new();
    if let Err(reason) = check_manifest(&manifest) {
        failed.push(("the manifest".to_owned(), reason));
    }
    for case in &file.case {
        let settings = case.settings.as_ref().unwrap_or(&file.settings);
        let message = case.message.as_ref().unwrap_or(&file.message);
        let run = Run::<C> {
            manifest: &manifest,
            settings: settings.clone().into_iter().collect(),
            message,
            implementation: std::marker::PhantomData,
        };
        // Whether it is asked or told something, or fetches a token, is for the cases of those abilities.
        if case.question.is_some() || case.fetch || case.hook.is_some() {
            continue;
        }
        if let Err(reason) = case.within(file, |_| run.check(case)) {
            failed.push((case.name.clone(), reason));
        }
    }
    (file.case.len(), failed)
}

fn check_manifest(manifest: &Manifest) -> Result<(), String> {
    let named = |name: &str| manifest.settings.iter().any(|setting| setting.name == name);
    for origin in &manifest.origins {
        let known = match origin.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(setting) => named(setting),
            None => origin.starts_with("https://") && !origin[8..].contains('/'),
        };
        if !known {
            return Err(format!("`{origin}` is neither an https origin nor `{{setting}}`"));
        }
    }
    let mut unique: Vec<_> = manifest.settings.iter().map(|setting| &setting.name).collect();
    unique.sort();
    unique.dedup();
    same("the number of different settings", &unique.len(), &manifest.settings.len())
}

struct Run<'a, C> {
    manifest: &'a Manifest,
    settings: Settings,
    message: &'a Message,
    implementation: std::marker::PhantomData<C>,
}

impl<C: Carrier> Run<'_, C> {
    fn check(&self, case: &Case) -> Result<(), String> {
        if case.request.is_none() && case.refused.is_none() && case.response.is_none() {
            return Err("has neither `request` nor `refused` nor `response`".to_owned());
        }
        if case.request.is_some() || case.refused.is_some() {
            self.check_request(case.request.as_ref(), case.refused.as_ref())?;
        }
        if let Some(response) = &case.response {
            self.check_response(response, case.accepted.as_ref(), case.failure.as_ref())?;
        }
        Ok(())
    }

    fn check_request(
        &self,
        expected: Option<&ExpectedRequest>,
        refused: Option<&ExpectedFailure>,
    ) -> Result<(), String> {
        let message = Outgoing {
            reference: self.message.reference.clone(),
            sender: self.message.sender.clone(),
            recipient: Sensitive::new(&*self.message.recipient),
            text: Sensitive::new(&*self.message.text),
            callback_url: self.message.callback_url.clone(),
        };
        let found = C::send_request(&self.settings, &message);
        same("the second request", &C::send_request(&self.settings, &message), &found)?;
        match (found, expected, refused) {
            (Ok(request), Some(expected), None) => {
                self.check_rights(&request)?;
                expected.check(&request)
            }
            (Err(failure), None, Some(expected)) => self.check_failure(&failure, expected),
            (found, ..) => Err(format!("the request is {found:?}")),
        }
    }

    fn check_rights(&self, request: &Request) -> Result<(), String> {
        check_rights(self.manifest, &self.settings, request)
    }

    fn check_response(
        &self,
        given: &GivenResponse,
        accepted: Option<&ExpectedAccepted>,
        failure: Option<&ExpectedFailure>,
    ) -> Result<(), String> {
        let response = given.response();
        let found = C::send_outcome(&self.settings, &response);
        same("the second outcome", &C::send_outcome(&self.settings, &response), &found)?;
        match (found, accepted, failure) {
            (Ok(found), Some(expected), None) => {
                let references = expected.carrier_references.clone();
                let attributes = attributes(&expected.attributes);
                let expected = Accepted { carrier_references: references, attributes };
                same("the outcome", &found, &expected)?;
            }
            (Err(failure), None, Some(expected)) => self.check_failure(&failure, expected)?,
            (found, ..) => return Err(format!("the outcome is {found:?}")),
        }
        self.check_broken(&response)
    }

    /// Cut off anywhere, or with anything in its place, a body makes no panic; and after a 2xx that
    /// is not understood nobody can say that nothing was sent.
    fn check_broken(&self, response: &Response) -> Result<(), String> {
        let cut = (0..response.body.len()).map(|end| response.body[..end].to_vec());
        let garbage = [
            Vec::new(),
            b"\xff\xfe\x00".to_vec(),
            b"<html>".to_vec(),
            b"null".to_vec(),
            b"[]".to_vec(),
            b"{}".to_vec(),
            b"[".repeat(100_000),
            vec![b' '; 1 << 20],
        ];
        for body in cut.chain(garbage) {
            let begin = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            match C::send_outcome(&self.settings, &Response { body, ..response.clone() }) {
                Ok(accepted) if accepted.carrier_references.iter().all(String::is_empty) => {
                    return Err(format!("accepted without an id, from the body `{begin}`"));
                }
                Err(failure)
                    if response.is_success() && failure.class != FailureClass::Uncertain =>
                {
                    return Err(format!(
                        "{:?} after a 2xx, from the body `{begin}`",
                        failure.class
                    ));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn check_failure(&self, found: &Failure, expected: &ExpectedFailure) -> Result<(), String> {
        let words = format!("{} {} {:?}", found.code, found.text, found.attributes);
        let digits = self.message.recipient.trim_start_matches('+');
        let mut private = [digits, &*self.message.text].into_iter();
        if private.any(|private| !private.is_empty() && words.contains(private)) {
            return Err("the failure quotes the recipient or the text".to_owned());
        }
        expected.check(found)
    }
}

/// What the host would refuse.
pub(super) fn check_rights(
    manifest: &Manifest,
    settings: &Settings,
    request: &Request,
) -> Result<(), String> {
    check_texts(manifest)?;
    let origins = manifest.origins.iter().map(|origin| origin_of(manifest, settings, origin));
    let granted = |origin: &str| {
        request
            .url
            .strip_prefix(origin)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.starts_with('?'))
    };
    if !origins.clone().any(|origin| granted(&origin)) {
        return Err(format!("the URL `{}` has no origin of the manifest", request.url));
    }
    for (name, value) in &request.headers {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) || value.contains(['\r', '\n', '\0']) {
            return Err(format!("`{name}` is no header that can be sent"));
        }
    }
    let secret = match &request.credential {
        None => return Ok(()),
        Some(Credential::Bearer(secret) | Credential::Header { secret, .. }) => secret,
        Some(Credential::Basic { password_secret, .. }) => password_secret,
    };
    let declared = |setting: &crate::Setting| setting.secret && setting.name == *secret;
    if secret != crate::TOKEN && !manifest.settings.iter().any(declared) {
        return Err(format!("the manifest declares no secret `{secret}`"));
    }
    Ok(())
}

/// That the host understands what the manifest says of texts, without which it does not load the plugin.
fn check_texts(manifest: &Manifest) -> Result<(), String> {
    for Attribute { name, value } in &manifest.attributes {
        let words = || value.split(',').map(str::trim);
        let is_understood = match &**name {
            "text.encodings" => {
                words().all(|word| ["gsm7", "ucs2", "smart"].contains(&word))
                    && words().any(|word| word != "smart")
            }
            "text.max-characters" => value.parse::<NonZeroU32>().is_ok(),
            _ => true,
        };
        if !is_understood {
            return Err(format!(
                "the manifest has `{value}` as `{name}`, which no host understands"
            ));
        }
    }
    Ok(())
}

fn origin_of(manifest: &Manifest, settings: &Settings, origin: &str) -> String {
    let Some(name) = origin.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return origin.to_owned();
    };
    let default = manifest.settings.iter().find(|setting| setting.name == name);
    let default = default.and_then(|setting| setting.default.as_deref()).unwrap_or_default();
    // A setting may be a URL with a path; only its origin matters here.
    let url = settings.get_or(name, default);
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
    url[..end].to_owned()
}

impl ExpectedRequest {
    pub(super) fn check(&self, found: &Request) -> Result<(), String> {
        same("the method", &found.method, &self.method)?;
        same("the URL", &found.url, &self.url)?;
        for (name, value) in &self.headers {
            let header = found.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            same(name, &header.map(|(_, value)| value), &Some(value))?;
        }
        if let Some(form) = &self.form {
            let pairs: Vec<_> = form_urlencoded::parse(&found.body).into_owned().collect();
            same("the form", &pairs, form)?;
        }
        if let Some(json) = &self.json {
            let body = serde_json::from_slice(&found.body).map_err(|error| error.to_string())?;
            same("the JSON", &body, json)?;
        }
        if let Some(body) = &self.body {
            same("the body", &String::from_utf8_lossy(&found.body).into_owned(), body)?;
        }
        same("the credential", &found.credential, &self.credential)
    }
}

impl ExpectedFailure {
    pub(super) fn check(&self, found: &Failure) -> Result<(), String> {
        let expected = Failure {
            class: self.class,
            code: self.code.clone(),
            text: self.text.clone().unwrap_or_else(|| found.text.clone()),
            retry_after_ms: self.retry_after_ms,
            attributes: attributes(&self.attributes),
        };
        same("the failure", found, &expected)
    }
}

impl GivenResponse {
    pub(super) fn response(&self) -> Response {
        Response {
            status: self.status,
            headers: self.headers.clone().into_iter().collect(),
            body: self.body.clone().into_bytes(),
        }
    }
}

fn attributes(map: &Map) -> Vec<Attribute> {
    map.iter().map(|(name, value)| Attribute::new(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_host_understands_of_texts_fails_a_case() {
        let check = |name: &str, value: &str, is_understood: bool| {
            let manifest = Manifest::new("acme", "1").attribute(name, value);
            assert_eq!(check_texts(&manifest).is_ok(), is_understood, "{value}");
        };
        for (value, is_understood) in
            [("gsm7, ucs2", true), ("gsm7,smart", true), ("utf8", false), ("smart", false)]
        {
            check("text.encodings", value, is_understood);
        }
        for (value, is_understood) in [("1", true), ("0", false), ("1,600", false), ("", false)] {
            check("text.max-characters", value, is_understood);
        }
        check("anything.else", "3 h", true);
    }
}
