//! Rows for spreadsheets: CSV (RFC 4180) in which no cell is a formula.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, WriterBuilder};

/// What makes a spreadsheet take a text for a formula, or come upon one behind it.
const TRIGGERS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing.
    Empty,
    /// Words, which somebody from outside may have chosen.
    Text(Cow<'a, str>),
    /// A number of ours.
    Number(i64),
}

impl<'a> Cell<'a> {
    /// Words, or nothing.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// A moment, if it came.
    #[must_use]
    pub fn moment(at: Option<DateTime<Utc>>) -> Self {
        let at = at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
        at.map_or(Self::Empty, Self::text)
    }

    /// Words, if there are any.
    #[must_use]
    pub fn maybe(text: Option<&'a str>) -> Self {
        text.map_or(Self::Empty, Self::text)
    }

    /// As it stands in the file. Text that would be taken for a formula gets an apostrophe in front, which spreadsheets
    /// take for "this is text".
    fn written(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Text(text) if is_trigger(text) => Cow::Owned(format!("'{text}")),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// Rows as lines of a file.
pub fn lines<'a, R: AsRef<[Cell<'a>]>>(rows: impl IntoIterator<Item = R>) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        let cells = row.as_ref().iter().map(Cell::written);
        let written = writer.write_record(cells.map(|cell| cell.into_owned()));
        written.expect("memory takes every row");
    }
    writer.into_inner().expect("memory takes every row")
}

/// Some spreadsheets drop the blanks in front.
fn is_trigger(text: &str) -> bool {
    text.starts_with(TRIGGERS) || text.trim_start().starts_with(TRIGGERS)
}

/// The first line of a file.
#[must_use]
pub fn headings(names: &[&str]) -> Vec<u8> {
    let names: Vec<Cell<'_>> = names.iter().copied().map(Cell::text).collect();
    lines([names])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(file);
        let rows = reader.records().map(|row| row.expect("a row"));
        rows.map(|row| row.iter().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn what_is_in_a_cell_stays_in_it() {
        let odd = ["a,b", "say \"hi\"", "two\r\nlines", "", " spaced ", "책"];
        let file = lines([odd.map(Cell::text)]);
        assert_eq!(read(&file), [odd]);
        assert!(file.ends_with(b"\r\n"));
    }

    #[test]
    fn no_text_is_a_formula_and_numbers_stay_numbers() {
        for text in [
            "=1+1", "  =1+1", "+82", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1",
        ] {
            let file = lines([[Cell::text(text), Cell::Number(-5), Cell::Empty]]);
            assert_eq!(read(&file), [[format!("'{text}"), "-5".into(), "".into()]]);
        }
    }

    #[test]
    fn a_moment_is_to_the_millisecond_in_utc() {
        let at = DateTime::from_timestamp_millis(1_700_000_000_123);
        assert_eq!(Cell::moment(at), Cell::text("2023-11-14T22:13:20.123Z"));
        assert_eq!(Cell::moment(None), Cell::Empty);
    }
}
