//! A workflow for people with time, made one for people who watch.

use std::time::Duration;

use anyhow::{Context, bail};

const SECONDS_PER_DAY: u64 = 86_400;

/// How long a day takes in the demo.
const DAY_IN_SECONDS: u64 = 2;

/// Scales the delays of a workflow file so that a day takes two seconds, and drops what ties a
/// step to the clock on the wall (`at`, `days`, `expires_after`). Everything else stays.
pub(super) fn hasten(text: &str) -> anyhow::Result<String> {
    let mut workflow: toml::Table = toml::from_str(text).context("read the workflow file")?;
    let Some(toml::Value::Array(steps)) = workflow.get_mut("steps") else {
        bail!("the workflow file has no steps");
    };
    for step in steps {
        let step = step.as_table_mut().context("a step of the workflow file is no table")?;
        for tie in ["at", "days", "expires_after"] {
            step.remove(tie);
        }
        if let Some(after) = step.get_mut("after") {
            let text = after.as_str().context("`after` is no text")?;
            let delay = humantime::parse_duration(text).context("read `after`")?;
            *after = toml::Value::String(humantime::format_duration(scaled(delay)).to_string());
        }
    }
    toml::to_string(&workflow).context("write the workflow file")
}

/// Whole seconds, the grain of the queue; a delay does not vanish.
fn scaled(delay: Duration) -> Duration {
    Duration::from_secs((delay.as_secs() * DAY_IN_SECONDS).div_ceil(SECONDS_PER_DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_takes_three_seconds_and_the_wall_clock_nothing() {
        let text = "name = \"w\"\n[[steps]]\nafter = \"0s\"\nroute = \"r\"\ntemplate = \"a\"\n\
            [[steps]]\nafter = \"2days\"\nat = \"09:30\"\ndays = [\"mon\"]\nroute = \"r\"\ntemplate = \"b\"\n";
        let hastened = hasten(text).unwrap();
        assert!(hastened.contains("after = \"4s\""), "{hastened}");
        assert!(hastened.contains("after = \"0s\""), "{hastened}");
        assert!(!hastened.contains("at =") && !hastened.contains("days ="), "{hastened}");
        assert!(hastened.contains("template = \"b\""), "{hastened}");
    }
}
