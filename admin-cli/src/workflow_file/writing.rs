//! Writes a workflow as a file that reads back as the same workflow.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use dripline_domain::timing::WeekdaySet;
use dripline_domain::workflow::{StepDraft, WorkflowDraft};
use serde::Serialize;

use crate::output::sanitise::is_unsafe;

/// The file of a workflow.
pub(crate) fn write(draft: &WorkflowDraft) -> String {
    let mut text = text_line("name", &draft.name);
    text.push_str(&text_line("surplus", draft.surplus_policy.as_str()));
    for step in &draft.steps {
        text.push_str("\n[[steps]]\n");
        write_step(&mut text, step);
    }
    text
}

/// A duration as a workflow file says it: `1day 12h`.
pub(crate) fn duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn write_step(text: &mut String, step: &StepDraft) {
    text.push_str(&text_line("route", &step.route));
    text.push_str(&text_line("renderer", &step.renderer));
    text.push_str(&text_line("after", &duration(step.timing.after)));
    if let Some(at) = step.timing.at {
        text.push_str(&text_line("at", &at.format("%H:%M:%S").to_string()));
    }
    if step.timing.days != WeekdaySet::EVERY_DAY {
        text.push_str(&line("days", &Vec::<String>::from(step.timing.days)));
    }
    if let Some(expires_after) = step.timing.expires_after {
        text.push_str(&text_line("expires_after", &duration(expires_after)));
    }
    text.push_str(&text_line("template", &step.template));
}

/// A text in whatever quotes show it best; one that a terminal might obey, in escapes.
fn text_line(key: &str, value: &str) -> String {
    if !value.chars().any(|c| is_unsafe(c) && c != '\n') {
        return line(key, &value);
    }
    let mut quoted = String::new();
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if is_unsafe(c) => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    format!("{key} = \"{quoted}\"\n")
}

fn line(key: &str, value: &impl Serialize) -> String {
    let pair = BTreeMap::from([(key, value)]);
    toml::to_string(&pair).expect("texts and lists of texts are TOML")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{NaiveTime, Weekday};
    use dripline_domain::timing::{Timing, WeekdaySet};
    use dripline_domain::workflow::{StepDraft, SurplusPolicy, WorkflowDraft};

    use super::write;
    use crate::source::Source;
    use crate::workflow_file::read;

    #[test]
    fn reads_back_as_the_same_workflow() {
        let templates = [
            "Hi {{ name }}",
            "two\nlines, \"quotes\", 'single' and \\ backslash",
            "'''\"\"\"\n",
            "\n\nbegins with lines\t\r\n",
            "evil \u{1b}[2J \u{9b}31m \u{202e} \u{e0041} \"\\",
            "emoji 👩\u{200d}👧",
        ];
        let steps = templates.map(|template| StepDraft {
            template: template.to_owned(),
            renderer: "template".to_owned(),
            route: "main".to_owned(),
            timing: Timing {
                after: Duration::from_secs(90_061),
                at: NaiveTime::from_hms_opt(9, 30, 5),
                days: WeekdaySet::new([Weekday::Mon, Weekday::Sun]).unwrap(),
                expires_after: Some(Duration::from_hours(1)),
            },
        });
        let draft = WorkflowDraft {
            name: "spring \"sale\" = 1".to_owned(),
            surplus_policy: SurplusPolicy::Charge,
            steps: steps.to_vec(),
        };
        let source = Source { name: "w.toml".to_owned(), text: write(&draft) };
        assert!(!source.text.contains(['\u{1b}', '\u{9b}', '\u{202e}']));
        assert_eq!(read(&source).unwrap().draft, draft, "{}", source.text);
    }
}
