//! Keys per data subject.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use crate::error::ReadError;
use crate::keys::SubjectKey;

const GET: &str = "SELECT key_id, wrapped FROM subject_keys WHERE subject = $1";
const CREATE: &str = "INSERT INTO subject_keys (subject, key_id, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING \
     RETURNING key_id";
const FROM: &str = "SELECT key_id, wrapped, subject FROM subject_keys WHERE subject >= $1 ORDER BY subject LIMIT $2";
const DELETE: &str = "DELETE FROM subject_keys WHERE subject = $1 RETURNING key_id";

impl Postgres {
    pub(crate) async fn get_key(&self, subject: &str) -> Result<Option<SubjectKey>, ReadError> {
        let rows = self.reads.query(GET, &[&subject]).await?;
        Ok(rows.first().map(key))
    }

    pub(crate) async fn get_or_create_key(
        &self,
        subject: &str,
        candidate: SubjectKey,
    ) -> Result<SubjectKey, ReadError> {
        let values: [&(dyn ToSql + Sync); 3] = [&subject, &candidate.id, &candidate.wrapped];
        if !self.reads.query(CREATE, &values).await?.is_empty() {
            return Ok(candidate);
        }
        let deleted = || ReadError::Unavailable("the key was deleted as it was made".to_owned());
        self.get_key(subject).await?.ok_or_else(deleted)
    }

    pub(crate) async fn keys_from(
        &self,
        subject: &str,
        limit: i64,
    ) -> Result<Vec<(String, SubjectKey)>, ReadError> {
        let rows = self.reads.query(FROM, &[&subject, &limit]).await?;
        Ok(rows.iter().map(|row| (row.get(2), key(row))).collect())
    }

    pub(crate) async fn delete_key(&self, subject: &str) -> Result<bool, ReadError> {
        Ok(!self.reads.query(DELETE, &[&subject]).await?.is_empty())
    }
}

fn key(row: &Row) -> SubjectKey {
    SubjectKey {
        id: row.get(0),
        wrapped: row.get(1),
    }
}
