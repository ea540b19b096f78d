//! The simulator's append-only ledger: one JSON line for each thing that a provider did or finally refused, scans of the vans
//! included, in the order of one global sequence, on disk before the answer. A call that a fault swallows, and a question, leave
//! no line. It is the outside truth that checkers compare the log with; after a restart the simulator knows it and the notes
//! beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Name of the ledger inside the data directory.
pub const FILE_NAME: &str = "simulator.jsonl";

/// Upper bound of one write: enough to share an fsync between all callers, small enough to keep the buffer in cache.
const BATCH_BYTES: usize = 256 * 1024;

/// Which provider a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Port {
    /// Takes and returns money.
    Payment,
    /// Moves parcels.
    Carrier,
    /// Sends messages.
    Kakao,
}

/// What was asked, or what happened by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Money taken.
    Charge,
    /// Money given back.
    Refund,
    /// Parcel accepted.
    Ship,
    /// Parcel kept from leaving.
    Hold,
    /// Label voided.
    Cancel,
    /// The van took the parcel along.
    Handover,
    /// The receiver has it.
    Deliver,
    /// Message sent.
    Send,
}

/// How the call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It had its effect.
    Done,
    /// No effect, ever, under this key.
    Refused,
    /// A known key got its stored answer; no new effect.
    Repeated,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Global sequence, from 1.
    pub seq: u64,
    /// When, to the millisecond.
    #[serde(with = "millis")]
    pub at: DateTime<Utc>,
    /// Which provider.
    pub port: Port,
    /// What.
    pub op: Op,
    /// Idempotency key; for scans and messages the name of the parcel's scan and the message id.
    pub key: String,
    /// The order.
    pub order_id: String,
    /// Kind of message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Minor units, for money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// Its currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// How it ended.
    pub result: Verdict,
    /// The provider's reference; of a refusal, its code.
    #[serde(rename = "ref")]
    pub reference: String,
}

mod millis {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &DateTime<Utc>, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        DateTime::deserialize(input)
    }
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Reading or writing failed.
    #[error("cannot use the simulator's ledger {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes it.
    #[error("the simulator's ledger {path} is in use by another process")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A line in the middle is not ours.
    #[error("line {line} of the simulator's ledger {path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
    },
}

/// How far the ledger is safe on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Synced {
    pub(super) seq: u64,
    /// The disk failed: nothing after `seq` will ever be acknowledged.
    pub(super) failed: bool,
}

/// Reads every whole line in order.
pub fn read(path: &Path) -> Result<Vec<Line>, LedgerError> {
    let mut lines = Vec::new();
    let file = File::open(path).map_err(|source| io(path, source))?;
    each_line(path, &file, |line| lines.push(line))?;
    Ok(lines)
}

/// Feeds every whole line to `take` and returns the length of the sound part of the file.
fn each_line(path: &Path, file: &File, mut take: impl FnMut(Line)) -> Result<u64, LedgerError> {
    let mut reader = BufReader::new(file);
    let (mut sound, mut number, mut text) = (0_u64, 0_u64, Vec::new());
    loop {
        text.clear();
        let read = reader
            .read_until(b'\n', &mut text)
            .map_err(|source| io(path, source))?;
        // A line without its newline was being written when the process died: it was never acknowledged.
        if read == 0 || text.last() != Some(&b'\n') {
            return Ok(sound);
        }
        number += 1;
        let line = serde_json::from_slice(&text);
        take(line.map_err(|_| LedgerError::Damaged {
            path: path.to_owned(),
            line: number,
        })?);
        sound += read as u64;
    }
}

fn io(path: &Path, source: std::io::Error) -> LedgerError {
    LedgerError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The writing end. Lines are written and synced in groups by a thread of its own; callers wait on [`Ledger::synced`].
#[derive(Debug)]
pub(super) struct Ledger {
    lines: Option<mpsc::Sender<(u64, Vec<u8>)>>,
    synced: watch::Receiver<Synced>,
    writer: Option<thread::JoinHandle<()>>,
}

impl Drop for Ledger {
    /// Waits for the writer, so that the file is complete and unlocked when the simulator is gone.
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Ledger {
    /// Opens or creates the file, truncates a torn last line and feeds what is there to `take`.
    pub(super) fn open(path: &Path, take: impl FnMut(Line)) -> Result<Self, LedgerError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|source| io(path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LedgerError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(path, source)),
        }
        let mut take = take;
        let mut last = 0;
        let sound = each_line(path, &file, |line| {
            last = line.seq;
            take(line);
        })?;
        file.set_len(sound)
            .and_then(|()| file.seek(SeekFrom::Start(sound)))
            .and_then(|_| file.sync_all())
            .map_err(|source| io(path, source))?;
        let (lines, queue) = mpsc::channel();
        let (done, synced) = watch::channel(Synced {
            seq: last,
            failed: false,
        });
        let writer = thread::Builder::new()
            .name("simulator-ledger".into())
            .spawn(move || write_groups(&file, &queue, &done))
            .map_err(|source| io(path, source))?;
        Ok(Self {
            lines: Some(lines),
            synced,
            writer: Some(writer),
        })
    }

    /// Queues one line. The caller holds the lock under which it took `seq`, so lines are queued in sequence.
    pub(super) fn push(&self, line: &Line) {
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.push(b'\n');
        // A closed queue means that the writer stopped after a disk error; waiters learn it from `synced`.
        let _ = self
            .lines
            .as_ref()
            .map(|lines| lines.send((line.seq, text)));
    }

    /// The last sequence that is on disk.
    pub(super) fn synced_seq(&self) -> u64 {
        self.synced.borrow().seq
    }

    /// Waits until `seq` is on disk; false when it never will be.
    pub(super) async fn synced(&self, seq: u64) -> bool {
        let mut synced = self.synced.clone();
        let reached = synced
            .wait_for(|state| state.failed || state.seq >= seq)
            .await;
        reached.is_ok_and(|state| state.seq >= seq)
    }
}

/// Writes what is queued, syncs once, tells everyone; until the last sender is gone or the disk fails.
fn write_groups(
    mut file: &File,
    queue: &mpsc::Receiver<(u64, Vec<u8>)>,
    done: &watch::Sender<Synced>,
) {
    while let Ok((mut seq, mut batch)) = queue.recv() {
        while batch.len() < BATCH_BYTES {
            let Ok((next, text)) = queue.try_recv() else {
                break;
            };
            seq = next;
            batch.extend_from_slice(&text);
        }
        if let Err(error) = file.write_all(&batch).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "the simulator's ledger cannot be written; its answers are unknown from now on");
            done.send_modify(|state| state.failed = true);
            return;
        }
        done.send_modify(|state| state.seq = seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_that_checkers_read() {
        let line = Line {
            seq: 1,
            at: "2026-11-22T10:00:00.5Z".parse().unwrap(),
            port: Port::Payment,
            op: Op::Charge,
            key: "k".into(),
            order_id: "o".into(),
            kind: None,
            amount: Some(33_000),
            currency: Some("KRW".into()),
            result: Verdict::Done,
            reference: "r".into(),
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"seq":1,"at":"2026-11-22T10:00:00.500Z","port":"payment","op":"charge","key":"k","orderId":"o","amount":33000,"currency":"KRW","result":"done","ref":"r"}"#
        );
    }
}
