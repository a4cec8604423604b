//! The cases of a carrier that can be asked, and what each such carrier must stand: answers from which nobody can tell
//! whether it has the message. Whoever takes one of them for "no" sends the message again.

use dripline_plugin_host::{Accepted, Failure, Question, Response};

use crate::canary::signatures;
use crate::carrier::{Subject, failure, private, response_of, said, secrets_of};
use crate::cases::{Asked, CarrierCase, CarrierFile, Cases, Map, Message};
use crate::{Check, garbage, same};

type Finding = Result<Option<Accepted>, Failure>;

/// One case's answer, and what it is an answer to.
struct Answer<'a> {
    case: &'a str,
    settings: Map,
    question: Question,
    response: Response,
}

impl Subject<'_> {
    pub(crate) async fn ask(
        &self,
        case: &CarrierCase,
        asked: &Asked,
        settings: &Map,
        secrets: &Map,
        message: &Message,
    ) -> Result<(), String> {
        let question = question_of(asked, message);
        let values = self.canaries.values(secrets);
        let secrets = secrets_of(&values)?;
        let known = [&*question.reference, &*question.recipient, ""].map(str::as_bytes);
        let build = async |count| {
            let questions = vec![question.clone(); count];
            let built = self.host.build_questions(self.name, settings, &secrets, questions).await;
            built.into_iter().map(said).collect()
        };
        let built = self.steady("question", &signatures(&values, &known), build).await?;
        match (built, &case.request) {
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
        let response = response_of(given);
        let found =
            self.steady("finding", &[], self.finder(settings, &question, &response)).await?;
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

    /// What the carrier makes of an answer to a question, twice alike.
    async fn find(
        &self,
        settings: &Map,
        question: &Question,
        response: &Response,
    ) -> Result<Finding, String> {
        self.twice("finding", &[], &self.finder(settings, question, response)).await
    }

    fn finder(
        &self,
        settings: &Map,
        question: &Question,
        response: &Response,
    ) -> impl AsyncFn(usize) -> Vec<Result<Finding, String>> {
        async move |count| {
            let answers = vec![(question.clone(), response.clone()); count];
            let found = self.host.read_findings(self.name, settings, answers).await;
            found.into_iter().map(said).collect()
        }
    }

    /// What every carrier that can be asked is put through.
    pub(crate) async fn lookup_hardship(&self, files: &[Cases<CarrierFile>]) -> Vec<Check> {
        if !self.plugin.lookup {
            return Vec::new();
        }
        let answers = answers(files);
        // Bodies that are not the case's own are read in the same way by all that have its settings.
        let mut asked: Vec<&Answer<'_>> = Vec::new();
        for answer in &answers {
            if asked.iter().all(|other| other.settings != answer.settings) {
                asked.push(answer);
            }
        }
        let mut checks = Vec::new();
        for (name, body) in garbage::bodies() {
            // A carrier may well say "no" in as few octets.
            if answers.iter().any(|answer| answer.response.body == body) {
                continue;
            }
            let problems = self.each_status(&asked, &body).await;
            let case = format!("an answer to a question, {name}");
            checks.push(Check { file: None, case, problems });
        }
        let mut problems = Vec::new();
        for answer in &answers {
            problems.extend(self.broken_finding(answer).await.err());
        }
        let case = "every answer to a question, cut off or changed anywhere".to_owned();
        checks.push(Check { file: None, case, problems });
        let responses: Vec<_> = answers.iter().map(|answer| answer.response.clone()).collect();
        checks.push(self.quoted_finding(&asked, &responses).await);
        checks
    }

    async fn each_status(&self, asked: &[&Answer<'_>], body: &[u8]) -> Vec<String> {
        let mut problems = Vec::new();
        for Answer { settings, question, .. } in asked {
            for status in [200, 302, 401, 403, 404, 429, 500, 503] {
                let response = Response { status, headers: vec![], body: body.to_vec() };
                let found = self.find(settings, question, &response).await;
                let problem = found.and_then(|found| nobody_knows(&found, status)).err();
                problems.extend(problem.map(|problem| format!("{status}: {problem}")));
            }
        }
        problems
    }

    /// The answer cut off at every octet, and with one octet changed.
    async fn broken_finding(&self, answer: &Answer<'_>) -> Result<(), String> {
        let Answer { case, settings, question, response: whole } = answer;
        let cut = (0..whole.body.trim_ascii_end().len()).map(|end| whole.body[..end].to_vec());
        let changed = garbage::changed(&whole.body, case);
        for body in cut.chain(changed) {
            let response = Response { body, ..whole.clone() };
            let place = |problem| {
                let body = String::from_utf8_lossy(&response.body);
                format!("{case}: {problem}, from the body `{body}`")
            };
            let found = self.find(settings, question, &response).await.map_err(place)?;
            if garbage::broke(&whole.body, &response.body) {
                nobody_knows(&found, whole.status).map_err(place)?;
            }
        }
        Ok(())
    }

    async fn quoted_finding(&self, asked: &[&Answer<'_>], responses: &[Response]) -> Check {
        let mut problems = Vec::new();
        for Answer { settings, question, .. } in asked {
            for response in garbage::quoting(&self.canaries.sentence(), responses) {
                problems.extend(self.find(settings, question, &response).await.err());
            }
        }
        Check {
            file: None,
            case: "an answer to a question that quotes secrets".to_owned(),
            problems,
        }
    }
}

/// The answers of all cases, each with its own settings; one to a question of ours when there is none.
fn answers(files: &[Cases<CarrierFile>]) -> Vec<Answer<'_>> {
    let mut answers: Vec<_> = files
        .iter()
        .flat_map(|file| file.content.cases.iter().map(move |case| (&file.content, case)))
        .filter_map(|(file, case)| {
            let message = case.message.as_ref().unwrap_or(&file.message);
            Some(Answer {
                case: &case.name,
                settings: case.settings.as_ref().unwrap_or(&file.settings).clone(),
                question: question_of(case.question.as_ref()?, message),
                response: response_of(case.response.as_ref()?),
            })
        })
        .collect();
    if answers.is_empty() {
        answers.push(Answer {
            case: "a question of the kit's own",
            settings: files.first().map(|file| file.content.settings.clone()).unwrap_or_default(),
            question: question_of(&Asked::default(), &Message::default()),
            response: Response { status: 200, headers: vec![], body: br#"{"found":1}"#.to_vec() },
        });
    }
    answers
}

fn question_of(asked: &Asked, message: &Message) -> Question {
    let given = |value: &Option<String>, of: &String| value.clone().unwrap_or_else(|| of.clone());
    Question {
        reference: given(&asked.reference, &message.reference),
        sender: given(&asked.sender, &message.sender),
        recipient: given(&asked.recipient, &message.recipient),
        attempted_at_ms: asked.attempted_at_ms,
    }
}

/// After such an answer nobody can say that the carrier does not have the message, nor that it does without an id.
fn nobody_knows(found: &Finding, status: u16) -> Result<(), String> {
    match found {
        // That there is no such message is what the status says.
        Ok(None) if status == 404 => Ok(()),
        Ok(None) => Err("it says that the carrier does not have the message".to_owned()),
        Ok(Some(_)) if !(200..300).contains(&status) => {
            Err("it says that the carrier has the message".to_owned())
        }
        Ok(Some(accepted)) if accepted.carrier_references.iter().all(String::is_empty) => {
            Err("it says that the carrier has the message, without an id".to_owned())
        }
        _ => Ok(()),
    }
}
