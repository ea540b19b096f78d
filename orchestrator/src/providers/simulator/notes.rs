//! What the providers' own interfaces show and the ledger must not say: names of payments, reasons, callbacks. A file
//! beside the ledger, one JSON line each, written before the line that it belongs to, so that a process that is killed
//! never has a line without its note. It is not synced: after a power failure an effect is known all the same, only not
//! under the provider's name for it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::account::Hook;
use super::ledger::Op;

/// One note. `seq` is the ledger line that it belongs to or comes before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Note {
    pub(super) seq: u64,
    #[serde(flatten)]
    pub(super) what: What,
}

/// What is noted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "note")]
pub(super) enum What {
    /// Of the call under `key` that became the line.
    Call {
        key: String,
        #[serde(flatten)]
        detail: Detail,
    },
    /// A call failed without effect, and its key keeps that.
    Failure { op: Op, key: String, code: String },
    /// A refund that was accepted and will be made later.
    Pending(Pending),
    /// A payment was seen for the first time.
    Session { payment: Uuid, at: DateTime<Utc> },
    /// A callback for an order's parcel.
    Hook {
        order: Uuid,
        #[serde(flatten)]
        hook: Hook,
    },
}

/// What a call said beyond its line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Detail {
    /// Of a charge.
    Payment { payment_key: String },
    /// Of a refund: the charge that it returns, and why.
    Return { charge: u64, reason: String },
    /// Of a message: a hash of the telephone number.
    Message { to: Uuid },
}

/// A refund under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pending {
    pub(super) key: String,
    pub(super) order_id: String,
    pub(super) charge: u64,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) reason: String,
    pub(super) asked_at: DateTime<Utc>,
    pub(super) due: DateTime<Utc>,
    /// How it will be refused in the end, if it will.
    pub(super) refusal: Option<String>,
}

/// The file. It comes into being with the first note; the built-in simulator writes none.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    file: Option<File>,
}

impl Notes {
    /// The notes beside a ledger.
    pub(super) fn beside(ledger: &Path) -> Self {
        let mut path = ledger.as_os_str().to_owned();
        path.push(".notes");
        Self {
            path: path.into(),
            file: None,
        }
    }

    /// Reads what is there, in order, after cutting off a last line that is torn.
    pub(super) fn read(&self) -> io::Result<Reading> {
        let mut file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reading::default()),
            Err(error) => return Err(error),
        };
        cut_torn_line(&mut file)?;
        let mut reading = Reading {
            file: Some(BufReader::new(file)),
            next: None,
        };
        reading.advance()?;
        Ok(reading)
    }

    /// Writes one.
    pub(super) fn write(&mut self, note: &Note) -> io::Result<()> {
        if self.file.is_none() {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(&self.path);
            self.file = Some(file?);
        }
        let mut text = serde_json::to_vec(note)?;
        text.push(b'\n');
        match &mut self.file {
            Some(file) => file.write_all(&text),
            None => Ok(()),
        }
    }
}

fn cut_torn_line(file: &mut File) -> io::Result<()> {
    let mut reader = BufReader::new(&mut *file);
    let (mut sound, mut text) = (0, Vec::new());
    loop {
        text.clear();
        let read = reader.read_until(b'\n', &mut text)?;
        if read == 0 || text.last() != Some(&b'\n') {
            break;
        }
        sound += read as u64;
    }
    file.set_len(sound)?;
    io::Seek::rewind(file)
}

/// The notes of a file, one after the other.
#[derive(Debug, Default)]
pub(super) struct Reading {
    file: Option<BufReader<File>>,
    next: Option<Note>,
}

impl Reading {
    /// The next note that belongs to line `seq` or one before it.
    pub(super) fn up_to(&mut self, seq: u64) -> io::Result<Option<Note>> {
        if self.next.as_ref().is_none_or(|note| note.seq > seq) {
            return Ok(None);
        }
        let note = self.next.take();
        self.advance()?;
        Ok(note)
    }

    fn advance(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut text = Vec::new();
        if file.read_until(b'\n', &mut text)? > 0 {
            self.next = Some(serde_json::from_slice(&text)?);
        }
        Ok(())
    }
}
