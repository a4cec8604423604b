//! A step as it stands in a workflow file: one flat table with durations and times as people write
//! them.

use std::time::Duration;

use chrono::{NaiveTime, Timelike};
use serde::{Deserialize, Serialize};

use super::StepDraft;
use crate::timing::{Timing, WeekdaySet};

/// One `[[steps]]` table. Its keys are those of [`StepDraft`] and [`Timing`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepFile {
    renderer: String,
    route: String,
    template: String,
    #[serde(default = "at_once")]
    after: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(default, skip_serializing_if = "is_every_day")]
    days: WeekdaySet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_after: Option<String>,
}

fn at_once() -> String {
    "0s".to_owned()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_every_day(days: &WeekdaySet) -> bool {
    *days == WeekdaySet::EVERY_DAY
}

/// Why a text in a step is not what its key needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StepFileError {
    #[error(
        "{key} is `{text}`, which is not a duration; write it like `90s`, `2h 30m` or `3 days`"
    )]
    Duration { key: &'static str, text: String },
    #[error("at is `{0}`, which is not a time of day; write it like `09:30`")]
    TimeOfDay(String),
}

impl TryFrom<StepFile> for StepDraft {
    type Error = StepFileError;

    fn try_from(file: StepFile) -> Result<Self, Self::Error> {
        let timing = Timing {
            after: duration("after", &file.after)?,
            at: file.at.as_deref().map(time_of_day).transpose()?,
            days: file.days,
            expires_after: file
                .expires_after
                .as_deref()
                .map(|text| duration("expires_after", text))
                .transpose()?,
        };
        Ok(Self { template: file.template, renderer: file.renderer, route: file.route, timing })
    }
}

impl From<StepDraft> for StepFile {
    fn from(step: StepDraft) -> Self {
        let human = |duration: Duration| humantime::format_duration(duration).to_string();
        Self {
            renderer: step.renderer,
            route: step.route,
            template: step.template,
            after: human(step.timing.after),
            at: step.timing.at.map(format_time_of_day),
            days: step.timing.days,
            expires_after: step.timing.expires_after.map(human),
        }
    }
}

fn duration(key: &'static str, text: &str) -> Result<Duration, StepFileError> {
    humantime::parse_duration(text.trim())
        .map_err(|_| StepFileError::Duration { key, text: text.to_owned() })
}

fn time_of_day(text: &str) -> Result<NaiveTime, StepFileError> {
    ["%H:%M", "%H:%M:%S"]
        .into_iter()
        .find_map(|form| NaiveTime::parse_from_str(text.trim(), form).ok())
        .ok_or_else(|| StepFileError::TimeOfDay(text.to_owned()))
}

fn format_time_of_day(at: NaiveTime) -> String {
    let form = if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    at.format(form).to_string()
}
