//! The filters and tests of a template: few, and all of them about texts.

use std::borrow::Cow;
use std::fmt;

use chrono::NaiveDate;
use chrono::format::{Fixed, Item, Numeric, StrftimeItems};
use minijinja::{Environment, Error, ErrorKind, Value};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::contact::{self, is_missing};
use crate::names;

/// Every filter, for `check`.
pub(crate) const FILTERS: [&str; 22] = [
    "capitalize",
    "d",
    "date",
    "default",
    "first",
    "first_name",
    "float",
    "int",
    "join",
    "last",
    "last_name",
    "length",
    "lower",
    "money",
    "name",
    "replace",
    "spin",
    "split",
    "title",
    "trim",
    "truncate",
    "upper",
];

/// Every test, for `check`.
pub(crate) const TESTS: [&str; 2] = ["defined", "undefined"];

pub(crate) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("capitalize", |value: &Value| capitalize(&text(value)));
    environment.add_filter("d", default);
    environment.add_filter("date", date);
    environment.add_filter("default", default);
    environment.add_filter("first", first);
    environment.add_filter("first_name", |value: &Value| names::first(&text(value)));
    environment.add_filter("float", float);
    environment.add_filter("int", int);
    environment.add_filter("join", join);
    environment.add_filter("last", last);
    environment.add_filter("last_name", |value: &Value| names::last(&text(value)));
    environment.add_filter("length", length);
    environment.add_filter("lower", |value: &Value| text(value).to_lowercase());
    environment.add_filter("money", money);
    environment.add_filter("name", |value: &Value| names::written(&text(value)));
    environment.add_filter("replace", replace);
    environment.add_filter("spin", spin);
    environment.add_filter("split", split);
    environment.add_filter("title", title);
    environment.add_filter("trim", |value: &Value| text(value).trim().to_owned());
    environment.add_filter("truncate", truncate);
    environment.add_filter("upper", |value: &Value| text(value).to_uppercase());
    environment.add_test("defined", |value: &Value| !is_missing(value));
    environment.add_test("undefined", |value: &Value| is_missing(value));
}

/// Why a filter refused a value, without the value.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) text: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl std::error::Error for Refusal {}

/// The refusal of a filter that an error came from.
pub(crate) fn refusal(error: &Error) -> Option<&Refusal> {
    std::error::Error::source(error)?.downcast_ref()
}

fn refuse(code: &'static str, text: &'static str) -> Error {
    Error::from(ErrorKind::InvalidOperation).with_source(Refusal { code, text })
}

/// The text of a value. Making one of a missing field counts as printing it.
fn text(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

fn default(value: &Value, other: Option<Value>) -> Value {
    if is_missing(value) { other.unwrap_or_else(|| Value::from("")) } else { value.clone() }
}

fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase).into_iter().flatten();
    first.chain(characters.flat_map(char::to_lowercase)).collect()
}

/// Capitalises every word. A hyphen or a blank ends one, an apostrophe does not: "Anne-Marie",
/// "O'neill".
fn title(value: &Value) -> String {
    let value = text(value);
    let words = value.split_inclusive([' ', '-', '\n', '\t']);
    words.map(capitalize).collect()
}

fn replace(value: &Value, old: &Value, new: &Value) -> String {
    text(value).replace(&*text(old), &text(new))
}

/// At most `length` characters, of which `end` is a part when something is cut off, itself cut off where it is longer.
fn truncate(value: &Value, length: usize, end: Option<&str>) -> String {
    let value = text(value);
    if value.chars().count() <= length {
        return value.into_owned();
    }
    let end: String = end.unwrap_or("...").chars().take(length).collect();
    let kept = length - end.chars().count();
    let head: String = value.chars().take(kept).collect();
    head.trim_end().to_owned() + &end
}

fn split(value: &Value, separator: Option<&str>) -> Vec<String> {
    let value = text(value);
    match separator {
        Some(separator) => value.split(separator).map(str::to_owned).collect(),
        None => value.split_whitespace().map(str::to_owned).collect(),
    }
}

/// The items of a list, or the characters of a text.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.chars().map(Value::from).collect());
    }
    if is_missing(value) {
        // Its text is empty, and was asked for.
        let _ = text(value);
        return Ok(Vec::new());
    }
    value.try_iter().map(Iterator::collect)
}

