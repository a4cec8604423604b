//! Text for people: tables and blocks of lines. Everything put on a page is sanitised here, so that
//! no command can forget to.

use std::fmt::Display;

use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::sanitise::sanitise;

/// A page being laid out.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    on_terminal: bool,
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Aligned to the left.
    Text(&'static str),
    /// Aligned to the right.
    Number(&'static str),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Text(heading) | Self::Number(heading) => heading,
        }
    }
}

impl Page {
    /// An empty page. On a terminal, tables are fitted to its width; elsewhere lines are as long as
    /// they need to be, so that programs can cut them.
    pub(crate) fn new(on_terminal: bool) -> Self {
        Self { text: String::new(), on_terminal }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: impl Display) {
        self.text.push_str(&sanitise(&line.to_string()));
        self.text.push('\n');
    }

    /// Adds an empty line between two blocks.
    pub(crate) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Adds names with their values, one a line.
    pub(crate) fn pairs<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, String)>) {
        let rows: Vec<_> =
            pairs.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        let mut table = self.empty_table();
        table.add_rows(rows.iter().map(|row| row.iter().map(|cell| sanitise(cell).into_owned())));
        self.push_table(table);
    }

    /// Adds a table, or `empty` as a line, if it says anything, when there are no rows.
    pub(crate) fn table(
        &mut self,
        columns: &[Column],
        rows: impl IntoIterator<Item = Vec<String>>,
        empty: &str,
    ) {
        let mut table = self.empty_table();
        table.set_header(columns.iter().map(|column| column.heading()));
        for row in rows {
            table.add_row(row.iter().map(|cell| sanitise(cell).into_owned()));
        }
        if table.is_empty() {
            if !empty.is_empty() {
                self.line(empty);
            }
            return;
        }
        for (index, column) in columns.iter().enumerate() {
            if let (Column::Number(_), Some(column)) = (column, table.column_mut(index)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self.push_table(table);
    }

    /// The finished text.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn empty_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(if self.on_terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        // Styles would be the only reason to ask what stdout is, and there are none.
        table.force_no_tty();
        table
    }

    fn push_table(&mut self, mut table: Table) {
        let last = table.column_count().saturating_sub(1);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { 2 }));
        }
        for line in table.lines() {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }
}
