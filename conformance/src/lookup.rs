//! The cases of a carrier that can be asked.

use dripline_plugin_host::Question;

use crate::carrier::{Subject, failure, private, response_of, said};
use crate::cases::{Asked, CarrierCase, Map, Message};
use crate::same;

impl Subject<'_> {
    pub(crate) async fn ask(
        &self,
        case: &CarrierCase,
        asked: &Asked,
        settings: &Map,
        secrets: &Map,
        message: &Message,
    ) -> Result<(), String> {
        let given =
            |value: &Option<String>, of: &String| value.clone().unwrap_or_else(|| of.clone());
        let question = Question {
            reference: given(&asked.reference, &message.reference),
            sender: given(&asked.sender, &message.sender),
            recipient: given(&asked.recipient, &message.recipient),
            attempted_at_ms: asked.attempted_at_ms,
        };
        let secrets = self.secrets(secrets)?;
        let one = vec![question.clone()];
        let built = self.host.build_questions(self.name, settings, &secrets, one).await;
        match (said(built.into_iter().next().ok_or("there is no question")?)?, &case.request) {
            (Ok(request), Some(expected)) => {
                self.may_leave(settings, &secrets, request.clone())?;
                expected.compare(&request)?;
            }
            (Err(found), None) if case.refused.is_some() => {
                private(&found, message)?;
                failure(&found, case.refused.as_ref().ok_or("nothing is refused")?)?;
            }
            (_, None) if case.response.is_some() => {}
            (found, _) => return Err(format!("the question is {found:?}")),
        }
        let Some(given) = &case.response else { return Ok(()) };
        let answers = vec![(question.clone(), response_of(given)), (question, response_of(given))];
        let mut read = self.host.read_findings(self.name, settings, answers).await.into_iter();
        let found = said(read.next().ok_or("there is no finding")?)?;
        same("the second finding", &said(read.next().ok_or("there is no finding")?)?, &found)?;
        match (found, &case.found, &case.failure) {
            (Ok(found), Some(expected), None) => {
                let ids = found.map(|accepted| accepted.carrier_references).unwrap_or_default();
                same("the list of ids", &ids, expected)
            }
            (Err(found), None, Some(expected)) => {
                private(&found, message)?;
                failure(&found, expected)
            }
            (found, ..) => Err(format!("the finding is {found:?}")),
        }
    }
}
