//! The cases of a carrier that fetches tokens, and what each such carrier must stand: answers that are broken or
//! refuse, of which none ends a message.

use std::time::Duration;

use dripline_plugin_host::{Failure, Response, Token, TokenPlace};

use crate::carrier::{Subject, class, failure, response_of, said, shown_without_secrets};
use crate::cases::{CarrierCase, CarrierFile, Cases, Class, Map};
use crate::{Check, same};

impl Subject<'_> {
    pub(crate) async fn fetch(
        &self,
        case: &CarrierCase,
        settings: &Map,
        secrets: &Map,
    ) -> Result<(), String> {
        let secrets = self.secrets(secrets)?;
        let build =
            async || said(self.host.build_token_request(self.name, settings, &secrets).await);
        let found = build().await?;
        same("the second request", &build().await?, &found)?;
        match (found, &case.request, &case.refused) {
            (Ok(request), Some(expected), None) => {
                if request.wants_token() {
                    return Err("the request that fetches the token asks for one".to_owned());
                }
                shown_without_secrets(&self.grant(settings, &secrets)?, request.clone())?;
                expected.compare(&request)?;
            }
            (Err(found), None, Some(expected)) => failure(&found, expected)?,
            (_, None, None) if case.response.is_some() => {}
            (found, ..) => return Err(format!("the request is {found:?}")),
        }
        let Some(given) = &case.response else { return Ok(()) };
        let response = response_of(given);
        let found = self.read_token(settings, &response).await?;
        same("the second outcome", &self.read_token(settings, &response).await?, &found)?;
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

    async fn read_token(
        &self,
        settings: &Map,
        response: &Response,
    ) -> Result<Result<TokenPlace, Failure>, String> {
        said(self.host.read_token_answer(self.name, settings, response).await)
    }

    /// What every carrier that fetches tokens is put through.
    pub(crate) async fn token_hardship(&self, files: &[Cases<CarrierFile>]) -> Vec<Check> {
        if !self.token {
            return Vec::new();
        }
        let settings = files.first().map(|file| file.content.settings.clone()).unwrap_or_default();
        let bodies: [&[u8]; 5] = [b"", b"null", b"<html>", b"\xff\xfe\x00", br#"{"error":"x"}"#];
        let mut checks = Vec::new();
        for status in [302, 400, 401, 403, 429, 500, 503] {
            let mut problems = Vec::new();
            for body in bodies {
                let response = Response { status, headers: vec![], body: body.to_vec() };
                problems.extend(self.stands_refusal(&settings, &response).await.err());
            }
            checks.push(Check {
                file: None,
                case: format!("{status} instead of a token"),
                problems,
            });
        }
        let mut problems = Vec::new();
        for file in files {
            for case in file.content.cases.iter().filter(|case| case.fetch) {
                let settings = case.settings.as_ref().unwrap_or(&file.content.settings);
                let Some(whole) = case.response.as_ref().map(response_of) else { continue };
                for end in 0..whole.body.len() {
                    let response = Response { body: whole.body[..end].to_vec(), ..whole.clone() };
                    if let Err(problem) = self.stands(settings, &response).await {
                        problems.push(format!("{}, after {end} octets: {problem}", case.name));
                        break;
                    }
                }
            }
        }
        let case = "every answer about a token, cut off anywhere".to_owned();
        checks.push(Check { file: None, case, problems });
        checks
    }

    async fn stands_refusal(&self, settings: &Map, response: &Response) -> Result<(), String> {
        match self.stands(settings, response).await? {
            Ok(_) => Err("it is taken for an answer with a token".to_owned()),
            Err(_) => Ok(()),
        }
    }

    /// That it neither traps nor ends a message for want of a token.
    async fn stands(
        &self,
        settings: &Map,
        response: &Response,
    ) -> Result<Result<TokenPlace, Failure>, String> {
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
