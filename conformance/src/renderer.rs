//! A renderer's cases: templates, and what they become for each contact.

use std::sync::Arc;

use dripline_plugin_host::{Fields, PluginHost, PluginInfo, RenderCheckError, RenderError};

use crate::cases::{Cases, ExpectedProblem, Person, RendererCase, RendererFile};
use crate::{Check, same};

/// A field's value shorter than this may be part of an ordinary word.
const TELLING: usize = 4;

/// A text, or an error's code and text.
type Text = Result<String, (String, String)>;

pub(crate) async fn run(
    host: &PluginHost,
    plugin: &PluginInfo,
    files: &[Cases<RendererFile>],
) -> Vec<Check> {
    let subject = Subject { host, name: &plugin.name };
    let mut checks = Vec::new();
    for file in files {
        for case in &file.content.cases {
            let problem = subject.case(case).await.err();
            checks.push(Check {
                file: Some(file.name.clone()),
                case: case.name.clone(),
                problems: problem.into_iter().collect(),
            });
        }
    }
    for (name, template) in hardships() {
        let problem = subject.stands(&template).await.err();
        checks.push(Check {
            file: None,
            case: name.to_owned(),
            problems: problem.into_iter().collect(),
        });
    }
    checks
}

/// Templates that nobody would write and everybody may send.
fn hardships() -> [(&'static str, String); 5] {
    [
        ("an empty template", String::new()),
        ("a template of a hundred kilobytes", "long {{ a }} ".repeat(8_000)),
        ("a template that nests deeply", "{% if a %}".repeat(5_000)),
        ("a template of control characters", (0..32_u8).map(char::from).collect()),
        ("a template in every script", "\u{202e}\u{0627}\u{4e2d}\u{1f600}\u{0301}{{".to_owned()),
    ]
}

struct Subject<'a> {
    host: &'a PluginHost,
    name: &'a str,
}

impl Subject<'_> {
    async fn case(&self, case: &RendererCase) -> Result<(), String> {
        let checked = self.check(&case.template).await?;
        match (&case.fields, &case.problems) {
            (Some(fields), None) => same("the check", &checked, &Ok(fields.clone()))?,
            (None, Some(problems)) => same("the check", &checked, &Err(problems.clone()))?,
            _ => return Err("it has either `fields` or `problems`".to_owned()),
        }
        let expected: Vec<Text> =
            case.audience.iter().map(Person::expected).collect::<Result<_, _>>()?;
        let audience: Vec<Fields> = case.audience.iter().map(|one| one.fields.clone()).collect();
        let rendered = self.render(&case.template, audience.clone()).await?;
        same("what is rendered", &rendered, &expected)?;
        // The same people twice in one call, and once more by another instance.
        let both: Vec<Fields> = audience.iter().chain(&audience).cloned().collect();
        let again = self.render(&case.template, both).await?;
        let twice: Vec<Text> = expected.iter().chain(&expected).cloned().collect();
        same("what is rendered twice", &again, &twice)?;
        same("the second check", &self.check(&case.template).await?, &checked)?;
        for (contact, expected) in audience.into_iter().zip(expected) {
            let alone = self.render(&case.template, vec![contact]).await?;
            same("what is rendered alone", &alone, &vec![expected])?;
        }
        for (text, person) in rendered.iter().zip(&case.audience) {
            let Err((_, words)) = text else { continue };
            let mut values = person.fields.values().filter(|value| value.len() >= TELLING);
            if let Some(value) = values.find(|value| words.contains(*value)) {
                return Err(format!("an error quotes the field value `{value}`"));
            }
        }
        Ok(())
    }

    /// That it gives some answer, within its limits.
    async fn stands(&self, template: &str) -> Result<(), String> {
        self.check(template).await.map(drop)?;
        let contact = Fields::from([("a".to_owned(), "\0\u{1b}[2J".to_owned())]);
        self.render(template, vec![Fields::new(), contact]).await.map(drop)
    }

    async fn check(
        &self,
        template: &str,
    ) -> Result<Result<Vec<String>, Vec<ExpectedProblem>>, String> {
        match self.host.check_template(self.name, template).await {
            Ok(fields) => Ok(Ok(fields)),
            Err(RenderCheckError::Problems { problems, .. }) => Ok(Err(problems
                .into_iter()
                .map(|p| ExpectedProblem { line: p.line, column: p.column, text: p.text })
                .collect())),
            Err(RenderCheckError::Plugin(error)) => Err(error.to_string()),
        }
    }

    async fn render(&self, template: &str, audience: Vec<Fields>) -> Result<Vec<Text>, String> {
        let rendered = self.host.render(self.name, Arc::from(template), audience).await;
        let texts = rendered.map_err(|error| error.to_string())?.into_iter().map(|text| {
            match text {
                Ok(text) => Ok(Ok(text)),
                Err(RenderError::Refused { code, text }) => Ok(Err((code, text))),
                // The host's own limit, which the template may well reach.
                Err(error @ RenderError::TooLong { .. }) => {
                    Ok(Err((error.code().to_owned(), error.to_string())))
                }
                Err(RenderError::Plugin(error)) => Err(error.to_string()),
            }
        });
        texts.collect()
    }
}

impl Person {
    fn expected(&self) -> Result<Text, String> {
        match (&self.text, &self.error) {
            (Some(text), None) => Ok(Ok(text.clone())),
            (None, Some(error)) => Ok(Err((error.code.clone(), error.text.clone()))),
            _ => Err("a contact has either `text` or `error`".to_owned()),
        }
    }
}
