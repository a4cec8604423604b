//! Reads a workflow file. Every problem is found in one pass, not only the first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use chrono::NaiveTime;
use dripline_domain::timing::{Timing, WeekdaySet};
use dripline_domain::workflow::{InvalidWorkflow, StepDraft, SurplusPolicy, WorkflowDraft};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::Failure;
use crate::source::{Problem, Source};

/// What a file says, and where it says it.
#[derive(Debug)]
pub(crate) struct ReadFile {
    pub(crate) draft: WorkflowDraft,
    pub(crate) spans: Spans,
}

/// Where the values of a file stand, by the names that [`WorkflowDraft::validate`] gives them:
/// `name`, `steps[2].template` with steps counted from 1.
#[derive(Debug, Default)]
pub(crate) struct Spans(BTreeMap<String, Range<usize>>);

impl Spans {
    /// The bytes of a value, or of the step that lacks it, or of nothing.
    pub(crate) fn at(&self, path: &str) -> Range<usize> {
        let step = path.split_once('.').map_or(path, |(step, _)| step);
        self.0.get(path).or_else(|| self.0.get(step)).cloned().unwrap_or(0..0)
    }
}

/// Reads a workflow file.
///
/// # Errors
/// A refusal that shows every problem with its line, column and source line.
pub(crate) fn read(source: &Source) -> Result<ReadFile, Failure> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        let problems = errors.iter().map(|error| Problem {
            span: error.span().unwrap_or(0..0),
            message: error.message().replace('\n', ", "),
        });
        return Err(source.refuse(problems.collect()));
    }
    let mut reader = Reader::default();
    let draft = reader.workflow(document.get_ref());
    let Reader { mut problems, spans } = reader;
    if let Some(Err(InvalidWorkflow(invalid))) = draft.as_ref().map(WorkflowDraft::validate) {
        let placed = invalid.into_iter();
        problems.extend(placed.map(|p| Problem { span: spans.at(&p.at), message: p.text }));
    }
    match draft {
        Some(draft) if problems.is_empty() => Ok(ReadFile { draft, spans }),
        _ => Err(source.refuse(problems)),
    }
}

/// The renderer of a step that names none.
const DEFAULT_RENDERER: &str = "template";
const WORKFLOW_KEYS: [&str; 3] = ["name", "surplus", "steps"];
const STEP_KEYS: [&str; 7] =
    ["route", "renderer", "after", "at", "days", "expires_after", "template"];
#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    spans: Spans,
}

impl Reader {
    fn workflow(&mut self, table: &DeTable<'_>) -> Option<WorkflowDraft> {
        self.check_keys(table, &WORKFLOW_KEYS, "a workflow");
        let name = self.required(table, "name", "").and_then(|value| self.text(value));
        let surplus_policy = self.optional(table, "surplus", "", Self::surplus);
        let tables = self.required(table, "steps", "").and_then(|value| self.tables(value))?;
        let steps: Vec<_> =
            (1..).zip(tables).map(|(number, step)| self.step(number, step)).collect();
        Some(WorkflowDraft {
            name: name?,
            surplus_policy: surplus_policy?.unwrap_or_default(),
            steps: steps.into_iter().collect::<Option<_>>()?,
        })
    }

    fn surplus(&mut self, value: &Spanned<DeValue<'_>>) -> Option<SurplusPolicy> {
        let text = self.text(value)?;
        text.parse().ok().or_else(|| {
            self.problem(
                &value.span(),
                "`surplus` is \"fail\" or \"charge\": what to do when a text needs more segments \
                 than were held for it",
            )
        })
    }

