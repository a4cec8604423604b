//! A renderer's cases.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Failed, same};
use crate::{Fields, Problem, RenderError, Renderer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    template: String,
    fields: Option<Vec<String>>,
    problems: Option<Vec<Problem>>,
    #[serde(default)]
    audience: Vec<Contact>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact {
    #[serde(default)]
    fields: BTreeMap<String, String>,
    text: Option<String>,
    error: Option<RenderError>,
}

pub(super) fn run<R: Renderer>(file: &File) -> (usize, Vec<Failed>) {
    let check = |case: &Case| check::<R>(case).err().map(|reason| (case.name.clone(), reason));
    (file.case.len(), file.case.iter().filter_map(check).collect())
}

fn check<R: Renderer>(case: &Case) -> Result<(), String> {
    let checked = R::check(&case.template);
    match (&case.fields, &case.problems) {
        (Some(fields), None) => same("check", &checked, &Ok(fields.clone()))?,
        (None, Some(problems)) => same("check", &checked, &Err(problems.clone()))?,
        _ => return Err("has either `fields` or `problems`".to_owned()),
    }
    let audience: Vec<Fields> =
        case.audience.iter().map(|contact| contact.fields.clone().into_iter().collect()).collect();
    let expected: Vec<_> = case.audience.iter().map(Contact::expected).collect::<Result<_, _>>()?;
    let rendered = R::render(&case.template, audience.clone());
    same("render", &rendered, &expected)?;
    same("the second render", &R::render(&case.template, audience.clone()), &expected)?;
    for (contact, expected) in audience.into_iter().zip(expected) {
        same("render alone", &R::render(&case.template, vec![contact]), &vec![expected])?;
    }
    let errors =
        rendered.iter().zip(&case.audience).filter_map(|(r, c)| Some((r.as_ref().err()?, c)));
    for (error, contact) in errors {
        // Short values may be part of an ordinary word.
        let mut values = contact.fields.values().filter(|value| value.len() > 3);
        if let Some(value) = values.find(|value| error.text.contains(*value)) {
            return Err(format!("an error quotes the field value `{value}`"));
        }
    }
    Ok(())
}

impl Contact {
    fn expected(&self) -> Result<Result<String, RenderError>, String> {
        match (&self.text, &self.error) {
            (Some(text), None) => Ok(Ok(text.clone())),
            (None, Some(error)) => Ok(Err(error.clone())),
            _ => Err("a contact has either `text` or `error`".to_owned()),
        }
    }
}
