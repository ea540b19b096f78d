//! Reads pages of the ledger from its file, so that nothing older than what the world works with has to stay in memory.
//! Lines are in the order of their sequence and of the clock, so a place is found by bisection.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};

use super::ledger::Line;

/// How far the clock may have been set back between two lines. A reader by time begins this much earlier.
const CLOCK_STEP: TimeDelta = TimeDelta::seconds(5);

/// Reads a ledger that is being written.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    path: PathBuf,
}

impl Reader {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// At most `limit` lines with `after < seq <= upto`, in order.
    pub(super) fn page(&self, after: u64, upto: u64, limit: usize) -> io::Result<Vec<Line>> {
        let mut lines = Lines::open(&self.path)?;
        lines.seek_first(|line| line.seq > after)?;
        let mut page = Vec::new();
        while page.len() < limit {
            match lines.next()? {
                Some(line) if line.seq <= upto => page.push(line),
                _ => break,
            }
        }
        Ok(page)
    }

    /// A sequence that every line written at or after `at` comes after.
    pub(super) fn before(&self, at: DateTime<Utc>) -> io::Result<u64> {
        let mut lines = Lines::open(&self.path)?;
        let begin = at - CLOCK_STEP;
        lines.seek_first(|line| line.at >= begin)?;
        Ok(match lines.next()? {
            Some(line) => line.seq - 1,
            None => lines.last,
        })
    }
}

struct Lines {
    file: BufReader<File>,
    end: u64,
    /// The greatest sequence seen so far.
    last: u64,
    text: Vec<u8>,
}

impl Lines {
    fn open(path: &PathBuf) -> io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        Ok(Self {
            file: BufReader::new(file),
            end,
            last: 0,
            text: Vec::new(),
        })
    }

    /// Moves to the first line for which `wanted` holds; it holds for all that follow.
    fn seek_first(&mut self, wanted: impl Fn(&Line) -> bool) -> io::Result<()> {
        // No line that begins before `low` is wanted, and every one that begins at `high` or after it is.
        let (mut low, mut high) = (0, self.end);
        while low < high {
            let middle = low + (high - low) / 2;
            let begin = self.begin_of_line(middle)?;
            match self.next()? {
                Some(line) if begin < high && !wanted(&line) => {
                    low = self.file.stream_position()?
                }
                _ => high = middle,
            }
        }
        self.begin_of_line(low).map(drop)
    }

    /// Moves to the first line that begins at `place` or after it.
    fn begin_of_line(&mut self, place: u64) -> io::Result<u64> {
        let Some(before) = place.checked_sub(1) else {
            return self.file.seek(SeekFrom::Start(0));
        };
        self.file.seek(SeekFrom::Start(before))?;
        self.text.clear();
        let skipped = self.file.read_until(b'\n', &mut self.text)?;
        Ok(before + skipped as u64)
    }

    /// The next whole line; one without its newline is still being written.
    fn next(&mut self) -> io::Result<Option<Line>> {
        self.text.clear();
        self.file.read_until(b'\n', &mut self.text)?;
        if self.text.last() != Some(&b'\n') {
            return Ok(None);
        }
        let line: Line = serde_json::from_slice(&self.text)?;
        self.last = self.last.max(line.seq);
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::providers::simulator::ledger::{Op, Port, Verdict};

    fn line(seq: u64) -> Line {
        Line {
            seq,
            at: DateTime::UNIX_EPOCH + TimeDelta::minutes(seq.cast_signed()),
            port: Port::Carrier,
            op: Op::Ship,
            // Lines of many lengths, so that every place in a line is hit.
            key: "k".repeat((seq * 7 % 41) as usize),
            order_id: String::new(),
            kind: None,
            amount: None,
            currency: None,
            result: Verdict::Done,
            reference: String::new(),
        }
    }

    fn reader(dir: &tempfile::TempDir, lines: u64) -> Reader {
        let path = dir.path().join("ledger");
        let mut file = File::create(&path).unwrap();
        for seq in 1..=lines {
            serde_json::to_writer(&file, &line(seq)).unwrap();
            file.write_all(b"\n").unwrap();
        }
        file.write_all(br#"{"seq":9999,"a"#).unwrap();
        Reader::new(path)
    }

    #[test]
    fn a_page_begins_right_after_any_sequence() {
        let dir = tempfile::tempdir().unwrap();
        for lines in [0, 1, 2, 57] {
            let reader = reader(&dir, lines);
            for after in 0..=lines + 1 {
                let page = reader.page(after, u64::MAX, 3).unwrap();
                let seqs: Vec<_> = page.iter().map(|line| line.seq).collect();
                let expected: Vec<_> = (after + 1..=lines).take(3).collect();
                assert_eq!(seqs, expected, "after {after} of {lines}");
            }
            assert_eq!(reader.page(0, 1, 9).unwrap().len(), lines.min(1) as usize);
        }
    }

    #[test]
    fn no_line_from_a_moment_on_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let reader = reader(&dir, 57);
        for seq in 1..=57 {
            assert_eq!(reader.before(line(seq).at).unwrap(), seq - 1);
        }
        assert_eq!(reader.before(line(58).at).unwrap(), 57);
        assert_eq!(reader.before(DateTime::UNIX_EPOCH).unwrap(), 0);
    }
}
