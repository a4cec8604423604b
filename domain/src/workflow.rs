//! Workflows as people write them: a name, steps and what happens when a text grows.

use serde::{Deserialize, Serialize};

use crate::named::named;
use crate::timing::Timing;

mod file;
pub mod order;

pub use order::{Place, ReorderError, reorder};

/// What to do when the text to be sent has more segments than were held for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SurplusPolicy {
    /// Hold the rest as well, if the balance allows; else fail the delivery.
    Charge,
    /// Fail the delivery and release its hold.
    #[default]
    Fail,
}

named!(SurplusPolicy is "a surplus policy" {
    Charge = "charge",
    Fail = "fail",
});

/// A workflow before it is stored: what a workflow file holds, and what an export gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowDraft {
    /// Unique among the account's workflows.
    pub name: String,
    /// What to do when a text has become longer than what was held for it.
    #[serde(default)]
    pub surplus_policy: SurplusPolicy,
    /// The messages, in the order in which they are sent.
    #[serde(default)]
    pub steps: Vec<StepDraft>,
}

/// One message of a workflow before it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "file::StepFile", into = "file::StepFile")]
pub struct StepDraft {
    /// The text, in the renderer's own language.
    pub template: String,
    /// The name of the renderer plugin.
    pub renderer: String,
    /// The name of the account's route to the carrier.
    pub route: String,
    /// When it is sent.
    pub timing: Timing,
}

/// One thing that is wrong with a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: `name`, or `steps[2].after` with steps counted from 1.
    pub at: String,
    /// What: a lowercase fragment.
    pub text: String,
}

/// A draft that cannot become a workflow, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.0))]
pub struct InvalidWorkflow(pub Vec<Problem>);

fn list(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.at, p.text)).collect();
    lines.join("; ")
}

impl WorkflowDraft {
    /// The most steps that a workflow can have.
    pub const MAX_STEPS: usize = 1_000;
    /// The most characters that a name can have.
    pub const MAX_NAME: usize = 200;
    /// The most bytes that a template can have.
    pub const MAX_TEMPLATE: usize = 64 * 1024;

    /// Finds everything that is wrong with the draft as far as it can be seen without plugins and
    /// routes. Templates are checked by their renderer.
    pub fn validate(&self) -> Result<(), InvalidWorkflow> {
        let mut problems = Vec::new();
        check_name(&self.name, "name", &mut problems);
        match self.steps.len() {
            0 => problems.push(problem("steps", "a workflow has at least one step")),
            n if n > Self::MAX_STEPS => problems.push(problem(
                "steps",
                format!("{n} steps are more than the {} a workflow can have", Self::MAX_STEPS),
            )),
            _ => {}
        }
        for (number, step) in (1..).zip(&self.steps) {
            step.check(&format!("steps[{number}]"), &mut problems);
        }
        if problems.is_empty() { Ok(()) } else { Err(InvalidWorkflow(problems)) }
    }
}

impl StepDraft {
    fn check(&self, at: &str, problems: &mut Vec<Problem>) {
        let template = format!("{at}.template");
        if self.template.trim().is_empty() {
            problems.push(problem(template, "the text is empty"));
        } else if self.template.len() > WorkflowDraft::MAX_TEMPLATE {
            problems.push(problem(
                template,
                format!("the text is longer than {} bytes", WorkflowDraft::MAX_TEMPLATE),
            ));
        } else if self.template.contains('\0') {
            problems.push(problem(template, "the text contains a NUL character"));
        }
        check_name(&self.renderer, &format!("{at}.renderer"), problems);
        check_name(&self.route, &format!("{at}.route"), problems);
        for timing in self.timing.problems() {
            problems.push(problem(format!("{at}.{}", timing.at), timing.text));
        }
    }
}

fn check_name(name: &str, at: &str, problems: &mut Vec<Problem>) {
    if name.trim().is_empty() {
        problems.push(problem(at, "the name is empty"));
    } else if name.trim() != name {
        problems.push(problem(at, format!("`{name}` begins or ends with a blank")));
    } else if name.chars().any(char::is_control) {
        problems.push(problem(at, format!("{name:?} contains a control character")));
    } else if name.chars().count() > WorkflowDraft::MAX_NAME {
        problems.push(problem(
            at,
            format!("the name has more than {} characters", WorkflowDraft::MAX_NAME),
        ));
    }
}

fn problem(at: impl Into<String>, text: impl Into<String>) -> Problem {
    Problem { at: at.into(), text: text.into() }
}
