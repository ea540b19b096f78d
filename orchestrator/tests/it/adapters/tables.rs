//! The tables of codes as they stand in the adapters' source, so that no row of theirs is in no test.

use std::collections::BTreeSet;

/// The codes of a table: the first text of each of its rows.
#[track_caller]
pub(super) fn table<'a>(source: &'a str, name: &str) -> BTreeSet<&'a str> {
    let head = format!("const {name}: &[");
    let (_, rest) = source.split_once(&head).expect("such a table");
    let (rows, _) = rest.split_once("];").expect("its end");
    // A code may have a name of its own; it is the text of that name then.
    let named = |row: &'a str| {
        let name = row.split_once(',').map_or(row, |(name, _)| name.trim());
        let (_, value) = source.split_once(&format!("const {name}: &str = \""))?;
        value.split_once('"').map(|(value, _)| value)
    };
    let code = |row: &'a str| {
        let row = row.trim_start();
        match row.strip_prefix('"') {
            Some(text) => text.split_once('"').map(|(code, _)| code),
            None => named(row),
        }
    };
    let found: BTreeSet<_> = rows.split('(').skip(1).filter_map(code).collect();
    assert!(found.len() > 3, "{name} is read wrongly: {found:?}");
    found
}

/// A test knows every code of the table, and no other one but those that it makes up.
#[track_caller]
pub(super) fn all_of(table: BTreeSet<&str>, tested: &[&str], made_up: &[&str]) {
    let mut tested: BTreeSet<_> = tested.iter().copied().collect();
    for code in made_up {
        assert!(tested.remove(code), "{code} is not even tested");
    }
    let untested: Vec<_> = table.difference(&tested).collect();
    let unknown: Vec<_> = tested.difference(&table).collect();
    assert!(untested.is_empty(), "in no test: {untested:?}");
    assert!(unknown.is_empty(), "in no table: {unknown:?}");
}
