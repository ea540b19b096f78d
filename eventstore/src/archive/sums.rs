//! What an archive comes to, as far as it was written or read.

use aws_lc_rs::digest;

use super::content::Content;
use super::line::Trailer;

/// Counts and checksums of the lines so far.
#[derive(Clone)]
pub(super) struct Sums {
    lines: digest::Context,
    pub(super) content: Content,
    pub(super) events: i64,
    pub(super) keys: u64,
}

impl Sums {
    pub(super) fn new() -> Self {
        Sums {
            lines: digest::Context::new(&digest::SHA256),
            content: Content::new(),
            events: 0,
            keys: 0,
        }
    }

    /// Takes whole lines, line breaks included.
    pub(super) fn add_lines(&mut self, lines: &[u8]) {
        self.lines.update(lines);
    }

    pub(super) fn sha256(&self) -> String {
        hex(self.lines.clone().finish())
    }

    pub(super) fn trailer(&self) -> Trailer {
        Trailer {
            events: self.events,
            keys: self.keys,
            sha256: self.sha256(),
            content: self.content.hex(),
        }
    }
}

pub(super) fn hex(digest: digest::Digest) -> String {
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}
