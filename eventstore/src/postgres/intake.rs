//! Taking in the events of another log through COPY, on a blocking connection of its own.

use std::time::Duration;

use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};
use postgres::{Client, Transaction};
use secrecy::SecretString;
use uuid::Uuid;

use super::codec::{self, COLUMNS, JsonIn};
use super::connect::Target;
use super::fault::Failure;
use super::read::NEW_EPOCH;
use super::{durability, migrate};
use crate::archive::{ImportError, IntakeError};
use crate::event::RecordedEvent;
use crate::keys::SubjectKey;
use crate::names::Names;
use crate::position::{Position, Version};
use crate::schema;
use crate::stream::StreamId;

/// Names the lock that one import at a time holds; the bytes of "eventimp".
const TURN: i64 = i64::from_be_bytes(*b"eventimp");
/// Longest wait for the log's head: others hold it for one commit at a time.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest run of one statement. A member of an archive takes well under a second.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);

/// As [`COLUMNS`] has them.
const TYPES: [Type; 10] = [
    Type::INT8,
    Type::UUID,
    Type::TEXT,
    Type::INT8,
    Type::UUID,
    Type::TEXT,
    Type::INT2,
    Type::JSONB,
    Type::JSONB,
    Type::TIMESTAMPTZ,
];

const LOCK_HEAD: &str = "SELECT position FROM log_head FOR UPDATE";
const MISSING: &str = "SELECT p.category || '-' || p.stream FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS p (stream, category, version) \
     WHERE NOT EXISTS (SELECT FROM events e WHERE e.stream_id = p.stream AND e.category = p.category AND e.version = p.version) \
     LIMIT 1";
const KEYS: &str = "INSERT INTO subject_keys (subject, key_id, wrapped) SELECT * FROM unnest($1::text[], $2::uuid[], $3::bytea[]) \
     ON CONFLICT (subject) DO UPDATE SET key_id = excluded.key_id, wrapped = excluded.wrapped";

/// A database that can take in a log.
pub(crate) struct Place(Target);

/// Finds out whether a migrated database can take in a log.
pub(crate) async fn place(url: &SecretString) -> Result<Place, ImportError> {
    let target = Target::parse(url)?;
    let link = target.connect().await?;
    durability::check(&link.client).await?;
    durability::check_writable(&link.client).await?;
    schema::check_import(migrate::applied(&link.client).await?)?;
    Ok(Place(target))
}

pub(crate) struct Intake {
    client: Client,
    names: Names,
}

impl Place {
    /// Connects and takes the turn, which is given back when the connection ends.
    pub(crate) fn open(&self) -> Result<Intake, ImportError> {
        let first = Position::ZERO;
        let mut client = self.0.connect_blocking().map_err(|e| of(&e).at(first))?;
        let settings = format!(
            "SET lock_timeout = {}; SET statement_timeout = {}; SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off",
            LOCK_TIMEOUT.as_millis(),
            STATEMENT_TIMEOUT.as_millis()
        );
        let taken = client
            .batch_execute(&settings)
            .and_then(|()| client.query_one("SELECT pg_try_advisory_lock($1)", &[&TURN]))
            .map_err(|e| of(&e).at(first))?;
        if !taken.get::<_, bool>(0) {
            return Err(ImportError::Running);
        }
        Ok(Intake {
            client,
            names: Names::default(),
        })
    }
}

impl Intake {
    /// Where the log ends, and whether an import has closed it.
    pub(crate) fn state(&mut self) -> Result<(Position, bool), IntakeError> {
        let sql = "SELECT h.position, s.oldest_binary FROM log_head h, log_schema s";
        let row = self.client.query_one(sql, &[]).map_err(|e| of(&e))?;
        Ok((
            Position(row.get(0)),
            row.get::<_, i32>(1) == schema::NO_BUILD,
        ))
    }

