//! Sealing of personal data: each subject has a key of its own, and erasing the subject is deleting that key.

mod cache;
mod cipher;
mod master_key;

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::ReadError;
use crate::keys::{SUBJECT_MAX_BYTES, SubjectKey, SubjectKeys};
use crate::store::EventStore;

use cache::{Cache, Known};
use cipher::Cipher;

pub use master_key::MasterKeyFile;

/// Marks a sealed text and its format. Base64 of key id, nonce, ciphertext and tag follows.
const PREFIX: &str = "v1.";
const ID_BYTES: usize = 16;
/// What the key of fingerprints is derived with, so that it is used for nothing else.
const FINGERPRINTS: &[u8] = b"eventstore/vault/fingerprints/1";
/// Not a subject: its key tells whether the master key is the one that this store was begun with.
const CANARY: &str = "";

/// Why something could not be sealed or unsealed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file of the master key cannot be used.
    #[error("the master key file {path} cannot be used: {reason}")]
    MasterKeyFile {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The keys in this store were wrapped by another master key.
    #[error("the master key is not the one that this store was begun with")]
    WrongMasterKey,
    /// A sealed text was changed, or belongs to another subject.
    #[error("a sealed text was changed or belongs to another subject")]
    Tampered,
    /// A text that this vault never sealed.
    #[error("not a sealed text")]
    Malformed,
    /// A subject without a name, or with one that is too long.
    #[error("a subject needs a name of at most {SUBJECT_MAX_BYTES} bytes")]
    Subject,
    /// The cipher failed, which it does only when the machine has no randomness.
    #[error("the cipher failed")]
    Cipher,
    /// The table of keys cannot be read or written.
    #[error(transparent)]
    Store(#[from] ReadError),
}

/// Seals and unseals texts of data subjects with AES-256-GCM. Cheap to clone.
///
/// Unwrapped keys are kept for a short while: what was sealed before an erasure by another process may be read here for 60 seconds
/// more. Nothing is sealed under such a key any more.
#[derive(Debug, Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    keys: SubjectKeys,
    master: Cipher,
    fingerprints: hmac::Key,
    cache: Cache,
}

/// Seals texts of one subject, for as long as a command takes: it holds the key that the subject had when it was asked for.
#[derive(Debug)]
pub struct Sealer {
    subject: String,
    id: Uuid,
    cipher: Arc<Cipher>,
}

impl Sealer {
    /// Seals a text.
    pub fn seal(&self, plaintext: &str) -> Result<String, VaultError> {
        let mut bytes = self.id.as_bytes().to_vec();
        bytes.extend(
            self.cipher
                .seal(self.subject.as_bytes(), plaintext.as_bytes())?,
        );
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }
}

