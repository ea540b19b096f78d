//! Data to stdout, everything else to stderr.

use std::io::{self, Write};

use comfy_table::{LineStyle, Table, TableStyle};
use serde::Serialize;

use crate::config::Output;

/// A line under the headings and nothing else: rows are for reading, and for `grep`.
const PLAIN: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Prints a line of data. A reader that has seen enough (`| head`) ends the command quietly.
pub fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", text.as_ref())
}

/// Tells the person at the terminal something that is not data.
pub fn note(text: impl AsRef<str>) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Prints a document as one line of JSON, or as aligned columns made from it.
pub fn document<T: Serialize>(
    output: Output,
    document: &T,
    table: impl FnOnce() -> Table,
) -> io::Result<()> {
    match output {
        Output::Json => line(serde_json::to_string(document)?),
        Output::Table => line(table().to_string()),
    }
}

/// An empty table with these headings.
#[must_use]
pub fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(PLAIN);
    if !headings.is_empty() {
        table.set_header(headings);
    }
    table
}
