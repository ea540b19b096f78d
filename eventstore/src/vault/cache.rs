//! Unwrapped keys at hand. Bounded in number, and in time: an erasure by another process must take effect here too.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::cipher::Cipher;

/// How long a key is used without asking whether it still exists.
const TTL: Duration = Duration::from_secs(60);
/// Keys kept; about 1 MB.
const KEYS_MAX: usize = 4_096;
/// Ids of erased keys kept, which saves a look-up for each event of an erased subject during a replay.
const ERASED_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    keys: HashMap<String, Entry>,
    erased: HashSet<Uuid>,
}

#[derive(Debug)]
struct Entry {
    id: Uuid,
    cipher: Arc<Cipher>,
    until: Instant,
}

/// What the cache knows of a key.
pub(super) enum Known {
    Key(Arc<Cipher>),
    Erased,
    Unknown,
}

impl Cache {
    /// The key that the subject had when it was last looked up.
    pub(super) fn current(&self, subject: &str) -> Option<(Uuid, Arc<Cipher>)> {
        let entries = self.entries();
        let entry = entries
            .keys
            .get(subject)
            .filter(|entry| entry.until > Instant::now())?;
        Some((entry.id, Arc::clone(&entry.cipher)))
    }

    pub(super) fn by_id(&self, subject: &str, id: Uuid) -> Known {
        match self.current(subject) {
            Some((current, cipher)) if current == id => Known::Key(cipher),
            _ if self.entries().erased.contains(&id) => Known::Erased,
            _ => Known::Unknown,
        }
    }

    pub(super) fn learn(&self, subject: &str, id: Uuid, cipher: &Arc<Cipher>) {
        let now = Instant::now();
        let mut entries = self.entries();
        if entries.keys.len() >= KEYS_MAX {
            entries.keys.retain(|_, entry| entry.until > now);
        }
        if entries.keys.len() >= KEYS_MAX {
            entries.keys.clear();
        }
        entries.keys.insert(
            subject.to_owned(),
            Entry {
                id,
                cipher: Arc::clone(cipher),
                until: now + TTL,
            },
        );
    }

    pub(super) fn learn_erased(&self, id: Uuid) {
        let mut entries = self.entries();
        if entries.erased.len() >= ERASED_MAX {
            entries.erased.clear();
        }
        entries.erased.insert(id);
    }

    pub(super) fn forget(&self, subject: &str) {
        self.entries().keys.remove(subject);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
