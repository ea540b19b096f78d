//! Storing one append inside the writer's transaction.

use chrono::{DateTime, SubsecRound as _, Utc};
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension as _, params};

use super::row::micros;
use crate::error::AppendError;
use crate::event::{Appended, RecordedEvent, StreamAppend};
use crate::invalid::InvalidEvent;
use crate::position::{Position, Version};
use crate::stream::StreamId;

const LAST_VERSION: &str = "SELECT version FROM events WHERE stream_id = ?1 AND category = ?2 ORDER BY version DESC LIMIT 1";
const INSERT: &str = "INSERT INTO events (position, stream_id, category, version, event_id, type, schema_version, data, metadata, \
     recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Postgres keeps microseconds; so do we.
const SUBSECOND_DIGITS: u16 = 6;

/// Stores an append after `head`. The outer error is one of the database and spoils the transaction; the inner one concerns this
/// append only and leaves no trace of it.
pub(super) fn store(
    connection: &Connection,
    head: Position,
    streams: &[StreamAppend],
) -> rusqlite::Result<Result<Appended, AppendError>> {
    let mut versions = Vec::with_capacity(streams.len());
    for append in streams {
        let actual = last_version(connection, &append.stream)?;
        if append
            .expected
            .version()
            .is_some_and(|expected| expected != actual)
        {
            let (stream, expected) = (append.stream.clone(), append.expected);
            return Ok(Err(AppendError::Conflict {
                stream,
                expected,
                actual,
            }));
        }
        versions.push(actual);
    }
    let recorded_at = Utc::now().trunc_subsecs(SUBSECOND_DIGITS);
    connection.prepare_cached("SAVEPOINT append")?.execute([])?;
    match insert(connection, head, streams, &mut versions, recorded_at) {
        Ok(last) => {
            connection.prepare_cached("RELEASE append")?.execute([])?;
            Ok(Ok(Appended {
                first: Position(head.0 + 1),
                last,
                versions,
                recorded_at,
            }))
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            connection
                .prepare_cached("ROLLBACK TO append")?
                .execute([])?;
            connection.prepare_cached("RELEASE append")?.execute([])?;
            let sqlstate = "23000".to_owned();
            Ok(Err(InvalidEvent::Refused { sqlstate }.into()))
        }
        Err(error) => Err(error),
    }
}

/// Records how far the log reaches, in the transaction that took it there.
pub(super) fn set_head(connection: &Connection, head: Position) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE log_head SET position = ?1 WHERE position <> ?1")?
        .execute([head.0])?;
    Ok(())
}

fn insert(
    connection: &Connection,
    head: Position,
    streams: &[StreamAppend],
    versions: &mut [Version],
    recorded_at: DateTime<Utc>,
) -> rusqlite::Result<Position> {
    let mut statement: CachedStatement<'_> = connection.prepare_cached(INSERT)?;
    let mut position = head;
    for (append, version) in streams.iter().zip(versions) {
        for event in &append.events {
            position = Position(position.0 + 1);
            *version = version.next();
            statement.execute(params![
                position.0,
                append.stream.id.as_bytes(),
                append.stream.category.as_str(),
                version.0,
                event.event_id.as_bytes(),
                event.event_type.as_ref(),
                event.schema_version,
                event.data.get(),
                event.metadata.get(),
                micros(recorded_at),
            ])?;
        }
    }
    Ok(position)
}

/// Stores an event where another log had it.
pub(super) fn insert_recorded(
    connection: &Connection,
    event: &RecordedEvent,
) -> rusqlite::Result<()> {
    connection.prepare_cached(INSERT)?.execute(params![
        event.position.0,
        event.stream.id.as_bytes(),
        event.stream.category.as_str(),
        event.version.0,
        event.event_id.as_bytes(),
        &*event.event_type,
        event.schema_version,
        event.data.get(),
        event.metadata.get(),
        micros(event.recorded_at),
    ])?;
    Ok(())
}

fn last_version(connection: &Connection, stream: &StreamId) -> rusqlite::Result<Version> {
    let mut statement = connection.prepare_cached(LAST_VERSION)?;
    let last = statement
        .query_row(
            params![stream.id.as_bytes(), stream.category.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(Version(last.unwrap_or(0)))
}
