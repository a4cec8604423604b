//! `--where`: what narrows a choice of contacts, as the command line says it.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use dripline_domain::timing::parse_zone;
use dripline_store::selection::Conditions;

/// The conditions of one command. All must hold.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Only those for whom this holds; repeated, all must. One of `field.NAME=VALUE`,
    /// `field.NAME!=VALUE` (also true without the field), `field.NAME=` (the field is missing),
    /// `field.NAME!=` (it is there), `time_zone=ZONE`, `time_zone!=ZONE`, `phone^=PREFIX`; and of
    /// contacts in a workflow `step=N`, `step>=N`, `step<=N`, `enrolled>=TIME`, `enrolled<TIME` with
    /// a time such as 2026-11-22T08:00:00Z or a date in UTC.
    #[arg(long = "where", value_name = "CONDITION", allow_hyphen_values = true)]
    conditions: Vec<Condition>,
}

impl Args {
    /// Whether any was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// As they were written, joined by `and`.
    pub(crate) fn describe(&self) -> String {
        let texts: Vec<_> =
            self.conditions.iter().map(|condition| condition.text.as_str()).collect();
        texts.join(" and ")
    }

    /// All of them together.
    pub(crate) fn read(&self) -> Conditions {
        let mut all = Conditions::default();
        for condition in &self.conditions {
            condition.test.clone().add_to(&mut all);
        }
        all
    }
}

/// One condition.
#[derive(Clone, Debug)]
struct Condition {
    text: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Equal(String, String),
    Unequal(String, String),
    Missing(String),
    Present(String),
    TimeZone(String),
    OtherTimeZone(String),
    PhonePrefix(String),
    /// At one of the steps between these two, both included.
    Step(u32, u32),
    EnrolledFrom(DateTime<Utc>),
    EnrolledBefore(DateTime<Utc>),
}

/// Longer ones first where one begins with another.
const OPERATORS: [&str; 7] = ["!=", ">=", "<=", "^=", "=", "<", ">"];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, operator, value) = split(text)?;
        let value_of = value.to_owned();
        let test = match (name, operator) {
            ("time_zone", "=") => Test::TimeZone(zone(value)?),
            ("time_zone", "!=") => Test::OtherTimeZone(zone(value)?),
            ("phone", "^=") => Test::PhonePrefix(prefix(value)?),
            ("step", _) => step(operator, value)?,
            ("enrolled", ">=") => Test::EnrolledFrom(time(value)?),
            ("enrolled", "<") => Test::EnrolledBefore(time(value)?),
            (field, operator) => match (field.strip_prefix("field."), operator) {
                (Some(field), "=") if value.is_empty() => Test::Missing(field.to_owned()),
                (Some(field), "!=") if value.is_empty() => Test::Present(field.to_owned()),
                (Some(field), "=") => Test::Equal(field.to_owned(), value_of),
                (Some(field), "!=") => Test::Unequal(field.to_owned(), value_of),
                _ => return Err(unknown(name, operator)),
            },
        };
        Ok(Self { text: text.to_owned(), test })
    }
}

impl Test {
    fn add_to(self, all: &mut Conditions) {
        let enrollment = &mut all.enrollment;
        match self {
            Self::Equal(name, value) => all.equal.push((name, value)),
            Self::Unequal(name, value) => all.unequal.push((name, value)),
            Self::Missing(name) => all.missing.push(name),
            Self::Present(name) => all.present.push(name),
            Self::TimeZone(zone) => all.time_zones.push(zone),
            Self::OtherTimeZone(zone) => all.other_time_zones.push(zone),
            Self::PhonePrefix(prefix) => all.phone_prefixes.push(prefix),
            Self::Step(from, to) => {
                enrollment.from_position = enrollment.from_position.max(Some(from));
                enrollment.to_position = Some(enrollment.to_position.map_or(to, |old| old.min(to)));
            }
            Self::EnrolledFrom(time) => {
                enrollment.enrolled_from = enrollment.enrolled_from.max(Some(time));
            }
            Self::EnrolledBefore(time) => {
                let before = enrollment.enrolled_before.map_or(time, |old| old.min(time));
                enrollment.enrolled_before = Some(before);
            }
        }
    }
}

