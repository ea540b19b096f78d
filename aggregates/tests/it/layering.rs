//! A decider knows its command and its history, and nothing of the world.

use std::fs;
use std::path::{Path, PathBuf};

/// What no source file of this crate may name, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::env", "the environment is read at the rim"),
    ("std::fs", "no I/O"),
    ("std::io", "no I/O"),
    ("std::net", "no I/O"),
    ("std::process", "no I/O"),
    ("std::thread", "no concurrency"),
    ("std::time", "no clock"),
    ("::now()", "no clock"),
    ("now_v7", "no random ids"),
    ("new_v4", "no random ids"),
    ("rand::", "no randomness"),
    ("tokio", "no runtime"),
    ("async fn", "no runtime"),
    ("tracing", "deciders tell by their events"),
    ("eventstore", "the leaves do not know one another"),
    ("projections", "never upward"),
    ("orchestrator", "never upward"),
];

/// All that this crate is made of.
const DEPENDENCIES: &[&str] = &["chrono", "serde", "serde_json", "thiserror", "uuid"];

#[test]
fn domain_files_know_no_io_clock_randomness_runtime_or_store() {
    let files = rust_files(&root().join("src"));
    assert!(files.len() > 20, "the sources were not found");
    for file in files {
        let source = fs::read_to_string(&file).expect("a readable source file");
        for (index, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (name, why) in FORBIDDEN {
                let place = format!("{}:{}", file.display(), index + 1);
                assert!(!code.contains(name), "{place} names {name}: {why}");
            }
        }
    }
}

#[test]
fn the_crate_depends_on_no_other_crate_of_the_workspace() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let section = manifest
        .split("[dependencies]")
        .nth(1)
        .expect("dependencies");
    let names: Vec<&str> = section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| {
            line.split(['.', ' ', '='])
                .next()
                .filter(|name| !name.is_empty())
        })
        .collect();
    assert_eq!(names, DEPENDENCIES);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
