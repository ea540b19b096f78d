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
        Ok(bytes.get(..at).map(|row| Fields { row, at: 2 }))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn field(out: &mut Vec<u8>, bytes: &[u8]) {
        out.extend((bytes.len() as i32).to_be_bytes());
        out.extend(bytes);
    }

    fn row(position: i64) -> Vec<u8> {
        let mut out = FIELDS.to_be_bytes().to_vec();
        field(&mut out, &position.to_be_bytes());
        field(&mut out, &[7; 16]);
        field(&mut out, b"order");
        field(&mut out, &1_i64.to_be_bytes());
        field(&mut out, &[9; 16]);
        field(&mut out, b"Ordered");
        field(&mut out, &2_i16.to_be_bytes());
        field(&mut out, b"\x01{\"qty\": 2}");
        field(&mut out, b"\x01{}");
        field(&mut out, &1_500_000_i64.to_be_bytes());
        out
    }

    fn copy(rows: i64) -> Vec<u8> {
        let header = [SIGNATURE, &[0; 8]].concat();
        let rows = (1..=rows).flat_map(row);
        header
            .into_iter()
            .chain(rows)
            .chain(TRAILER.to_be_bytes())
            .collect()
    }

    #[test]
    fn events_come_out_the_same_however_the_bytes_are_cut() {
        let bytes = copy(5);
        for size in [1, 2, 7, 19, 64, bytes.len()] {
            let (mut decoder, mut events) = (Decoder::default(), Vec::new());
            for chunk in bytes.chunks(size) {
                decoder.feed(chunk, &mut events).expect("decoded");
            }
            let positions: Vec<_> = events.iter().map(|event| event.position.0).collect();
            assert_eq!(positions, [1, 2, 3, 4, 5], "in chunks of {size}");
            let event = &events[4];
            assert_eq!(
                event.stream.to_string(),
                "order-07070707-0707-0707-0707-070707070707"
            );
            assert_eq!(
                (&*event.event_type, event.schema_version, event.data.get()),
                ("Ordered", 2, r#"{"qty": 2}"#)
            );
            assert_eq!(
                event.recorded_at.to_rfc3339(),
                "2000-01-01T00:00:01.500+00:00"
            );
        }
    }

    #[test]
    fn what_is_not_such_a_copy_is_refused() {
        let feed = |bytes: &[u8]| Decoder::default().feed(bytes, &mut Vec::new());
        assert!(matches!(
            feed(b"position,stream_id,category,version"),
            Err(ReadError::Corrupt(_))
        ));
        let mut other_columns = copy(1);
        other_columns[HEADER_BYTES + 1] = 11;
        assert!(matches!(feed(&other_columns), Err(ReadError::Corrupt(_))));
        let mut null = copy(1);
        null[HEADER_BYTES + 2..HEADER_BYTES + 6].copy_from_slice(&(-1_i32).to_be_bytes());
        assert!(matches!(feed(&null), Err(ReadError::Corrupt(_))));
    }
}
