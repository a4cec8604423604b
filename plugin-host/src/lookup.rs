//! Calls to carriers that can be asked: what request asks about a message, and what an answer means.

use crate::bindings::carrier::dripline::plugin::http as wire;
use crate::bindings::lookup::LookupPluginPre;
use crate::bindings::lookup::exports::dripline::plugin::lookup as wit;
use crate::carrier::{
    MOST_BUILD_FAILURES, MOST_READ_FAILURES, accepted_of, failure_of, go_on, refuse_smuggling,
    request_of, wit_headers, wit_settings,
};
use crate::error::PluginError;
use crate::http::{Request, Response};
use crate::message::{Accepted, CallError, Question, Settings};
use crate::registry::CarrierReady;
use crate::session::{Session, Setting};
use crate::state::State;

/// One request per question, in their order.
pub(crate) fn build_questions(
    setting: Setting<'_>,
    ready: &CarrierReady,
    settings: &Settings,
    questions: &[Question],
) -> Vec<Result<Request, CallError>> {
    let has_token = ready.token.is_some();
    let Some(pre) = &ready.lookup else { return cannot_be_asked(setting, questions.len()) };
    let settings = wit_settings(settings);
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    questions
        .iter()
        .map(|question| {
            let Question { reference, sender, recipient, .. } = question;
            refuse_smuggling([reference, sender, recipient], has_token)?;
            go_on(setting, &session, MOST_BUILD_FAILURES)?;
            let built = session.call("lookup.request", reference, |store, plugin| {
                let lookup = plugin.dripline_plugin_lookup();
                lookup.call_request(store, &settings, wit_question(question))
            })?;
            let request = built.map_err(|failure| CallError::Failure(failure_of(failure)))?;
            Ok(request_of(setting, request)?)
        })
        .collect()
}

/// One reading per answer, in their order.
pub(crate) fn read_findings(
    setting: Setting<'_>,
    pre: Option<&LookupPluginPre<State>>,
    settings: &Settings,
    answers: &[(Question, Response)],
) -> Vec<Result<Option<Accepted>, CallError>> {
    let Some(pre) = pre else { return cannot_be_asked(setting, answers.len()) };
    let settings = wit_settings(settings);
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    answers
        .iter()
        .map(|(question, response)| {
            go_on(setting, &session, MOST_READ_FAILURES)?;
            let headers = wit_headers(response);
            let answer =
                wire::Response { status: response.status, headers: &headers, body: &response.body };
            let read = session.call("lookup.outcome", "", |store, plugin| {
                let lookup = plugin.dripline_plugin_lookup();
                lookup.call_outcome(store, &settings, wit_question(question), answer)
            })?;
            match read {
                Ok(found) => Ok(found.map(accepted_of)),
                Err(failure) => Err(CallError::Failure(failure_of(failure))),
            }
        })
        .collect()
}

fn wit_question(question: &Question) -> wit::Question<'_> {
    wit::Question {
        reference: &question.reference,
        sender: &question.sender,
        recipient: &question.recipient,
        attempted_at_ms: question.attempted_at_ms,
    }
}

fn cannot_be_asked<T>(setting: Setting<'_>, count: usize) -> Vec<Result<T, CallError>> {
    let error = PluginError::NoLookup { plugin: setting.plugin.to_owned() };
    (0..count).map(|_| Err(CallError::Plugin(error.clone()))).collect()
}
