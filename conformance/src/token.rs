//! The cases of a carrier that fetches tokens, and what each such carrier must stand: answers that are broken or
//! refuse, of which none ends a message.

use std::time::Duration;

use dripline_plugin_host::{Failure, Response, Token, TokenPlace};

use crate::canary::signatures;
use crate::carrier::{Subject, class, failure, response_of, said, secrets_of};
use crate::cases::{CarrierCase, CarrierFile, Cases, Class, Map};
use crate::{Check, garbage, same};

type Place = Result<TokenPlace, Failure>;

impl Subject<'_> {
    pub(crate) async fn fetch(
        &self,
        case: &CarrierCase,
        settings: &Map,
        secrets: &Map,
    ) -> Result<(), String> {
        let values = self.canaries.values(secrets);
        let secrets = secrets_of(&values)?;
        // The host asks a fresh instance each time: there are no batches of it.
        let build = async |count| {
            let mut built = Vec::new();
            for _ in 0..count {
                let one = self.host.build_token_request(self.name, settings, &secrets).await;
                built.push(said(one));
            }
            built
        };
        let found = self.twice("request", &signatures(&values, &[b""]), &build).await?;
        match (found, &case.request, &case.refused) {
            (Ok(request), Some(expected), None) => {
                if request.wants_token() {
                    return Err("the request that fetches the token asks for one".to_owned());
                }
                let grant = self.grant(settings, &secrets)?;
                self.shown_without_secrets(&grant, request.clone())?;
                expected.compare(&request)?;
            }
            (Err(found), None, Some(expected)) => failure(&found, expected)?,
            (_, None, None) if case.response.is_some() => {}
            (found, ..) => return Err(format!("the request is {found:?}")),
        }
        let Some(given) = &case.response else { return Ok(()) };
        let response = response_of(given);
        let found = self.read_token(settings, &response).await?;
        match (found, &case.token, &case.failure) {
            (Ok(place), Some(expected), None) => {
                let lifetime = expected.lifetime_seconds.map(Duration::from_secs);
                let expected = Token::new(&expected.value, lifetime).map_err(|e| e.to_string())?;
                let found = place.read(&response).map_err(|error| error.to_string())?;
                same("the lifetime", &found.lifetime(), &expected.lifetime())?;
                // Neither of them shows itself.
                if found == expected { Ok(()) } else { Err("the token is another one".to_owned()) }
            }
            (Err(found), None, Some(expected)) => failure(&found, expected),
            (found, ..) => Err(format!("the outcome is {found:?}")),
        }
    }

    async fn read_token(&self, settings: &Map, response: &Response) -> Result<Place, String> {
        let read = async |count| {
            let mut read = Vec::new();
            for _ in 0..count {
                read.push(said(self.host.read_token_answer(self.name, settings, response).await));
            }
            read
        };
        self.twice("outcome", &[], &read).await
    }

    /// What every carrier that fetches tokens is put through.
    pub(crate) async fn token_hardship(&self, files: &[Cases<CarrierFile>]) -> Vec<Check> {
        if !self.plugin.token {
            return Vec::new();
        }
        let settings = files.first().map(|file| file.content.settings.clone()).unwrap_or_default();
        let mut bodies: Vec<_> = garbage::bodies().into_iter().map(|(_, body)| body).collect();
        bodies.push(br#"{"error":"x"}"#.to_vec());
        let mut checks = Vec::new();
        for status in [302, 400, 401, 403, 429, 500, 503] {
            let mut problems = Vec::new();
            for body in &bodies {
                let response = Response { status, headers: vec![], body: body.clone() };
                problems.extend(self.stands_refusal(&settings, &response).await.err());
            }
            let case = format!("{status} instead of a token");
            checks.push(Check { file: None, case, problems });
        }
        let (mut broken, mut wholes) = (Vec::new(), Vec::new());
        for file in files {
            for case in file.content.cases.iter().filter(|case| case.fetch) {
                let settings = case.settings.as_ref().unwrap_or(&file.content.settings);
                let Some(whole) = case.response.as_ref().map(response_of) else { continue };
                broken.extend(self.broken_token(&case.name, settings, &whole).await.err());
                wholes.push(whole);
            }
        }
        let case = "every answer about a token, cut off or changed anywhere".to_owned();
        checks.push(Check { file: None, case, problems: broken });
        let mut problems = Vec::new();
        for response in garbage::quoting(&self.canaries.sentence(), &wholes) {
            problems.extend(self.stands(&settings, &response).await.err());
        }
        let case = "an answer about a token that quotes secrets".to_owned();
        checks.push(Check { file: None, case, problems });
        checks
    }

    /// The answer cut off at every octet, and with one octet changed.
    async fn broken_token(
        &self,
        case: &str,
        settings: &Map,
        whole: &Response,
    ) -> Result<(), String> {
        let cut = (0..whole.body.len()).map(|end| whole.body[..end].to_vec());
        for body in cut.chain(garbage::changed(&whole.body, case)) {
            let response = Response { body, ..whole.clone() };
            let read = self.stands(settings, &response).await;
            let place = |problem| {
                let body = String::from_utf8_lossy(&response.body);
                format!("{case}: {problem}, from the body `{body}`")
            };
            let _any: Place = read.map_err(place)?;
        }
        Ok(())
    }

    async fn stands_refusal(&self, settings: &Map, response: &Response) -> Result<(), String> {
        match self.stands(settings, response).await? {
            Ok(_) => Err("it is taken for an answer with a token".to_owned()),
            Err(_) => Ok(()),
        }
    }

    /// That it neither traps nor ends a message for want of a token.
    async fn stands(&self, settings: &Map, response: &Response) -> Result<Place, String> {
        let found = self.read_token(settings, response).await?;
        if let Err(failure) = &found
            && matches!(class(failure), Class::Permanent | Class::Stopped)
        {
            return Err(format!(
                "{:?} for want of a token: no message is at fault",
                class(failure)
            ));
        }
        Ok(found)
    }
}
