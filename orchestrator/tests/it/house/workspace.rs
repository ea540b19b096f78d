//! How the workspace is built: what links slowly is linked once, and nothing carries more debug information than a stack trace needs.

use std::fs;
use std::path::Path;

use super::source::{root, text};

/// The crates, as the workspace lists them.
fn members() -> Vec<String> {
    let manifest = text("Cargo.toml");
    let lines = table(&manifest, "workspace");
    let members = value(&lines, "members").expect("the workspace lists its members");
    let members = members.trim_matches(['[', ']']).split(',');
    members
        .map(|member| member.trim().trim_matches('"').to_owned())
        .collect()
}

/// The lines of one table of a manifest.
fn table<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
    let head = format!("[{name}]");
    let lines = manifest.lines().map(str::trim);
    lines
        .skip_while(|line| *line != head)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .collect()
}

fn value<'a>(lines: &[&'a str], key: &str) -> Option<&'a str> {
    let mut entries = lines.iter().filter_map(|line| line.split_once('='));
    entries
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

/// What cargo makes a test program of, without being told: a file below `tests`, or a folder with a `main.rs`.
fn test_programs(tests: &Path) -> Vec<String> {
    let entries = fs::read_dir(tests).expect("a folder of tests");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let programs = paths.filter(|path| {
        path.extension().is_some_and(|it| it == "rs") || path.join("main.rs").exists()
    });
    programs
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect()
}

#[test]
fn each_crate_has_one_program_of_integration_tests() {
    let members = members();
    assert_eq!(members.len(), 4);
    for member in members {
        let manifest = text(&format!("{member}/Cargo.toml"));
        assert!(!manifest.contains("[[test]]"), "{member}");
        assert!(!manifest.contains("autotests"), "{member}");
        let programs = test_programs(&root().join(&member).join("tests"));
        assert_eq!(programs, ["it"], "{member}");
    }
}

#[test]
fn debug_information_is_line_tables_only() {
    let manifest = text("Cargo.toml");
    let dev = table(&manifest, "profile.dev");
    assert_eq!(value(&dev, "debug"), Some("\"line-tables-only\""));
    // Nothing takes it back: tests inherit it, and so do dependencies.
    let others = manifest.lines().filter(|line| {
        let key = line.split('=').next().unwrap_or_default().trim();
        key == "debug" || key.ends_with(".debug")
    });
    assert_eq!(others.count(), 1);
}

#[test]
fn a_program_of_tests_is_a_file_or_a_folder_with_a_main() {
    let tests = tempfile::tempdir().expect("a folder");
    for file in [
        "one.rs",
        "two/main.rs",
        "golden/case.json",
        "helpers/mod.rs",
    ] {
        let path = tests.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, "").expect("written");
    }
    let mut programs = test_programs(tests.path());
    programs.sort();
    assert_eq!(programs, ["one", "two"]);
}
