//! Bulk reading through COPY on a blocking connection of its own.

use std::io::BufRead as _;

use postgres::NoTls;

use super::codec::{self, COLUMNS};
use super::connect::{Target, Tls};
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

impl Postgres {
    pub(crate) fn scan(&self, after: Checkpoint, to: Position) -> Scan {
        let target = self.target.clone();
        Scan::spawn(move |pages: &Pages| Reader::connect(&target)?.run(after, to, pages))
    }
}

struct Reader {
    client: postgres::Client,
    decoder: Decoder,
}

impl Reader {
    fn connect(target: &Target) -> Result<Reader, ReadError> {
        let config = postgres::Config::from(target.config.clone());
        let mut client = match &target.tls {
            Tls::Off => config.connect(NoTls),
            Tls::Rustls(tls) => config.connect(tls.clone()),
        }
        .map_err(|e| fault::reading(&e))?;
        client
            .batch_execute("SET jit = off; SET enable_seqscan = off")
            .map_err(|e| fault::reading(&e))?;
        Ok(Reader {
            client,
            decoder: Decoder::default(),
        })
    }

    fn run(&mut self, after: Checkpoint, to: Position, pages: &Pages) -> Result<(), ReadError> {
        let head = self
            .client
            .query_one("SELECT position FROM log_head", &[])
            .map_err(|e| fault::reading(&e))?;
        let to = to.0.min(head.get(0));
        if after.position.0 > 0 {
            let mut first = Vec::new();
            self.stretch(after.position.0, after.position.0, |page| {
                first.extend(page);
                true
            })?;
            checkpoint::verify(&after, &mut first)?;
        }
        let mut from = after.position.0 + 1;
        while from <= to {
            let end = to.min(from + STRETCH - 1);
            if !self.stretch(from, end, |page| pages.push(page))? {
                return Ok(());
            }
            from = end + 1;
        }
        Ok(())
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
