//! A carrier's cases: messages and the requests they become, answers and what they mean.

use dripline_plugin_host::egress::{EgressOptions, Grant, RouteRights, Secrets};
use dripline_plugin_host::{
    Accepted, CallError, Credential, Failure, FailureClass, Header, Manifest, Outgoing, PluginHost,
    PluginInfo, Request, Response, Settings, Token,
};

use crate::cases::{
    CarrierCase, CarrierFile, Cases, Class, ExpectedAccepted, ExpectedCredential, ExpectedFailure,
    ExpectedRequest, GivenResponse, Map, Message,
};
use crate::{CaseClock, Check, same};

/// What each secret is while the kit runs. Whoever finds it in an output has found a leak.
const CANARY: &str = "canary-5f1d0c-";

/// The carrier under test.
pub(crate) struct Subject<'a> {
    pub(crate) host: &'a PluginHost,
    pub(crate) name: &'a str,
    pub(crate) manifest: &'a Manifest,
    /// Whether it fetches tokens.
    pub(crate) token: bool,
    clock: &'a CaseClock,
}

/// What the kit calls a carrier's answer.
pub(crate) type Outcome = Result<Accepted, Failure>;

impl<'a> Subject<'a> {
    pub(crate) fn new(host: &'a PluginHost, plugin: &'a PluginInfo, clock: &'a CaseClock) -> Self {
        let manifest = plugin.manifest.as_deref().expect("a loaded carrier has a manifest");
        Self { host, name: &plugin.name, manifest, token: plugin.token, clock }
    }

    pub(crate) async fn run(&self, files: &[Cases<CarrierFile>]) -> Vec<Check> {
        let mut checks = Vec::new();
        for file in files {
            for case in &file.content.cases {
                self.clock.set(case.now);
                let problem = self.case(&file.content, case).await.err();
                checks.push(Check {
                    file: Some(file.name.clone()),
                    case: case.name.clone(),
                    problems: problem.into_iter().collect(),
                });
            }
        }
        checks
    }

    async fn case(&self, file: &CarrierFile, case: &CarrierCase) -> Result<(), String> {
        let settings = case.settings.as_ref().unwrap_or(&file.settings);
        let secrets = case.secrets.as_ref().unwrap_or(&file.secrets);
        let message = case.message.as_ref().unwrap_or(&file.message);
        if let Some(hook) = &case.hook {
            return self.tell(case, hook, settings, secrets).await;
        }
        if case.fetch {
            return self.fetch(case, settings, secrets).await;
        }
        if let Some(asked) = &case.question {
            return self.ask(case, asked, settings, secrets, message).await;
        }
        if case.request.is_none() && case.refused.is_none() && case.response.is_none() {
            return Err("it has neither `request` nor `refused` nor `response`".to_owned());
        }
        if case.request.is_some() || case.refused.is_some() {
            self.request(case, settings, secrets, message).await?;
        }
        if let Some(given) = &case.response {
            let response = response_of(given);
            let found = self.read_twice(settings, &response).await?;
            if let Err(failure) = &found {
                private(failure, message)?;
            }
            match (&found, &case.accepted, &case.failure) {
                (Ok(found), Some(expected), None) => accepted(found, expected)?,
                (Err(found), None, Some(expected)) => failure(found, expected)?,
                (found, ..) => return Err(format!("the outcome is {found:?}")),
            }
        }
        Ok(())
    }

    async fn request(
        &self,
        case: &CarrierCase,
        settings: &Map,
        secrets: &Map,
        message: &Message,
    ) -> Result<(), String> {
        let secrets = self.secrets(secrets)?;
        let found = self.build(settings, &secrets, message).await?;
        same("the second request", &self.build(settings, &secrets, message).await?, &found)?;
        match (found, &case.request, &case.refused) {
            (Ok(request), Some(expected), None) => {
                self.may_leave(settings, &secrets, request.clone())?;
                expected.compare(&request)
            }
            (Err(found), None, Some(expected)) => {
                private(&found, message)?;
                failure(&found, expected)
            }
            (found, ..) => Err(format!("the request is {found:?}")),
        }
    }

    async fn build(
        &self,
        settings: &Map,
        secrets: &Secrets,
        message: &Message,
    ) -> Result<Result<Request, Failure>, String> {
        let message = Outgoing {
            reference: message.reference.clone(),
            sender: message.sender.clone(),
            recipient: message.recipient.clone(),
            text: message.text.clone(),
            callback_url: message.callback_url.clone(),
        };
        let built = self.host.build_requests(self.name, settings, secrets, vec![message]).await;
        said(built.into_iter().next().ok_or("there is no request")?)
    }

    /// What the carrier makes of an answer, twice alike.
    async fn read_twice(&self, settings: &Map, response: &Response) -> Result<Outcome, String> {
        let found = self.read(settings, response).await?;
        same("the second outcome", &self.read(settings, response).await?, &found)?;
        Ok(found)
    }

    /// What the carrier makes of an answer.
    pub(crate) async fn read(
        &self,
        settings: &Map,
        response: &Response,
    ) -> Result<Outcome, String> {
        let read = self.host.read_responses(self.name, settings, vec![response.clone()]).await;
        said(read.into_iter().next().ok_or("there is no outcome")?)
    }

    /// What every secret is: what the case says, or else a canary.
    pub(crate) fn secrets(&self, given: &Map) -> Result<Secrets, String> {
        let mut secrets = Secrets::default();
        for name in self.manifest.secret_names() {
            let canary = format!("{CANARY}{name}");
            let value = given.get(name).unwrap_or(&canary);
            secrets.insert(name, value).map_err(|error| error.to_string())?;
        }
        Ok(secrets)
    }

