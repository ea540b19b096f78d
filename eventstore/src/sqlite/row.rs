//! Rows of the table `events`.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::fault;
use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::names::Names;
use crate::position::{Position, Version};
use crate::stream::StreamId;

/// The columns in the order in which [`event`] reads them.
pub(super) const COLUMNS: &str = "position, stream_id, category, version, event_id, type, schema_version, data, metadata, recorded_at";

pub(super) fn event(row: &Row<'_>, names: &mut Names) -> Result<RecordedEvent, ReadError> {
    let get = |at| row.get(at).map_err(|e| fault::reading(&e));
    Ok(RecordedEvent {
        position: Position(get(0)?),
        stream: StreamId {
            id: id(row, 1)?,
            category: names.category(text(row, 2)?)?,
        },
        version: Version(get(3)?),
        event_id: id(row, 4)?,
        event_type: names.event_type(text(row, 5)?),
        schema_version: row.get(6).map_err(|e| fault::reading(&e))?,
        data: json(row, 7)?,
        metadata: json(row, 8)?,
        recorded_at: time(get(9)?)?,
    })
}

pub(super) fn id(row: &Row<'_>, at: usize) -> Result<Uuid, ReadError> {
    let bytes = row
        .get_ref(at)
        .map_err(|e| fault::reading(&e))?
        .as_blob()
        .map_err(corrupt)?;
    Uuid::from_slice(bytes).map_err(corrupt)
}

pub(super) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

fn text<'a>(row: &'a Row<'_>, at: usize) -> Result<&'a str, ReadError> {
    row.get_ref(at)
        .map_err(|e| fault::reading(&e))?
        .as_str()
        .map_err(corrupt)
}

fn json(row: &Row<'_>, at: usize) -> Result<Box<RawValue>, ReadError> {
    RawValue::from_string(text(row, at)?.to_owned()).map_err(corrupt)
}

fn time(micros: i64) -> Result<DateTime<Utc>, ReadError> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| ReadError::Corrupt(format!("time {micros} is out of range")))
}

fn corrupt(error: impl std::fmt::Display) -> ReadError {
    ReadError::Corrupt(error.to_string())
}
