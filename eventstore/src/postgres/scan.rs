//! Bulk reading through COPY on a blocking connection of its own.

use std::io::BufRead as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::codec::{self, COLUMNS};
use super::connect::Target;
use super::copy::Decoder;
use super::{Postgres, fault};
use crate::checkpoint;
use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::position::{Checkpoint, Position};
use crate::scan::{Pages, Scan};

/// Events in one page handed to the reader.
const PAGE: usize = 1_000;
/// Positions in one COPY. Bounds what is read in vain when a reader goes away, and how long a snapshot is held.
const STRETCH: i64 = 20_000;
/// Pages read ahead of whoever works on them.
const PAGES_AHEAD: usize = 2;
/// The same where several connections read stretches in turn: each has its next stretch ready when its turn comes.
const STRETCH_IN_TURN: i64 = 4_000;
const PAGES_AHEAD_IN_TURN: usize = 4;

impl Postgres {
    pub(crate) fn scan(&self, after: Checkpoint, to: Position, lanes: usize) -> Scan {
        let target = self.target.clone();
        let (stretch, ahead) = match lanes {
            0 | 1 => (STRETCH, PAGES_AHEAD),
            _ => (STRETCH_IN_TURN, PAGES_AHEAD_IN_TURN),
        };
        // Appends go on, and all lanes have to end at the same place.
        let head = Arc::new(Mutex::new(None));
        Scan::spawn(lanes, ahead, move |lane, pages: &Pages| {
            let mut reader = Reader::connect(&target)?;
            let to = reader.head(&head)?.min(to.0);
            if lane == 0 && after.position.0 > 0 {
                reader.verify(&after)?;
            }
            let first = after.position.0 + 1;
            let starts = (first..=to).step_by(stretch as usize);
            for from in starts.skip(lane).step_by(lanes.max(1)) {
                let end = to.min(from + stretch - 1);
                let gone = !reader.stretch(from, end, |page| pages.push(page))?;
                if gone || !pages.turn() {
                    break;
                }
            }
            Ok(())
        })
    }
}

struct Reader {
    client: postgres::Client,
    decoder: Decoder,
}

impl Reader {
    fn connect(target: &Target) -> Result<Reader, ReadError> {
        let mut client = target.connect_blocking().map_err(|e| fault::reading(&e))?;
        client
            .batch_execute("SET jit = off; SET enable_seqscan = off")
            .map_err(|e| fault::reading(&e))?;
        Ok(Reader {
            client,
            decoder: Decoder::default(),
        })
    }

    /// Where the log ends, as whoever asks first sees it.
    fn head(&mut self, seen: &Mutex<Option<i64>>) -> Result<i64, ReadError> {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(head) = *seen {
            return Ok(head);
        }
        let head = self
            .client
            .query_one("SELECT position FROM log_head", &[])
            .map_err(|e| fault::reading(&e))?
            .get(0);
        Ok(*seen.insert(head))
    }

    /// The log must still hold the checkpoint's event.
    fn verify(&mut self, after: &Checkpoint) -> Result<(), ReadError> {
        let mut first = Vec::new();
        self.stretch(after.position.0, after.position.0, |page| {
            first.extend(page);
            true
        })?;
        checkpoint::verify(after, &mut first)
    }

    /// Reads the positions from `from` to `to`, both included. `false`: the reader has gone.
    fn stretch(
        &mut self,
        from: i64,
        to: i64,
        mut push: impl FnMut(Vec<RecordedEvent>) -> bool,
    ) -> Result<bool, ReadError> {
        let sql = format!(
            "COPY (SELECT {COLUMNS} FROM events WHERE position BETWEEN {from} AND {to} ORDER BY position) TO STDOUT (FORMAT binary)"
        );
        self.decoder.restart();
        let mut out = self.client.copy_out(&sql).map_err(|e| fault::reading(&e))?;
        let mut page = Vec::with_capacity(PAGE);
        loop {
            let chunk = out.fill_buf().map_err(codec::unavailable)?;
            if chunk.is_empty() {
                return Ok(push(page));
            }
            let length = chunk.len();
            self.decoder.feed(chunk, &mut page)?;
            out.consume(length);
            if page.len() >= PAGE && !push(std::mem::replace(&mut page, Vec::with_capacity(PAGE))) {
                return Ok(false);
            }
        }
    }
}
