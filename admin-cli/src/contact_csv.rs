//! Contacts as a CSV file: a header line, one contact a row. `phone` is required, `time_zone` is
//! required unless a default is given, and every other column is a template field. An empty value is
//! a missing field.
//!
//! Every bad row is reported, with its line, its column and what is wrong.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context as _;
use chrono_tz::Tz;
use csv::ByteRecord;
use dripline_domain::contact::{ContactDraft, Fields};
use dripline_domain::phone::Phone;
use dripline_domain::timing::parse_zone;
use serde::Serialize;

use crate::failure::{Failure, refuse};
use crate::output::page::{Column, Page};

/// How a file is to be read.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Dialect {
    /// The country of numbers written without a country code, as two letters such as IT.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// What separates values.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    pub(crate) delimiter: u8,
}

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BadRow {
    /// The line of the file on which the row begins, from 1.
    pub(crate) line: u64,
    /// The column's number, from 1; none when the whole row is meant.
    pub(crate) column: Option<usize>,
    /// The column's name in the header.
    pub(crate) column_name: Option<String>,
    pub(crate) reason: String,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Sheet<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) bad_rows: Vec<BadRow>,
}

/// Opens a file for reading; `-` is stdin.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(refuse(format!("cannot read `{}`: {error}", path.display()))),
    }
}

/// Reads whole contacts. Rows without a time zone get `default_zone`, if there is one.
pub(crate) fn read_contacts(
    file: impl Read,
    dialect: &Dialect,
    default_zone: Option<Tz>,
) -> anyhow::Result<Sheet<ContactDraft>> {
    read(file, dialect, |row, phone| {
        Ok(ContactDraft { phone, time_zone: row.time_zone(default_zone)?, fields: row.fields()? })
    })
}

/// Reads only the phones, for enrolling people who are contacts already.
pub(crate) fn read_phones(file: impl Read, dialect: &Dialect) -> anyhow::Result<Sheet<Phone>> {
    read(file, dialect, |_, phone| Ok(phone))
}

fn read<T>(
    file: impl Read,
    dialect: &Dialect,
    mut make: impl FnMut(&Row<'_>, Phone) -> Result<T, BadRow>,
) -> anyhow::Result<Sheet<T>> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(dialect.delimiter).flexible(true).from_reader(file);
    let header = Header::read(reader.byte_headers().context("read the header")?)?;
    let mut sheet = Sheet { rows: vec![], bad_rows: vec![] };
    let mut first_line_of: HashMap<Phone, u64> = HashMap::new();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).context("read a row")? {
        let line = record.position().map_or(0, csv::Position::line);
        let row = Row { header: &header, record: &record, line };
        let made = row.check_length().and_then(|()| row.phone(dialect)).and_then(|phone| {
            if let Some(first) = first_line_of.get(&phone) {
                return Err(row.bad(header.phone, format!("`{phone}` is also on line {first}")));
            }
            first_line_of.insert(phone.clone(), line);
            make(&row, phone)
        });
        match made {
            Ok(made) => sheet.rows.push(made),
            Err(bad) => sheet.bad_rows.push(bad),
        }
    }
    Ok(sheet)
}

/// Shows bad rows to people.
pub(crate) fn lay_out_bad_rows(bad_rows: &[BadRow], page: &mut Page) {
    if bad_rows.is_empty() {
        return;
    }
    let columns = [
        Column::Number("LINE"),
        Column::Number("COLUMN"),
        Column::Text("NAME"),
        Column::Text("REASON"),
    ];
    let rows = bad_rows.iter().map(|bad| {
        vec![
            bad.line.to_string(),
            bad.column.map_or_else(String::new, |column| column.to_string()),
            bad.column_name.clone().unwrap_or_default(),
            bad.reason.clone(),
        ]
    });
    page.table(&columns, rows, "");
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "\\t" | "tab" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err("give one ASCII character, or `tab`".to_owned()),
        },
    }
}

const HEADER_HINT: &str = "the first line names the columns: phone, time_zone, and any template \
     fields; --delimiter says what separates them";

/// The file's columns.
struct Header {
    names: Vec<String>,
    phone: usize,
    time_zone: Option<usize>,
}

impl Header {
    fn read(record: &ByteRecord) -> Result<Self, Failure> {
        let names: Result<Vec<_>, _> = record
            .iter()
            .map(|name| str::from_utf8(name).map(|name| name.trim().to_owned()))
            .collect();
        let names = names.map_err(|_| {
            refuse("the header line is not UTF-8").hint("save the file as UTF-8 and try again")
        })?;
        if names.is_empty() {
            return Err(refuse("the file is empty").hint(HEADER_HINT));
        }
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(refuse(format!("column {} of the header has no name", index + 1)));
            }
            if names[..index].contains(name) {
                return Err(refuse(format!("the header has two columns named `{name}`")));
            }
        }
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let Some(phone) = find("phone") else {
            let found = names.join("`, `");
            return Err(refuse(format!("the header has no column `phone`, only `{found}`"))
                .hint(HEADER_HINT));
        };
        Ok(Self { phone, time_zone: find("time_zone"), names })
    }
}

struct Row<'a> {
    header: &'a Header,
    record: &'a ByteRecord,
    line: u64,
}

impl Row<'_> {
    fn check_length(&self) -> Result<(), BadRow> {
        let (values, columns) = (self.record.len(), self.header.names.len());
        if values == columns {
            return Ok(());
        }
        let reason = format!("the row has {values} values, the header has {columns} columns");
        Err(BadRow { line: self.line, column: None, column_name: None, reason })
    }

    fn phone(&self, dialect: &Dialect) -> Result<Phone, BadRow> {
        let column = self.header.phone;
        Phone::parse(self.value(column)?, dialect.region.as_deref())
            .map_err(|error| self.bad(column, error.to_string()))
    }

    fn time_zone(&self, default: Option<Tz>) -> Result<Tz, BadRow> {
        let missing = "there is no time zone; fill it in or give a default with --time-zone";
        let Some(column) = self.header.time_zone else {
            return default.ok_or_else(|| BadRow {
                line: self.line,
                column: None,
                column_name: Some("time_zone".to_owned()),
                reason: missing.to_owned(),
            });
        };
        match self.value(column)?.trim() {
            "" => default.ok_or_else(|| self.bad(column, missing.to_owned())),
            zone => parse_zone(zone).map_err(|error| self.bad(column, error.to_string())),
        }
    }

    fn fields(&self) -> Result<Fields, BadRow> {
        let mut fields = Fields::new();
        for (column, name) in self.header.names.iter().enumerate() {
            if column == self.header.phone || Some(column) == self.header.time_zone {
                continue;
            }
            let value = self.value(column)?;
            if !value.is_empty() {
                fields.insert(name.clone(), value.to_owned());
            }
        }
        Ok(fields)
    }

    fn value(&self, column: usize) -> Result<&str, BadRow> {
        let bytes = self.record.get(column).unwrap_or_default();
        let text = str::from_utf8(bytes).map_err(|error| {
            self.bad(column, format!("not UTF-8 from byte {} on", error.valid_up_to() + 1))
        })?;
        if text.contains('\0') {
            return Err(self.bad(column, "contains a NUL character".to_owned()));
        }
        Ok(text)
    }

    fn bad(&self, column: usize, reason: String) -> BadRow {
        BadRow {
            line: self.line,
            column: Some(column + 1),
            column_name: self.header.names.get(column).cloned(),
            reason,
        }
    }
}
