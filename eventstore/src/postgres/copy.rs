//! Decoding `COPY ... (FORMAT binary)`: a header, then rows of length-prefixed fields, then a trailer.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::codec;
use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::names::Names;
use crate::position::{Position, Version};
use crate::stream::StreamId;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the header's extension.
const HEADER_BYTES: usize = SIGNATURE.len() + 4 + 4;
/// Number of columns in [`codec::COLUMNS`].
const FIELDS: i16 = 10;
/// What stands in place of the number of fields after the last row.
const TRAILER: i16 = -1;
/// 2000-01-01T00:00:00Z, from which Postgres counts, in seconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800;

/// Takes bytes in chunks of any size and gives the events that are complete.
#[derive(Default)]
pub(super) struct Decoder {
    rest: Vec<u8>,
    in_rows: bool,
    names: Names,
}

impl Decoder {
    /// Gets ready for the next COPY.
    pub(super) fn restart(&mut self) {
        self.rest.clear();
        self.in_rows = false;
    }

    /// Takes `chunk` and adds the events that are now complete to `events`.
    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        events: &mut Vec<RecordedEvent>,
    ) -> Result<(), ReadError> {
        self.rest.extend_from_slice(chunk);
        let mut used = 0;
        if !self.in_rows {
            if self.rest.len() < HEADER_BYTES {
                return Ok(());
            }
            used = header(&self.rest)?;
            self.in_rows = true;
        }
        while let Some(mut fields) = Fields::whole_row(&self.rest[used..])? {
            events.push(fields.event(&mut self.names)?);
            used += fields.at;
        }
        self.rest.drain(..used);
        Ok(())
    }
}

fn header(bytes: &[u8]) -> Result<usize, ReadError> {
    let mut extension = [0; 4];
    extension.copy_from_slice(&bytes[HEADER_BYTES - 4..HEADER_BYTES]);
    if !bytes.starts_with(SIGNATURE) || extension != [0; 4] {
        return Err(codec::corrupt("not a binary COPY"));
    }
    Ok(HEADER_BYTES)
}

/// One row that is known to be complete.
struct Fields<'a> {
    row: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// The row at the start of `bytes`; `None` if it is not all there, or if there are no more rows.
    fn whole_row(bytes: &'a [u8]) -> Result<Option<Fields<'a>>, ReadError> {
        let Some(count) = bytes.first_chunk().map(|b| i16::from_be_bytes(*b)) else {
            return Ok(None);
        };
        match count {
            TRAILER => return Ok(None),
            FIELDS => {}
            _ => return Err(codec::corrupt("a row with an unexpected number of columns")),
        }
        let mut at = 2;
        for _ in 0..FIELDS {
            let Some(length) = bytes.get(at..).and_then(|b| b.first_chunk()) else {
                return Ok(None);
            };
            let length = usize::try_from(i32::from_be_bytes(*length))
                .map_err(|_| codec::corrupt("a column is null"))?;
            at += 4 + length;
        }
        Ok((at <= bytes.len()).then_some(Fields {
            row: &bytes[..at],
            at: 2,
        }))
    }

    fn event(&mut self, names: &mut Names) -> Result<RecordedEvent, ReadError> {
        let position = Position(i64::from_be_bytes(self.fixed()?));
        let id = Uuid::from_bytes(self.fixed()?);
        Ok(RecordedEvent {
            position,
            stream: StreamId {
                id,
                category: names.category(self.text()?)?,
            },
            version: Version(i64::from_be_bytes(self.fixed()?)),
            event_id: Uuid::from_bytes(self.fixed()?),
            event_type: names.event_type(self.text()?),
            schema_version: i16::from_be_bytes(self.fixed()?),
            data: codec::json(self.field()?)?,
            metadata: codec::json(self.field()?)?,
            recorded_at: time(i64::from_be_bytes(self.fixed()?))?,
        })
    }

    fn field(&mut self) -> Result<&'a [u8], ReadError> {
        let short = || codec::corrupt("a row is cut off");
        let length = self
            .row
            .get(self.at..)
            .and_then(|b| b.first_chunk())
            .ok_or_else(short)?;
        let start = self.at + 4;
        let end = start + usize::try_from(i32::from_be_bytes(*length)).map_err(codec::corrupt)?;
        self.at = end;
        self.row.get(start..end).ok_or_else(short)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        self.field()?.try_into().map_err(codec::corrupt)
    }

    fn text(&mut self) -> Result<&'a str, ReadError> {
        std::str::from_utf8(self.field()?).map_err(codec::corrupt)
    }
}

fn time(micros: i64) -> Result<DateTime<Utc>, ReadError> {
    DateTime::from_timestamp(POSTGRES_EPOCH, 0)
        .and_then(|epoch| epoch.checked_add_signed(TimeDelta::microseconds(micros)))
        .ok_or_else(|| codec::corrupt("a time is out of range"))
}