impl Vault {
    /// Opens the vault of a store, and makes sure that the master key is the right one.
    pub async fn open(store: &EventStore, master_key: &MasterKeyFile) -> Result<Vault, VaultError> {
        let keys = store.subject_keys();
        let begun = keys.get(CANARY).await?;
        let master_key = match begun {
            Some(_) => master_key.load_existing()?,
            None => master_key.load()?,
        };
        let master = Cipher::new(&master_key)?;
        let derived = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &master_key),
            FINGERPRINTS,
        );
        let vault = Vault {
            inner: Arc::new(Inner {
                keys,
                master,
                fingerprints: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
                cache: Cache::default(),
            }),
        };
        match begun {
            Some(stored) => vault.unwrap_key(CANARY, &stored)?,
            None => vault.load_or_create(CANARY).await?.1,
        };
        Ok(vault)
    }

    /// What seals texts for a subject, which gets a key if it has none. Asks the table: a key that was erased elsewhere a moment ago
    /// would make what is sealed unreadable from the start.
    pub async fn sealer(&self, subject: &str) -> Result<Sealer, VaultError> {
        let (id, cipher) = match self.present(subject).await? {
            Some(present) => present,
            None => self.load_or_create(subject).await?,
        };
        Ok(Sealer {
            subject: subject.to_owned(),
            id,
            cipher,
        })
    }

    /// Seals one text for a subject.
    pub async fn seal(&self, subject: &str, plaintext: &str) -> Result<String, VaultError> {
        self.sealer(subject).await?.seal(plaintext)
    }

    /// Whether a subject has a key: none has who is new, or was erased.
    pub async fn knows(&self, subject: &str) -> Result<bool, VaultError> {
        Ok(self.present(subject).await?.is_some())
    }

    /// The key that a subject has in the table.
    async fn present(&self, subject: &str) -> Result<Option<(Uuid, Arc<Cipher>)>, VaultError> {
        check(subject)?;
        let Some(stored) = self.inner.keys.get(subject).await? else {
            return Ok(None);
        };
        if let Some(known) = self.inner.cache.current(subject)
            && known.0 == stored.id
        {
            return Ok(Some(known));
        }
        let cipher = self.unwrap_key(subject, &stored)?;
        self.inner.cache.learn(subject, stored.id, &cipher);
        Ok(Some((stored.id, cipher)))
    }

    /// The same for the same bytes under one master key, and worth nothing for guessing them without that key.
    #[must_use]
    pub fn fingerprint(&self, bytes: &[u8]) -> String {
        let tag = hmac::sign(&self.inner.fingerprints, bytes);
        tag.as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Gives back what was sealed; `None` if the subject has been erased since.
    pub async fn unseal(&self, subject: &str, sealed: &str) -> Result<Option<String>, VaultError> {
        let bytes = sealed
            .strip_prefix(PREFIX)
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .ok_or(VaultError::Malformed)?;
        let (id, rest) = bytes
            .split_at_checked(ID_BYTES)
            .ok_or(VaultError::Malformed)?;
        let id = Uuid::from_slice(id).map_err(|_| VaultError::Malformed)?;
        let cipher = match self.inner.cache.by_id(subject, id) {
            Known::Key(cipher) => cipher,
            Known::Erased => return Ok(None),
            Known::Unknown => match self.load(subject, id).await? {
                Some(cipher) => cipher,
                None => return Ok(None),
            },
        };
        let plaintext = cipher
            .open(subject.as_bytes(), rest)
            .ok_or(VaultError::Tampered)?;
        String::from_utf8(plaintext)
            .map(Some)
            .map_err(|_| VaultError::Tampered)
    }

    /// Deletes a subject's key: nothing sealed for it can be read again, by anybody. `false`: it had none.
    pub async fn erase(&self, subject: &str) -> Result<bool, VaultError> {
        check(subject)?;
        let erased = self.inner.keys.delete(subject).await?;
        self.inner.cache.forget(subject);
        Ok(erased)
    }

    async fn load_or_create(&self, subject: &str) -> Result<(Uuid, Arc<Cipher>), VaultError> {
        let id = Uuid::new_v4();
        let key = cipher::random_key()?;
        let wrapped = self.inner.master.seal(&context(subject, id), &key)?;
        let stored = self
            .inner
            .keys
            .get_or_create(subject, SubjectKey { id, wrapped })
            .await?;
        let cipher = self.unwrap_key(subject, &stored)?;
        self.inner.cache.learn(subject, stored.id, &cipher);
        Ok((stored.id, cipher))
    }

    /// The key `id` of a subject. Ids are never used again, so one that is not there has been erased for good.
    async fn load(&self, subject: &str, id: Uuid) -> Result<Option<Arc<Cipher>>, VaultError> {
        match self.inner.keys.get(subject).await? {
            Some(stored) if stored.id == id => {
                let cipher = self.unwrap_key(subject, &stored)?;
                self.inner.cache.learn(subject, id, &cipher);
                Ok(Some(cipher))
            }
            _ => {
                self.inner.cache.learn_erased(id);
                Ok(None)
            }
        }
    }

    fn unwrap_key(&self, subject: &str, stored: &SubjectKey) -> Result<Arc<Cipher>, VaultError> {
        let key = self
            .inner
            .master
            .open(&context(subject, stored.id), &stored.wrapped)
            .ok_or(VaultError::WrongMasterKey)?;
        Cipher::new(&key).map(Arc::new)
    }
}

/// Binds a wrapped key to its subject and its id, so that rows cannot be swapped.
fn context(subject: &str, id: Uuid) -> Vec<u8> {
    [id.as_bytes().as_slice(), subject.as_bytes()].concat()
}

fn check(subject: &str) -> Result<(), VaultError> {
    if subject.is_empty() || subject.len() > SUBJECT_MAX_BYTES || subject.contains('\0') {
        return Err(VaultError::Subject);
    }
    Ok(())
}
