//! Reading the workspace's own files.

use std::fs;
use std::path::{Path, PathBuf};

/// One file of the workspace with its path relative to the root, with forward slashes.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    /// The numbered lines that are compiled into the product: no comments, nothing from the first test module on.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let product = self
            .text
            .split_once("\n#[cfg(test)]")
            .map_or(self.text.as_str(), |(before, _)| before);
        (1..)
            .zip(product.lines())
            .map(|(number, line)| (number, line.split("//").next().unwrap_or(line)))
    }
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .to_owned()
}

pub(super) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below `folder` whose name ends in one of `extensions`, in path order.
pub(super) fn files(folder: &str, extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    collect(&root().join(folder), extensions, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<File>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            collect(&path, extensions, found);
        } else if extensions
            .iter()
            .any(|extension| path.extension().is_some_and(|it| it == *extension))
        {
            let relative = path
                .strip_prefix(root())
                .expect("below the root")
                .to_string_lossy();
            found.push(File {
                path: relative.replace('\\', "/"),
                text: fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            });
        }
    }
}
