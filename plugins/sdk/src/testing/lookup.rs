//! Cases of carriers that can be asked.

use super::carrier::{Case, File};
use super::{Failed, same};
use crate::{Lookup, Question, Settings};

pub(super) fn run<L: Lookup>(file: &File) -> (usize, Vec<Failed>) {
    let cases = file.case.iter().filter(|case| case.question.is_some());
    let failed = cases.clone().filter_map(|case| {
        let checked = case.within(file, |settings| check::<L>(case, settings));
        Some((case.name.clone(), checked.err()?))
    });
    (cases.clone().count(), failed.collect())
}

fn check<L: Lookup>(case: &Case, settings: &Settings) -> Result<(), String> {
    let Some(asked) = &case.question else { return Ok(()) };
    let given =
        |value: &Option<String>, default: &str| value.as_deref().unwrap_or(default).to_owned();
    let question = Question {
        reference: given(&asked.reference, "0123456789abcdef0123456789abcdef-1-1"),
        sender: given(&asked.sender, "+12025550100"),
        recipient: given(&asked.recipient, "+12025550123").into(),
        attempted_at_ms: asked.attempted_at_ms,
    };
    match (L::lookup_request(settings, &question), &case.request, &case.refused) {
        (Ok(request), Some(expected), None) => expected.check(&request)?,
        (Err(failure), None, Some(expected)) => expected.check(&failure)?,
        (_, None, None) if case.response.is_some() => {}
        (found, ..) => return Err(format!("the question is {found:?}")),
    }
    let Some(given) = &case.response else { return Ok(()) };
    match (L::lookup_outcome(settings, &question, &given.response()), &case.found, &case.failure) {
        (Ok(found), Some(expected), None) => {
            let ids = found.map(|accepted| accepted.carrier_references).unwrap_or_default();
            same("the list of ids", &ids, expected)
        }
        (Err(failure), None, Some(expected)) => expected.check(&failure),
        (found, ..) => Err(format!("the finding is {found:?}")),
    }
}