fn split(text: &str) -> Result<(&str, &str, &str), String> {
    let at = text
        .find(['!', '<', '>', '^', '='])
        .ok_or_else(|| "write it as NAME=VALUE, for example field.city=Rome".to_owned())?;
    let (name, rest) = text.split_at(at);
    let operator = OPERATORS
        .into_iter()
        .find(|operator| rest.starts_with(operator))
        .ok_or_else(|| format!("`{}` compares nothing", &rest[..1]))?;
    Ok((name.trim(), operator, rest[operator.len()..].trim()))
}

fn unknown(name: &str, operator: &str) -> String {
    match name {
        "time_zone" => "a time zone can be compared with = and !=".to_owned(),
        "phone" => "a phone number can be compared with ^= (begins with)".to_owned(),
        "enrolled" => "the time of enrolment can be compared with >= and <".to_owned(),
        field if field.starts_with("field.") => "a field can be compared with = and !=".to_owned(),
        other => format!(
            "there is nothing called `{other}` to compare by {operator}; a contact's field is field.{other}"
        ),
    }
}

fn zone(name: &str) -> Result<String, String> {
    parse_zone(name).map(|zone| zone.name().to_owned()).map_err(|error| error.to_string())
}

fn prefix(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or(text).replace(' ', "");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a phone prefix is a plus sign and digits, such as +39".to_owned());
    }
    Ok(format!("+{digits}"))
}

fn step(operator: &str, value: &str) -> Result<Test, String> {
    let number: u32 =
        value.parse().map_err(|_| format!("`{value}` is not the number of a step"))?;
    match operator {
        "=" => Ok(Test::Step(number, number)),
        ">=" => Ok(Test::Step(number, u32::MAX)),
        "<=" => Ok(Test::Step(0, number)),
        ">" => Ok(Test::Step(number.saturating_add(1), u32::MAX)),
        "<" if number > 0 => Ok(Test::Step(0, number - 1)),
        _ => Err("a step can be compared with =, >=, <=, > and <".to_owned()),
    }
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc());
    }
    text.parse().map_err(|_| {
        format!("`{text}` is not a time such as 2026-11-22T08:00:00Z, and not a date either")
    })
}

#[cfg(test)]
mod tests {
    use super::{Condition, Test};

    fn read(text: &str) -> Result<Test, String> {
        text.parse::<Condition>().map(|condition| condition.test)
    }

    #[test]
    fn conditions_are_read() {
        let owned = str::to_owned;
        let noon = "2026-03-02T12:00:00Z".parse().unwrap();
        let midnight = "2026-03-02T00:00:00Z".parse().unwrap();
        let cases = [
            ("field.city=Rome", Test::Equal(owned("city"), owned("Rome"))),
            ("field.city != New York", Test::Unequal(owned("city"), owned("New York"))),
            ("field.a=b=c", Test::Equal(owned("a"), owned("b=c"))),
            ("field.city=", Test::Missing(owned("city"))),
            ("field.city!=", Test::Present(owned("city"))),
            ("time_zone=Europe/Rome", Test::TimeZone(owned("Europe/Rome"))),
            ("time_zone!=UTC", Test::OtherTimeZone(owned("UTC"))),
            ("phone^=+39 333", Test::PhonePrefix(owned("+39333"))),
            ("phone^=39", Test::PhonePrefix(owned("+39"))),
            ("step=2", Test::Step(2, 2)),
            ("step>2", Test::Step(3, u32::MAX)),
            ("step<2", Test::Step(0, 1)),
            ("step<=2", Test::Step(0, 2)),
            ("enrolled>=2026-03-02", Test::EnrolledFrom(midnight)),
            ("enrolled<2026-03-02T12:00:00Z", Test::EnrolledBefore(noon)),
        ];
        for (text, test) in cases {
            assert_eq!(read(text), Ok(test), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "city",
            "city=Rome",
            "field.city>Rome",
            "time_zone=Rome",
            "phone=+39",
            "phone^=%",
            "step=two",
            "step!=2",
            "step<0",
            "enrolled>2026-03-02",
            "enrolled<tomorrow",
            "step^2",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