    fn step(
        &mut self,
        number: usize,
        (table, span): (&DeTable<'_>, Range<usize>),
    ) -> Option<StepDraft> {
        let step = format!("steps[{number}]");
        self.spans.0.insert(step.clone(), span);
        self.check_keys(table, &STEP_KEYS, "a step");
        let route = self.required(table, "route", &step).and_then(|value| self.text(value));
        let template = self.required(table, "template", &step).and_then(|value| self.text(value));
        let renderer = self.optional(table, "renderer", &step, Self::text);
        let after = self.optional(table, "after", &step, Self::duration);
        let at = self.optional(table, "at", &step, Self::time_of_day);
        let days = self.optional(table, "days", &step, Self::weekdays);
        let expires_after = self.optional(table, "expires_after", &step, Self::duration);
        Some(StepDraft {
            template: template?,
            renderer: renderer?.unwrap_or_else(|| DEFAULT_RENDERER.to_owned()),
            route: route?,
            timing: Timing {
                after: after?.unwrap_or_default(),
                at: at?,
                days: days?.unwrap_or_default(),
                expires_after: expires_after?,
            },
        })
    }

    fn duration(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let text = self.text(value)?;
        match humantime::parse_duration(&text) {
            Ok(duration) => Some(duration),
            Err(error) => self.problem(
                &value.span(),
                format!("not a duration ({error}); write it like \"45m\" or \"1d 12h\""),
            ),
        }
    }

    fn time_of_day(&mut self, value: &Spanned<DeValue<'_>>) -> Option<NaiveTime> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(local) if local.date.is_none() && local.offset.is_none() => {
                local.to_string()
            }
            _ => return self.problem(&value.span(), "expected a time of day such as \"09:30\""),
        };
        let time = NaiveTime::parse_from_str(&text, "%H:%M")
            .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M:%S"));
        match time {
            Ok(time) => Some(time),
            Err(_) => self.problem(
                &value.span(),
                "not a time of day; write it like \"09:30\", in the contact's time zone",
            ),
        }
    }

    fn weekdays(&mut self, value: &Spanned<DeValue<'_>>) -> Option<WeekdaySet> {
        let DeValue::Array(values) = value.get_ref() else {
            return self.problem(&value.span(), "expected a list such as [\"mon\", \"tue\"]");
        };
        let days: Vec<_> = values.iter().map(|value| self.weekday(value)).collect();
        let days = days.into_iter().collect::<Option<Vec<_>>>()?;
        match WeekdaySet::new(days.into_iter().flat_map(WeekdaySet::iter)) {
            Ok(days) => Some(days),
            Err(error) => self.problem(&value.span(), error.to_string()),
        }
    }

    fn weekday(&mut self, value: &Spanned<DeValue<'_>>) -> Option<WeekdaySet> {
        let text = self.text(value)?;
        match WeekdaySet::try_from(vec![text]) {
            Ok(day) => Some(day),
            Err(error) => self.problem(&value.span(), error.to_string()),
        }
    }

    fn tables<'t, 'i>(
        &mut self,
        value: &'t Spanned<DeValue<'i>>,
    ) -> Option<Vec<(&'t DeTable<'i>, Range<usize>)>> {
        let DeValue::Array(values) = value.get_ref() else {
            return self.problem(&value.span(), "write every step under its own [[steps]]");
        };
        if values.is_empty() {
            return self.problem(&value.span(), "a workflow has at least one step");
        }
        let tables = values.iter().map(|value| match value.get_ref() {
            DeValue::Table(table) => Some((table, value.span())),
            _ => self.problem(&value.span(), "write every step under its own [[steps]]"),
        });
        let tables: Vec<_> = tables.collect();
        tables.into_iter().collect()
    }

    fn text(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => self.problem(&value.span(), "expected a text in quotes"),
        }
    }

    /// `Some(None)` when the key is absent, `None` after a problem.
    #[expect(clippy::option_option, reason = "absent and wrong are two things")]
    fn optional<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        owner: &str,
        read: impl FnOnce(&mut Self, &Spanned<DeValue<'_>>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.find(table, key, owner) {
            None => Some(None),
            Some(value) => read(self, value).map(Some),
        }
    }

    fn required<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &str,
        owner: &str,
    ) -> Option<&'t Spanned<DeValue<'i>>> {
        let value = self.find(table, key, owner);
        if value.is_none() {
            let place = self.spans.at(owner);
            self.problem::<()>(&place, format!("`{key}` is missing"));
        }
        value
    }

    /// Finds a value and remembers where it stands.
    fn find<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &str,
        owner: &str,
    ) -> Option<&'t Spanned<DeValue<'i>>> {
        let value = table.get(key)?;
        let path = if owner.is_empty() { key.to_owned() } else { format!("{owner}.{key}") };
        self.spans.0.insert(path, value.span());
        Some(value)
    }

    fn check_keys(&mut self, table: &DeTable<'_>, known: &[&str], owner: &str) {
        for (key, _) in table {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let nearest = known
                    .iter()
                    .max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)))
                    .expect("every table has known keys");
                self.problem::<()>(
                    &key.span(),
                    format!("{owner} has no key `{name}`; did you mean `{nearest}`?"),
                );
            }
        }
    }

    /// Notes a problem. Returns `None` so that a reader can end with it.
    fn problem<T>(&mut self, span: &Range<usize>, message: impl Into<String>) -> Option<T> {
        self.problems.push(Problem { span: span.clone(), message: message.into() });
        None
    }
}
