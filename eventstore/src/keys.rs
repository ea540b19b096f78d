//! The table of keys per data subject. A key is stored wrapped; deleting it makes everything sealed under it unreadable.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::ReadError;
use crate::store::{Backend, Inner};

/// Longest subject name: 200 characters of any script. An index row of Postgres holds three times as much.
pub const SUBJECT_MAX_BYTES: usize = 800;

/// A wrapped key and the id that sealed texts name it by.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectKey {
    /// Changes when a subject gets a new key after an erasure.
    pub id: Uuid,
    /// The key, wrapped by the master key.
    pub wrapped: Vec<u8>,
}

impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Access to the keys of one store.
#[derive(Debug, Clone)]
pub struct SubjectKeys {
    pub(crate) store: Arc<Inner>,
}

impl SubjectKeys {
    /// The key of a subject, if it has one.
    pub async fn get(&self, subject: &str) -> Result<Option<SubjectKey>, ReadError> {
        match &self.store.backend {
            Backend::Postgres(backend) => backend.get_key(subject).await,
            Backend::Sqlite(backend) => backend.get_key(subject).await,
        }
    }

    /// The key of a subject; `candidate` becomes that key if there is none yet, also when several processes try at once.
    pub async fn get_or_create(
        &self,
        subject: &str,
        candidate: SubjectKey,
    ) -> Result<SubjectKey, ReadError> {
        match &self.store.backend {
            Backend::Postgres(backend) => backend.get_or_create_key(subject, candidate).await,
            Backend::Sqlite(backend) => backend.get_or_create_key(subject, candidate).await,
        }
    }

    /// The keys of the subjects whose names come after `after`, in the order of their bytes, at most `limit`. What the vault keeps
    /// beside the keys of subjects is among them.
    pub(crate) async fn page(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, SubjectKey)>, ReadError> {
        // From `after` on and without it: there is no first name that could be asked for.
        let (from, one_more) = (after.unwrap_or_default(), limit as i64 + 1);
        let mut keys = match &self.store.backend {
            Backend::Postgres(backend) => backend.keys_from(from, one_more).await?,
            Backend::Sqlite(backend) => backend.keys_from(from, one_more).await?,
        };
        keys.retain(|(subject, _)| Some(subject.as_str()) != after);
        Ok(keys)
    }

    /// Deletes a key for good. `false`: there was none.
    pub async fn delete(&self, subject: &str) -> Result<bool, ReadError> {
        match &self.store.backend {
            Backend::Postgres(backend) => backend.delete_key(subject).await,
            Backend::Sqlite(backend) => backend.delete_key(subject).await,
        }
    }
}
