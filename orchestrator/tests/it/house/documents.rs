//! README.md and ARCHITECTURE.md say what is true of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::source::{files, text};

/// The rows of the first Markdown table after a heading, without its head, split into cells.
fn table_after(document: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, below) = document
        .split_once(heading)
        .unwrap_or_else(|| panic!("no heading {heading}"));
    below
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            line.trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

/// What stands between back ticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let sources: Vec<_> = ["eventstore", "aggregates", "projections", "orchestrator"]
        .iter()
        .flat_map(|folder| files(folder, &["rs"]))
        .collect();
    let rows = table_after(&text("ARCHITECTURE.md"), "\n## Invariants");
    assert!(rows.len() >= 9, "only {} invariants are listed", rows.len());
    for row in rows {
        let tests = quoted(row.last().expect("a last cell"));
        assert!(!tests.is_empty(), "nothing guards: {}", row[0]);
        for test in tests {
            let declared = format!("fn {test}(");
            assert!(
                sources.iter().any(|file| file.text.contains(&declared)),
                "no test is called {test}"
            );
        }
    }
}

#[test]
fn every_file_that_the_documents_name_exists() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        for line in text(document).lines() {
            for name in quoted(line).into_iter().filter(|name| is_path(name)) {
                assert!(
                    super::source::root().join(name).exists(),
                    "{document} names {name}, which is not there"
                );
            }
        }
    }
}

fn is_path(name: &str) -> bool {
    let top = [
        "eventstore/",
        "aggregates/",
        "projections/",
        "orchestrator/",
        "scripts/",
    ];
    top.iter().any(|folder| name.starts_with(folder)) && !name.contains([' ', '*', '<', '{'])
}

/// What clap prints for each long flag, as one line: wrapping depends on widths that nobody here cares for.
fn flags_of(help: &str) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in help.lines().map(str::trim) {
        let declared = line.split([' ', ',']).find(|word| word.starts_with("--"));
        match declared.filter(|_| line.starts_with('-')) {
            Some(flag) => blocks.push((flag.to_owned(), String::new())),
            None => blocks
                .iter_mut()
                .next_back()
                .into_iter()
                .for_each(|(_, block)| {
                    block.push_str(line);
                    block.push(' ');
                }),
        }
    }
    blocks
        .into_iter()
        .filter(|(flag, _)| flag != "--help" && flag != "--version")
        .map(|(flag, block)| {
            let variable =
                between(&block, "[env: ").map(|it| it.split('=').next().unwrap_or(it).to_owned());
            let default = between(&block, "[default: ").map(str::to_owned);
            (flag, (variable, default))
        })
        .collect()
}

fn between<'a>(text: &'a str, open: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(open)?;
    rest.split_once(']').map(|(inner, _)| inner.trim())
}

#[test]
fn the_configuration_table_lists_exactly_the_flags_of_serve() {
    let output = Command::new(env!("CARGO_BIN_EXE_bookmarket"))
        .args(["serve", "--help"])
        .env_clear()
        .output()
        .expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let real = flags_of(&String::from_utf8(output.stdout).expect("the help is text"));

    let mut told = BTreeMap::new();
    for row in table_after(&text("README.md"), "\n## Configuration") {
        let value = |cell: usize| Some(row[cell].replace('`', "")).filter(|it| !it.is_empty());
        let flag = value(0).expect("a flag in the first cell");
        let flag = flag.split(' ').next().unwrap_or(&flag);
        told.insert(flag.to_owned(), (value(1), value(2)));
    }

    let names = |flags: &BTreeMap<String, _>| flags.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&told), names(&real));
    for (flag, real) in &real {
        assert_eq!(
            &told[flag], real,
            "{flag}: environment variable and default"
        );
    }
}