    /// That the one door would let the request through, and that no secret shows in what a person is
    /// shown of it.
    pub(crate) fn may_leave(
        &self,
        settings: &Map,
        secrets: &Secrets,
        request: Request,
    ) -> Result<(), String> {
        let mut grant = self.grant(settings, secrets)?;
        if self.token {
            let token = Token::new(&format!("{CANARY}token"), None);
            grant = grant.with_token(&token.map_err(|error| error.to_string())?);
        }
        shown_without_secrets(&grant, request)
    }

    /// What a route with these settings and secrets may do.
    pub(crate) fn grant(&self, settings: &Map, secrets: &Secrets) -> Result<Grant, String> {
        let given: Vec<&str> = secrets.names().collect();
        let secrets = secrets.clone();
        let settings: Settings = settings.clone();
        let settings =
            self.manifest.complete_settings(&settings, given).map_err(|e| e.to_string())?;
        let allowed = self.manifest.origins_with(&settings);
        let rights = RouteRights {
            allowed_origins: &allowed,
            allow_loopback: true,
            secrets,
            ..RouteRights::default()
        };
        Grant::new(self.manifest, &settings, &rights).map_err(|error| error.to_string())
    }
}

/// That the one door would let the request through, and that no secret shows in what a person is shown of it.
pub(crate) fn shown_without_secrets(grant: &Grant, request: Request) -> Result<(), String> {
    let shown = grant
        .preview(request, &EgressOptions::default())
        .map_err(|forbidden| format!("the request may not leave: {forbidden}"))?;
    let seen: String = [shown.url, String::from_utf8_lossy(&shown.body).into_owned()]
        .into_iter()
        .chain(shown.headers.into_iter().map(|header| header.value))
        .collect();
    if seen.contains(CANARY) { Err("a secret shows in the request".to_owned()) } else { Ok(()) }
}

/// What the plugin said, or that it failed to say anything.
pub(crate) fn said<T>(called: Result<T, CallError>) -> Result<Result<T, Failure>, String> {
    match called {
        Ok(value) => Ok(Ok(value)),
        Err(CallError::Failure(failure)) => Ok(Err(failure)),
        Err(CallError::Plugin(error)) => Err(error.to_string()),
    }
}

pub(crate) fn response_of(given: &GivenResponse) -> Response {
    let headers = given.headers.iter().map(|(name, value)| Header::new(name, value));
    Response {
        status: given.status,
        headers: headers.collect(),
        body: given.body.clone().into_bytes(),
    }
}

/// That a failure quotes neither the recipient nor the text: it is kept for good.
pub(crate) fn private(failure: &Failure, message: &Message) -> Result<(), String> {
    let words = format!("{} {} {:?}", failure.code, failure.text, failure.attributes);
    let digits = message.recipient.trim_start_matches('+');
    let mut kept = [digits, &*message.text].into_iter();
    if kept.any(|private| !private.is_empty() && words.contains(private)) {
        return Err("the failure quotes the recipient or the text".to_owned());
    }
    Ok(())
}

fn accepted(found: &Accepted, expected: &ExpectedAccepted) -> Result<(), String> {
    same("the list of ids", &found.carrier_references, &expected.carrier_references)?;
    attributes(&found.attributes, &expected.attributes)
}

pub(crate) fn failure(found: &Failure, expected: &ExpectedFailure) -> Result<(), String> {
    same("the class", &class(found), &expected.class)?;
    same("the code", &found.code, &expected.code)?;
    if let Some(text) = &expected.text {
        same("the text", &found.text, text)?;
    }
    let wait = found.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    same("the wait in milliseconds", &wait, &expected.retry_after_ms)?;
    attributes(&found.attributes, &expected.attributes)
}

fn attributes(found: &[dripline_plugin_host::Attribute], expected: &Map) -> Result<(), String> {
    let found: Map = found.iter().map(|a| (a.name.clone(), a.value.clone())).collect();
    same("the map of attributes", &found, expected)
}

pub(crate) fn class(failure: &Failure) -> Class {
    match failure.class {
        FailureClass::Throttled => Class::Throttled,
        FailureClass::Retryable => Class::Retryable,
        FailureClass::Permanent => Class::Permanent,
        FailureClass::Stopped => Class::Stopped,
        FailureClass::Uncertain => Class::Uncertain,
    }
}

impl ExpectedRequest {
    pub(crate) fn compare(&self, found: &Request) -> Result<(), String> {
        same("the method", &found.method, &self.method)?;
        same("the URL", &found.url, &self.url)?;
        for (name, value) in &self.headers {
            let header = found.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            same(name, &header.map(|header| &header.value), &Some(value))?;
        }
        if let Some(form) = &self.form {
            let pairs: Vec<_> = form_urlencoded::parse(&found.body).into_owned().collect();
            same("the form", &pairs, form)?;
        }
        if let Some(json) = &self.json {
            let body: serde_json::Value = serde_json::from_slice(&found.body)
                .map_err(|error| format!("the body is no JSON: {error}"))?;
            same("the JSON", &body, json)?;
        }
        if let Some(body) = &self.body {
            same("the body", &String::from_utf8_lossy(&found.body).into_owned(), body)?;
        }
        let expected = self.credential.as_ref().map(ExpectedCredential::to_credential);
        same("the credential", &found.credential, &expected)
    }
}

impl ExpectedCredential {
    fn to_credential(&self) -> Credential {
        match self {
            Self::Bearer(secret) => Credential::Bearer { secret: secret.clone() },
            Self::Basic { user, password_secret } => {
                Credential::Basic { user: user.clone(), password_secret: password_secret.clone() }
            }
            Self::Header { name, secret } => {
                Credential::Header { name: name.clone(), secret: secret.clone() }
            }
        }
    }
}
