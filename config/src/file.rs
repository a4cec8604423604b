//! The file layer: TOML, with the place of everything.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Place, Problem};
use crate::layer::{Layer, Scalar};
use crate::schema;

/// Reads a file's text; without a path, it is the built-in one.
pub(crate) fn read(text: &str, path: Option<&Path>) -> Result<Layer, Vec<Problem>> {
    let mut reader = Reader { text, path, layer: Layer::default(), problems: Vec::new() };
    match DeTable::parse(text) {
        Ok(table) => reader.table("", table.get_ref()),
        Err(error) => {
            let place = reader.place(error.span().unwrap_or_default());
            let message = error.message().trim();
            // The parser says what it expected, which mostly is nothing.
            let text = message.strip_suffix(", expected nothing").unwrap_or(message).to_owned();
            reader.problems.push(Problem::Syntax { place, text });
        }
    }
    if reader.problems.is_empty() { Ok(reader.layer) } else { Err(reader.problems) }
}

struct Reader<'a> {
    text: &'a str,
    path: Option<&'a Path>,
    layer: Layer,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            match (schema::find(&key), value.get_ref()) {
                (None, DeValue::Table(inner)) if schema::is_section(&key) => {
                    self.table(&format!("{key}."), inner);
                }
                (None, _) => self.unknown(&key, name.span(), value),
                (Some(rule), _) => {
                    let place = self.place(value.span());
                    let shown = self.text.get(value.span()).unwrap_or_default();
                    if let Err(problem) = self.layer.add(rule, scalar(value), place, shown) {
                        self.problems.push(problem);
                    }
                }
            }
        }
    }

    fn unknown(&mut self, key: &str, span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let place = self.place(span);
        // A section where a value is needed, or the reverse, is known and still wrong.
        if schema::is_section(key) {
            let value = self.text.get(value.span()).unwrap_or_default().to_owned();
            let allowed = "a table".to_owned();
            self.problems.push(Problem::BadValue { key: key.to_owned(), place, value, allowed });
            return;
        }
        let nearest = schema::nearest(key).map(str::to_owned);
        self.problems.push(Problem::UnknownKey { key: key.to_owned(), place, nearest });
    }

    fn place(&self, span: Range<usize>) -> Place {
        let Some(path) = self.path else { return Place::Default };
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

fn scalar(value: &Spanned<DeValue<'_>>) -> Option<Scalar> {
    match value.get_ref() {
        DeValue::String(text) => Some(Scalar::Text(text.to_string())),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(Scalar::Whole)
        }
        _ => None,
    }
}
