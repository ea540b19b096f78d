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

/// Whether a function of that name is declared there under an attribute that makes it a test.
fn is_test(source: &str, name: &str) -> bool {
    let declared = format!("fn {name}(");
    // Most files have no such function, and splitting all of them for every name takes a minute.
    if !source.contains(&declared) {
        return false;
    }
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let places = (0..lines.len()).filter(|at| lines[*at].contains(&declared));
    places.into_iter().any(|at| {
        // Attributes and comments stand right above; one that is wrapped ends in a line of brackets.
        let above = lines[..at].iter().rev();
        above
            .take_while(|line| !line.is_empty() && **line != "}" && !line.ends_with('{'))
            .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn a_function_is_a_test_only_with_its_attribute() {
    let source = "#[test]\nfn one() {\n}\n\nfn two() {\n}\n\n#[tokio::test(flavor = \"x\")]\n/// Why.\n#[expect(y)]\nasync fn three() {\n}\n";
    assert!(is_test(source, "one") && is_test(source, "three"));
    assert!(!is_test(source, "two") && !is_test(source, "four"));
}

#[test]
fn every_invariant_and_race_names_a_test_that_exists() {
    let sources: Vec<_> = ["eventstore", "aggregates", "projections", "orchestrator"]
        .iter()
        .flat_map(|folder| files(folder, &["rs"]))
        .collect();
    let document = text("ARCHITECTURE.md");
    let rows = table_after(&document, "\n## Invariants");
    assert!(rows.len() >= 9, "only {} invariants are listed", rows.len());
    let races = table_after(&document, "\n## Races");
    assert!(races.len() >= 17, "only {} races are listed", races.len());
    for row in rows.into_iter().chain(races) {
        let tests = quoted(row.last().expect("a last cell"));
        assert!(!tests.is_empty(), "nothing guards: {}", row[0]);
    }
    // Also in the smaller tables and within the text.
    for test in document
        .lines()
        .flat_map(quoted)
        .filter(|name| is_sentence(name))
    {
        assert!(
            sources.iter().any(|file| is_test(&file.text, test)),
            "no test is called {test}"
        );
    }
}

/// As tests are called.
fn is_sentence(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_metric = name.starts_with("bookmarket_");
    !is_metric && name.bytes().all(is_word) && name.matches('_').count() >= 3
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
        "examples/",
        "deploy/",
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
