use std::time::Duration;

use chrono::NaiveTime;
use dripline_domain::timing::{Timing, WeekdaySet};
use dripline_domain::workflow::{StepDraft, SurplusPolicy, WorkflowDraft};

const WELCOME: &str = r#"name = "welcome"
surplus_policy = "charge"

[[steps]]
renderer = "minijinja"
route = "main"
template = "Hello {{ first_name }}"
after = "0s"

[[steps]]
renderer = "minijinja"
route = "main"
template = "How is it going?"
after = "2days"
at = "09:30"
days = ["mon", "tue"]
expires_after = "6h"
"#;

fn welcome() -> WorkflowDraft {
    let step = |template: &str, timing| StepDraft {
        template: template.to_owned(),
        renderer: "minijinja".to_owned(),
        route: "main".to_owned(),
        timing,
    };
    let later = Timing {
        after: Duration::from_hours(48),
        at: NaiveTime::from_hms_opt(9, 30, 0),
        days: WeekdaySet::from_iso([1, 2]).unwrap(),
        expires_after: Some(Duration::from_hours(6)),
    };
    WorkflowDraft {
        name: "welcome".to_owned(),
        surplus_policy: SurplusPolicy::Charge,
        steps: vec![
            step("Hello {{ first_name }}", Timing::default()),
            step("How is it going?", later),
        ],
    }
}

#[test]
fn a_file_and_back() {
    assert_eq!(toml::from_str::<WorkflowDraft>(WELCOME).unwrap(), welcome());
    assert_eq!(toml::to_string(&welcome()).unwrap(), WELCOME);
    assert_eq!(welcome().validate(), Ok(()));
}

#[test]
fn mistakes_in_a_file() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(WELCOME.contains(from), "{from}");
        let error = toml::from_str::<WorkflowDraft>(&WELCOME.replace(from, to)).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    };
    check("\"2days\"", "\"soon\"", "after is `soon`, which is not a duration");
    check("\"6h\"", "\"-6h\"", "expires_after is `-6h`, which is not a duration");
    check("\"09:30\"", "\"25:00\"", "at is `25:00`, which is not a time of day");
    check("[\"mon\", \"tue\"]", "[]", "no weekday is given");
    check("\"tue\"", "\"someday\"", "`someday` is not a weekday");
    check("expires_after", "expire_after", "unknown field `expire_after`");
    check("\"charge\"", "\"ignore\"", "`ignore` is not a surplus policy; known are charge, fail");
    check("name =", "nmae =", "unknown field `nmae`");
}

#[test]
fn all_problems_are_found() {
    let mut draft = welcome();
    draft.name = " ".to_owned();
    draft.steps[0].template = "\n".to_owned();
    draft.steps[0].route = String::new();
    draft.steps[1].renderer = "mini ".to_owned();
    draft.steps[1].timing.after = Duration::from_millis(1);
    draft.steps[1].timing.expires_after = Some(Duration::ZERO);
    let problems = draft.validate().unwrap_err().0;
    let lines: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.at, p.text)).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    name: the name is empty
    steps[1].template: the text is empty
    steps[1].route: the name is empty
    steps[2].renderer: `mini ` begins or ends with a blank
    steps[2].after: a whole number of seconds is needed
    steps[2].expires_after: nothing could ever be sent in no time
    ");
}

#[test]
fn sizes() {
    let check = |change: fn(&mut WorkflowDraft), expected: &str| {
        let mut draft = welcome();
        change(&mut draft);
        assert_eq!(draft.validate().unwrap_err().to_string(), expected);
    };
    check(|d| d.steps.clear(), "steps: a workflow has at least one step");
    check(
        |d| d.steps = vec![d.steps[0].clone(); 1001],
        "steps: 1001 steps are more than the 1000 a workflow can have",
    );
    check(|d| d.name = "n".repeat(201), "name: the name has more than 200 characters");
    check(|d| d.name = "a\nb".to_owned(), "name: \"a\\nb\" contains a control character");
    check(
        |d| d.steps[0].template = "x".repeat(65_537),
        "steps[1].template: the text is longer than 65536 bytes",
    );
    check(
        |d| d.steps[0].template = "\0".to_owned(),
        "steps[1].template: the text contains a NUL character",
    );
    check(
        |d| d.steps[0].timing.after = Duration::MAX,
        "steps[1].after: a whole number of seconds is needed",
    );
    check(
        |d| d.steps[0].timing.after = Timing::LONGEST + Duration::from_secs(1),
        "steps[1].after: more than ten years",
    );
}
