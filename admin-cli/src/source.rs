//! The text of a file, and problems shown where they stand in it.

use std::fmt::Write;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, refuse};
use crate::output::sanitise::sanitise;

/// The text of a file with the name the operator knows it by.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Something wrong at a place in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Byte offsets.
    pub(crate) span: Range<usize>,
    /// A lowercase sentence without a full stop.
    pub(crate) message: String,
}

impl Source {
    /// Reads a file; `-` is stdin.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let name =
            if path == Path::new("-") { "<stdin>".into() } else { path.display().to_string() };
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            std::io::stdin().lock().read_to_end(&mut bytes).context("read stdin")?;
        } else {
            bytes = std::fs::read(path)
                .map_err(|error| refuse(format!("cannot read `{name}`: {error}")))?;
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line =
                String::from_utf8_lossy(&error.as_bytes()[..valid]).matches('\n').count() + 1;
            refuse(format!("`{name}` is not UTF-8 on line {line}"))
        })?;
        Ok(Self { name, text })
    }

    /// Understands the text as TOML.
    pub(crate) fn parse_toml<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        toml::from_str(&self.text).map_err(|error| {
            let message = error.message().replace('\n', ", ");
            self.refuse(vec![Problem { span: error.span().unwrap_or(0..0), message }])
        })
    }

    /// Line and column (in characters) of a byte offset; both count from 1.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The refusal that shows every problem, in the order of their places.
    pub(crate) fn refuse(&self, mut problems: Vec<Problem>) -> Failure {
        problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        problems.dedup();
        let count = match problems.len() {
            1 => "a problem".to_owned(),
            n => format!("{n} problems"),
        };
        let excerpts: Vec<_> = problems.iter().map(|problem| self.excerpt(problem)).collect();
        refuse(format!("`{}` has {count}", self.name)).detail(excerpts.join("\n"))
    }

    /// The source line of a problem with its place marked.
    fn excerpt(&self, problem: &Problem) -> String {
        let start = self.floor(problem.span.start);
        let (line, column) = self.position(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let source_line = self.text[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + source_line.len();
        let end = self.floor(problem.span.end).clamp(start, line_end.max(start));

        let prefix = sanitise(&self.text[line_start..start.min(line_end)]).chars().count();
        let marked = sanitise(&self.text[start.min(line_end)..end.min(line_end)]).chars().count();
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{gutter}--> {}:{line}:{column}", sanitise(&self.name));
        let _ = writeln!(text, "{gutter} |");
        let _ = writeln!(text, "{number} | {}", sanitise(source_line));
        let _ = write!(
            text,
            "{gutter} | {}{} {}",
            " ".repeat(prefix),
            "^".repeat(marked.max(1)),
            sanitise(&problem.message)
        );
        text
    }

    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset.min(self.text.len()))
    }
}
