//! Keys per data subject.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::{Sqlite, fault};
use crate::error::ReadError;
use crate::keys::SubjectKey;

impl Sqlite {
    pub(crate) async fn get_key(&self, subject: &str) -> Result<Option<SubjectKey>, ReadError> {
        let subject = subject.to_owned();
        self.readers
            .read(move |reader| {
                select(&reader.connection, &subject).map_err(|e| fault::reading(&e))
            })
            .await
    }

    pub(crate) async fn get_or_create_key(
        &self,
        subject: &str,
        candidate: SubjectKey,
    ) -> Result<SubjectKey, ReadError> {
        let subject = subject.to_owned();
        self.write(move |connection| {
            let insert = "INSERT INTO subject_keys (subject, key_id, wrapped) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            let inserted = connection.prepare_cached(insert)?.execute(params![
                subject,
                candidate.id.as_bytes(),
                candidate.wrapped
            ])?;
            match inserted {
                0 => select(connection, &subject)?.ok_or(rusqlite::Error::QueryReturnedNoRows),
                _ => Ok(candidate),
            }
        })
        .await
    }

    pub(crate) async fn keys_from(
        &self,
        subject: &str,
        limit: i64,
    ) -> Result<Vec<(String, SubjectKey)>, ReadError> {
        let subject = subject.to_owned();
        self.readers
            .read(move |reader| {
                select_from(&reader.connection, &subject, limit).map_err(|e| fault::reading(&e))
            })
            .await
    }

    pub(crate) async fn delete_key(&self, subject: &str) -> Result<bool, ReadError> {
        let subject = subject.to_owned();
        let deleted = self
            .write(move |connection| {
                connection
                    .prepare_cached("DELETE FROM subject_keys WHERE subject = ?1")?
                    .execute([subject])
            })
            .await?;
        Ok(deleted > 0)
    }
}

fn select(connection: &Connection, subject: &str) -> rusqlite::Result<Option<SubjectKey>> {
    connection
        .prepare_cached("SELECT key_id, wrapped FROM subject_keys WHERE subject = ?1")?
        .query_row([subject], key)
        .optional()
}

fn select_from(
    connection: &Connection,
    subject: &str,
    limit: i64,
) -> rusqlite::Result<Vec<(String, SubjectKey)>> {
    let sql = "SELECT key_id, wrapped, subject FROM subject_keys WHERE subject >= ?1 ORDER BY subject LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![subject, limit], |row| Ok((row.get(2)?, key(row)?)))?;
    rows.collect()
}

fn key(row: &Row<'_>) -> rusqlite::Result<SubjectKey> {
    let id = Uuid::from_bytes(row.get::<_, [u8; 16]>(0)?);
    Ok(SubjectKey {
        id,
        wrapped: row.get(1)?,
    })
}
