//! Values as Postgres sends them, and rows of the table `events`.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use super::fault;
use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::names::Names;
use crate::position::{Position, Version};
use crate::stream::StreamId;

/// The columns in the order in which [`event`] and the bulk reader read them.
pub(super) const COLUMNS: &str = "position, stream_id, category, version, event_id, type, schema_version, data, metadata, recorded_at";

/// First byte of a `jsonb` value on the wire.
const JSONB_VERSION: u8 = 1;

type Failure = Box<dyn std::error::Error + Sync + Send>;

/// JSON text on its way into a `jsonb` column, without being parsed here.
#[derive(Debug)]
pub(super) struct JsonIn<'a>(pub(super) &'a str);

impl ToSql for JsonIn<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        out.extend_from_slice(&[JSONB_VERSION]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
    accepts!(JSONB);
    to_sql_checked!();
}

/// JSON text out of a `jsonb` column.
struct JsonOut(Box<RawValue>);

impl<'a> FromSql<'a> for JsonOut {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(JsonOut(json(raw)?))
    }
    accepts!(JSONB);
}

/// Decodes a `jsonb` value.
pub(super) fn json(raw: &[u8]) -> Result<Box<RawValue>, ReadError> {
    let text = raw
        .strip_prefix(&[JSONB_VERSION])
        .ok_or_else(|| corrupt("an unknown jsonb version"))?;
    let text = std::str::from_utf8(text).map_err(corrupt)?;
    RawValue::from_string(text.to_owned()).map_err(corrupt)
}

pub(super) fn event(row: &Row, names: &mut Names) -> Result<RecordedEvent, ReadError> {
    Ok(RecordedEvent {
        position: Position(get(row, 0)?),
        stream: StreamId {
            id: get(row, 1)?,
            category: names.category(get(row, 2)?)?,
        },
        version: Version(get(row, 3)?),
        event_id: get(row, 4)?,
        event_type: names.event_type(get(row, 5)?),
        schema_version: get(row, 6)?,
        data: get::<JsonOut>(row, 7)?.0,
        metadata: get::<JsonOut>(row, 8)?.0,
        recorded_at: get::<DateTime<Utc>>(row, 9)?,
    })
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, ReadError> {
    row.try_get(at)
        .map_err(|e| ReadError::Corrupt(fault::describe(&e)))
}

pub(super) fn corrupt(error: impl std::fmt::Display) -> ReadError {
    ReadError::Corrupt(error.to_string())
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> ReadError {
    ReadError::Unavailable(error.to_string())
}
