//! A carrier's cases: messages and the requests they become, answers and what they mean.

use dripline_plugin_host::egress::{EgressOptions, Grant, RouteRights, Secrets};
use dripline_plugin_host::{
    Accepted, CallError, Credential, Failure, FailureClass, Header, Manifest, Outgoing, PluginHost,
    PluginInfo, Request, Response, Settings,
};

use crate::canary::{Canaries, signatures};
use crate::cases::{
    CarrierCase, CarrierFile, Cases, Class, ExpectedAccepted, ExpectedCredential, ExpectedFailure,
    ExpectedRequest, GivenResponse, Map, Message,
};
use crate::words::Words;
use crate::{Check, Stage, same};

/// The carrier under test.
pub(crate) struct Subject<'a> {
    pub(crate) host: &'a PluginHost,
    pub(crate) name: &'a str,
    pub(crate) manifest: &'a Manifest,
    pub(crate) canaries: Canaries,
    /// What it can do besides.
    pub(crate) plugin: &'a PluginInfo,
    stage: &'a Stage,
}

/// What the kit calls a carrier's answer.
pub(crate) type Outcome = Result<Accepted, Failure>;

impl<'a> Subject<'a> {
    pub(crate) fn new(
        host: &'a PluginHost,
        plugin: &'a PluginInfo,
        stage: &'a Stage,
        files: &[Cases<CarrierFile>],
    ) -> Self {
        let manifest = plugin.manifest.as_deref().expect("a loaded carrier has a manifest");
        let canaries = Canaries::new(manifest, files);
        Self { host, name: &plugin.name, manifest, canaries, plugin, stage }
    }

    pub(crate) async fn run(&self, files: &[Cases<CarrierFile>]) -> Vec<Check> {
        let mut checks = Vec::new();
        for file in files {
            for case in &file.content.cases {
                self.stage.set_time(case.now);
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
            let found = self.read_case(settings, &response).await?;
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
        let values = self.canaries.values(secrets);
        let secrets = secrets_of(&values)?;
        let found = self.build(settings, &secrets, &values, message).await?;
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

    /// The request that a message becomes, however often and by whichever instance it is built.
    pub(crate) async fn build(
        &self,
        settings: &Map,
        secrets: &Secrets,
        values: &Map,
        message: &Message,
    ) -> Result<Result<Request, Failure>, String> {
        let outgoing = Outgoing {
            reference: message.reference.clone(),
            sender: message.sender.clone(),
            recipient: message.recipient.clone(),
            text: message.text.clone(),
            callback_url: message.callback_url.clone(),
        };
        let known = [&*message.reference, &*message.recipient, &*message.text, ""];
        let signed = signatures(values, &known.map(str::as_bytes));
        let call = async |count| {
            let messages = vec![outgoing.clone(); count];
            let built = self.host.build_requests(self.name, settings, secrets, messages).await;
            built.into_iter().map(said).collect()
        };
        self.steady("request", &signed, call).await
    }

    /// What the carrier makes of an answer, however often and by whichever instance it is read.
    async fn read_case(&self, settings: &Map, response: &Response) -> Result<Outcome, String> {
        self.steady("outcome", &[], self.reader(settings, response)).await
    }

    /// What the carrier makes of an answer, twice alike.
    pub(crate) async fn read(
        &self,
        settings: &Map,
        response: &Response,
    ) -> Result<Outcome, String> {
        self.twice("outcome", &[], &self.reader(settings, response)).await
    }

    fn reader(
        &self,
        settings: &Map,
        response: &Response,
    ) -> impl AsyncFn(usize) -> Vec<Result<Outcome, String>> {
        async move |count| {
            let responses = vec![response.clone(); count];
            let read = self.host.read_responses(self.name, settings, responses).await;
            read.into_iter().map(said).collect()
        }
    }

    /// What the plugin says, which must be the same in two calls of one instance and in one of another: an instance
    /// serves a whole batch, and nothing may depend on what came before.
    pub(crate) async fn steady<T: Words + PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        signed: &[String],
        call: impl AsyncFn(usize) -> Vec<Result<T, String>>,
    ) -> Result<T, String> {
        let first = self.twice(what, signed, &call).await?;
        let mut other = call(1).await.into_iter();
        let other = self.heard(what, signed, other.next())?;
        same(&format!("the {what} of a second instance"), &other, &first)?;
        Ok(first)
    }

    /// The same in one instance alone.
    pub(crate) async fn twice<T: Words + PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        signed: &[String],
        call: &impl AsyncFn(usize) -> Vec<Result<T, String>>,
    ) -> Result<T, String> {
        let mut both = call(2).await.into_iter();
        let first = self.heard(what, signed, both.next())?;
        let second = self.heard(what, signed, both.next())?;
        same(&format!("the second {what} of one instance"), &second, &first)?;
        Ok(first)
    }

    /// What the plugin said, unless it tells a secret, there or in its log.
    pub(crate) fn heard<T: Words>(
        &self,
        what: &str,
        signed: &[String],
        said: Option<Result<T, String>>,
    ) -> Result<T, String> {
        let lines = self.stage.take_lines();
        self.keeps_quiet("a line of the log", signed, lines.iter().map(String::as_str))?;
        let said = said.ok_or_else(|| format!("there is no {what}"))??;
        self.keeps_quiet(&format!("the {what}"), signed, said.words())?;
        Ok(said)
    }

    fn keeps_quiet<'w>(
        &self,
        what: &str,
        signed: &[String],
        words: impl IntoIterator<Item = &'w str>,
    ) -> Result<(), String> {
        for word in words {
            if let Some(secret) = self.canaries.find(word.as_bytes()) {
                return Err(format!("{what} tells a secret: {secret}"));
            }
            if signed.iter().any(|signature| word.contains(signature)) {
                return Err(format!("{what} tells a signature that others could use"));
            }
        }
        Ok(())
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
        if self.plugin.token {
            grant = grant.with_token(&self.canaries.token());
        }
        self.shown_without_secrets(&grant, request)
    }

    /// The same with a grant that is there already.
    pub(crate) fn shown_without_secrets(
        &self,
        grant: &Grant,
        request: Request,
    ) -> Result<(), String> {
        let shown = grant
            .preview(request, &EgressOptions::default())
            .map_err(|forbidden| format!("the request may not leave: {forbidden}"))?;
        let body = String::from_utf8_lossy(&shown.body);
        let headers = shown.headers.iter().flat_map(|header| [&*header.name, &*header.value]);
        self.keeps_quiet("the request", &[], headers.chain([&*shown.url, &*body]))
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

/// Secrets of these values.
pub(crate) fn secrets_of(values: &Map) -> Result<Secrets, String> {
    let mut secrets = Secrets::default();
    for (name, value) in values {
        secrets.insert(name, value).map_err(|error| error.to_string())?;
    }
    Ok(secrets)
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
        same("the credential", &found.credential.clone().map(as_asked_for), &expected)
    }
}

/// What the plugin asked for, whatever the host makes of it by the manifest.
fn as_asked_for(credential: Credential) -> Credential {
    match credential {
        Credential::EncodedBasic { user, password_secret } => {
            Credential::Basic { user, password_secret }
        }
        other => other,
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