    /// The events from one position to another, both included.
    pub(crate) fn events(
        &mut self,
        from: Position,
        to: Position,
    ) -> Result<Vec<RecordedEvent>, IntakeError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position"
        );
        let rows = self
            .client
            .query(&sql, &[&from.0, &to.0])
            .map_err(|e| of(&e))?;
        rows.iter()
            .map(|row| codec::event(row, &mut self.names))
            .collect::<Result<_, _>>()
            .map_err(|e| IntakeError::Failed(e.to_string()))
    }

    /// Closes the log to every build, and to those who have it open: what they still send is refused.
    pub(crate) fn close(&mut self, head: Position, drop_keys: bool) -> Result<(), IntakeError> {
        let mut transaction = begin(&mut self.client, head)?;
        let mut run = |sql: &str, values: &[&(dyn ToSql + Sync)]| {
            transaction.execute(sql, values).map_err(|e| of(&e))
        };
        run(
            "UPDATE log_schema SET oldest_binary = $1",
            &[&schema::NO_BUILD],
        )?;
        run("DELETE FROM log_appenders", &[])?;
        if drop_keys {
            run("DELETE FROM subject_keys", &[])?;
        }
        transaction.commit().map_err(|e| of(&e))
    }

    /// Stores events after `after`, if each of these streams has an event of that version already.
    pub(crate) fn store(
        &mut self,
        after: Position,
        events: &[RecordedEvent],
        earlier: &[(&StreamId, Version)],
    ) -> Result<(), IntakeError> {
        let mut transaction = begin(&mut self.client, after)?;
        check(&mut transaction, earlier)?;
        copy(&mut transaction, events).map_err(|e| of(&e))?;
        let last = Position(after.0 + events.len() as i64);
        transaction
            .execute("UPDATE log_head SET position = $1", &[&last.0])
            .and_then(|_| transaction.commit())
            .map_err(|e| of(&e))
    }

    /// Stores keys, in place of those that the subjects have.
    pub(crate) fn keys(&mut self, keys: &[(String, SubjectKey)]) -> Result<(), IntakeError> {
        let subjects: Vec<&str> = keys.iter().map(|(subject, _)| subject.as_str()).collect();
        let ids: Vec<Uuid> = keys.iter().map(|(_, key)| key.id).collect();
        let wrapped: Vec<&[u8]> = keys.iter().map(|(_, key)| key.wrapped.as_slice()).collect();
        self.client
            .execute(KEYS, &[&subjects, &ids, &wrapped])
            .map(drop)
            .map_err(|e| of(&e))
    }

    /// Opens the log again, under a new epoch.
    pub(crate) fn finish(&mut self, last: Position) -> Result<Uuid, IntakeError> {
        let mut transaction = begin(&mut self.client, last)?;
        let open = "UPDATE log_schema SET oldest_binary = $1";
        let row = transaction
            .execute(open, &[&schema::OLDEST_BINARY])
            .and_then(|_| transaction.query_one(NEW_EPOCH, &[]))
            .map_err(|e| of(&e))?;
        transaction.commit().map_err(|e| of(&e))?;
        Ok(row.get(0))
    }
}

/// Begins a transaction that holds the head, which must be where it was left.
fn begin(client: &mut Client, head: Position) -> Result<Transaction<'_>, IntakeError> {
    let mut transaction = client.transaction().map_err(|e| of(&e))?;
    let row = transaction.query_one(LOCK_HEAD, &[]).map_err(|e| of(&e))?;
    let found = Position(row.get(0));
    if found != head {
        let why = format!("somebody else has written to it: it ends at {found}");
        return Err(IntakeError::Failed(why));
    }
    Ok(transaction)
}

fn check(
    transaction: &mut Transaction<'_>,
    earlier: &[(&StreamId, Version)],
) -> Result<(), IntakeError> {
    let ids: Vec<Uuid> = earlier.iter().map(|(stream, _)| stream.id).collect();
    let categories: Vec<&str> = earlier
        .iter()
        .map(|(stream, _)| stream.category.as_str())
        .collect();
    let versions: Vec<i64> = earlier.iter().map(|(_, version)| version.0).collect();
    let missing = transaction
        .query_opt(MISSING, &[&ids, &categories, &versions])
        .map_err(|e| of(&e))?;
    match missing {
        None => Ok(()),
        Some(row) => {
            let stream: String = row.get(0);
            Err(IntakeError::Refused(format!(
                "a version of {stream} is missing"
            )))
        }
    }
}

fn copy(
    transaction: &mut Transaction<'_>,
    events: &[RecordedEvent],
) -> Result<(), postgres::Error> {
    let sql = format!("COPY events ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut rows = BinaryCopyInWriter::new(transaction.copy_in(&sql)?, &TYPES);
    for event in events {
        rows.write(&[
            &event.position.0,
            &event.stream.id,
            &event.stream.category.as_str(),
            &event.version.0,
            &event.event_id,
            &&*event.event_type,
            &event.schema_version,
            &JsonIn(event.data.get()),
            &JsonIn(event.metadata.get()),
            &event.recorded_at,
        ])?;
    }
    rows.finish().map(drop)
}

fn of(error: &postgres::Error) -> IntakeError {
    match Failure::of(error) {
        Failure::Refused(sqlstate) => IntakeError::Refused(format!(
            "the database refuses what follows (SQLSTATE {sqlstate})"
        )),
        Failure::Lost(why)
        | Failure::Full(why)
        | Failure::Disconnect(why)
        | Failure::Retry(why) => IntakeError::Failed(why),
    }
}
