//! Taking in the events of another log, while nobody else writes the directory.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use uuid::Uuid;

use super::readers::Reader;
use super::{DATABASE_FILE, append, connection, lock, migrate, read};
use crate::archive::{ImportError, IntakeError};
use crate::event::RecordedEvent;
use crate::keys::SubjectKey;
use crate::names::Names;
use crate::position::{Position, Version};
use crate::schema;
use crate::stream::StreamId;

pub(crate) struct Intake {
    store: Reader,
    /// Held for as long as this can write.
    _lock: File,
}

impl Intake {
    /// Opens a migrated directory.
    pub(crate) fn open(dir: &Path) -> Result<Intake, ImportError> {
        let lock = lock::writer(dir)?;
        let connection = connection::write(&dir.join(DATABASE_FILE), None)?;
        schema::check_import(migrate::applied(&connection)?)?;
        Ok(Intake {
            store: Reader {
                connection,
                names: Names::default(),
            },
            _lock: lock,
        })
    }

    /// Where the log ends, and whether an import has closed it.
    pub(crate) fn state(&mut self) -> Result<(Position, bool), IntakeError> {
        let connection = &self.store.connection;
        let head = read::head(connection).map_err(|e| of(&e))?;
        let oldest = "SELECT oldest_binary FROM log_schema";
        let oldest: i32 = connection
            .query_row(oldest, [], |row| row.get(0))
            .map_err(|e| of(&e))?;
        Ok((head, oldest == schema::NO_BUILD))
    }

    /// The events from one position to another, both included.
    pub(crate) fn events(
        &mut self,
        from: Position,
        to: Position,
    ) -> Result<Vec<RecordedEvent>, IntakeError> {
        self.store
            .events(
                "WHERE position BETWEEN ?1 AND ?2 ORDER BY position",
                params![from.0, to.0],
            )
            .map_err(|e| IntakeError::Failed(e.to_string()))
    }

    /// Closes the log to every build.
    pub(crate) fn close(&mut self, head: Position, drop_keys: bool) -> Result<(), IntakeError> {
        self.transaction(head, |connection| {
            set_oldest_binary(connection, schema::NO_BUILD)?;
            if drop_keys {
                connection.execute("DELETE FROM subject_keys", [])?;
            }
            Ok(())
        })
    }

    /// Stores events after `after`, if each of these streams has an event of that version already.
    pub(crate) fn store(
        &mut self,
        after: Position,
        events: &[RecordedEvent],
        earlier: &[(&StreamId, Version)],
    ) -> Result<(), IntakeError> {
        let last = Position(after.0 + events.len() as i64);
        let missing = self.transaction(after, |connection| {
            for (stream, version) in earlier {
                if !exists(connection, stream, *version)? {
                    return Ok(Some(*stream));
                }
            }
            events
                .iter()
                .try_for_each(|event| append::insert_recorded(connection, event))?;
            append::set_head(connection, last)?;
            Ok(None)
        })?;
        match missing {
            None => Ok(()),
            Some(stream) => Err(IntakeError::Refused(format!(
                "a version of {stream} is missing"
            ))),
        }
    }

    /// Stores keys, in place of those that the subjects have.
    pub(crate) fn keys(&mut self, keys: &[(String, SubjectKey)]) -> Result<(), IntakeError> {
        let (head, _) = self.state()?;
        let sql =
            "INSERT OR REPLACE INTO subject_keys (subject, key_id, wrapped) VALUES (?1, ?2, ?3)";
        self.transaction(head, |connection| {
            let mut insert = connection.prepare_cached(sql)?;
            for (subject, key) in keys {
                insert.execute(params![subject, key.id.as_bytes(), key.wrapped])?;
            }
            Ok(())
        })
    }

    /// Opens the log again, under a new epoch.
    pub(crate) fn finish(&mut self, last: Position) -> Result<Uuid, IntakeError> {
        self.transaction(last, |connection| {
            set_oldest_binary(connection, schema::OLDEST_BINARY)?;
            read::renew_epoch(connection)
        })
    }

    /// Runs a transaction on a log whose head is where it was left.
    fn transaction<T>(
        &mut self,
        head: Position,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IntakeError> {
        let transaction = self
            .store
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(|e| of(&e))?;
        let found = read::head(&transaction).map_err(|e| of(&e))?;
        if found != head {
            let why = format!("somebody else has written to it: it ends at {found}");
            return Err(IntakeError::Failed(why));
        }
        let done = work(&transaction).map_err(|e| of(&e))?;
        transaction.commit().map_err(|e| of(&e))?;
        Ok(done)
    }
}

fn set_oldest_binary(connection: &Connection, to: i32) -> rusqlite::Result<()> {
    connection
        .execute("UPDATE log_schema SET oldest_binary = ?1", [to])
        .map(drop)
}

fn exists(connection: &Connection, stream: &StreamId, version: Version) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM events WHERE stream_id = ?1 AND category = ?2 AND version = ?3";
    let values = params![stream.id.as_bytes(), stream.category.as_str(), version.0];
    connection
        .prepare_cached(sql)?
        .query_row(values, |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
}

fn of(error: &rusqlite::Error) -> IntakeError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            IntakeError::Refused("a version of a stream comes twice".to_owned())
        }
        _ => IntakeError::Failed(error.to_string()),
    }
}