fn first(value: &Value) -> Result<Value, Error> {
    Ok(items(value)?.into_iter().next().unwrap_or_else(|| Value::from("")))
}

fn last(value: &Value) -> Result<Value, Error> {
    Ok(items(value)?.pop().unwrap_or_else(|| Value::from("")))
}

fn length(value: &Value) -> Result<usize, Error> {
    Ok(items(value)?.len())
}

fn join(value: &Value, separator: Option<&str>) -> Result<String, Error> {
    let items = items(value)?;
    let texts: Vec<_> = items.iter().map(text).collect();
    Ok(texts.join(separator.unwrap_or("")))
}

/// A day as the format of `strftime` says it, from `2026-11-26`, also with a time behind it.
fn date(value: &Value, format: Option<&str>) -> Result<String, Error> {
    let format = format.unwrap_or("%Y-%m-%d");
    if StrftimeItems::new(format).any(|item| !is_of_a_day(&item)) {
        return Err(refuse("not-a-format", "`date` has a format of days, such as `%d.%m.%Y`"));
    }
    let text = text(value);
    let day = text.trim().get(..10).unwrap_or_default();
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d")
        .map_err(|_| refuse("not-a-date", "`date` needs a day, such as 2026-11-26"))?;
    Ok(day.format(format).to_string())
}

/// Whether an item of a format can be said of a day. Asking for an hour would be an error while printing.
fn is_of_a_day(item: &Item<'_>) -> bool {
    use Numeric::{
        Day, IsoWeek, IsoYear, Month, NumDaysFromSun, Ordinal, WeekFromMon, WeekFromSun,
        WeekdayFromMon, Year, YearMod100,
    };
    match item {
        Item::Literal(_) | Item::OwnedLiteral(_) | Item::Space(_) | Item::OwnedSpace(_) => true,
        Item::Numeric(numeric, _) => matches!(
            numeric,
            Day | IsoWeek
                | IsoYear
                | Month
                | NumDaysFromSun
                | Ordinal
                | WeekFromMon
                | WeekFromSun
                | WeekdayFromMon
                | Year
                | YearMod100
        ),
        Item::Fixed(fixed) => matches!(
            fixed,
            Fixed::ShortMonthName
                | Fixed::LongMonthName
                | Fixed::ShortWeekdayName
                | Fixed::LongWeekdayName
        ),
        Item::Error => false,
    }
}

/// A sum with two decimals: `1,234.50`, or with another point and another separator of thousands. Halves are
/// rounded away from zero.
fn money(value: &Value, point: Option<&str>, separator: Option<&str>) -> Result<String, Error> {
    let sum: Decimal = text(value)
        .trim()
        .parse()
        .map_err(|_| refuse("not-a-number", "`money` needs a sum, such as 1234.5"))?;
    let sum = sum.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    let digits = format!("{:.2}", sum.abs());
    let (whole, cents) = digits.split_once('.').unwrap_or((&digits, "00"));
    let (point, separator) = (point.unwrap_or("."), separator.unwrap_or(","));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push_str(separator);
        }
        grouped.push(digit);
    }
    let sign = if sum.is_sign_negative() && !sum.is_zero() { "-" } else { "" };
    Ok(format!("{sign}{grouped}{point}{cents}"))
}

/// One of several texts, always the same one for the same contact. A `salt` lets two lists of the same texts
/// differ.
fn spin(value: &Value, salt: Option<&str>) -> Result<Value, Error> {
    let items = items(value)?;
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    if count == 0 {
        return Err(refuse("nothing-to-spin", "`spin` needs a list of texts"));
    }
    let texts = items.iter().map(text).collect::<Vec<_>>().join("|");
    let chosen = contact::choice([&*texts, salt.unwrap_or_default()]) % count;
    Ok(items.into_iter().nth(usize::try_from(chosen).unwrap_or(0)).unwrap_or_default())
}

fn int(value: &Value) -> Result<i64, Error> {
    let whole = text(value).trim().parse();
    whole.map_err(|_| refuse("not-a-number", "`int` needs a whole number"))
}

fn float(value: &Value) -> Result<f64, Error> {
    let number = text(value).trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| refuse("not-a-number", "`float` needs a number"))
}
