//! The file that holds the master key: 32 random bytes in base64.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::VaultError;
use super::cipher::{self, KEY_BYTES};

/// Where the master key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeyFile {
    /// A file that somebody has put there; it is an error if it is missing.
    Existing(PathBuf),
    /// A file that is made, readable by its owner only, if it is missing and the store has not been begun with one yet.
    CreateIfMissing(PathBuf),
}

impl MasterKeyFile {
    /// The key that a store was begun with: one that is made now would not be it, and would lie around as if it were.
    pub(super) fn load_existing(&self) -> Result<Vec<u8>, VaultError> {
        let (MasterKeyFile::Existing(path) | MasterKeyFile::CreateIfMissing(path)) = self;
        if path.try_exists().is_ok_and(|there| !there) {
            let reason = "it is not there, and this store was begun with one: every process needs that same key";
            return Err(unusable(path, &reason));
        }
        self.load()
    }

    pub(super) fn load(&self) -> Result<Vec<u8>, VaultError> {
        let (path, may_create) = match self {
            MasterKeyFile::Existing(path) => (path, false),
            MasterKeyFile::CreateIfMissing(path) => (path, true),
        };
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && may_create => {
                create(path)?;
                fs::read_to_string(path)
            }
            read => read,
        };
        let text = text.map_err(|e| unusable(path, &e))?;
        warn_if_shared(path);
        decode(path, &text)
    }

    /// Whether the file holds a key, as far as it is there. Makes nothing.
    pub fn check(&self) -> Result<(), VaultError> {
        let (MasterKeyFile::Existing(path) | MasterKeyFile::CreateIfMissing(path)) = self;
        match fs::read_to_string(path) {
            Ok(text) => decode(path, &text).map(drop),
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && matches!(self, MasterKeyFile::CreateIfMissing(_)) =>
            {
                Ok(())
            }
            Err(error) => Err(unusable(path, &error)),
        }
    }
}

fn decode(path: &Path, text: &str) -> Result<Vec<u8>, VaultError> {
    let key = STANDARD
        .decode(text.trim())
        .map_err(|_| unusable(path, &"it is not base64"))?;
    if key.len() != KEY_BYTES {
        return Err(unusable(
            path,
            &format!("it holds {} bytes instead of {KEY_BYTES}", key.len()),
        ));
    }
    Ok(key)
}

/// Makes the file whole or not at all; if another process was faster, its key stands.
fn create(path: &Path) -> Result<(), VaultError> {
    let key = STANDARD.encode(cipher::random_key()?);
    let draft = path.with_extension(format!("{}.new", Uuid::new_v4().simple()));
    let outcome = write_private(&draft, &key).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    // Also after a failure: a key must not lie around under another name.
    drop(fs::remove_file(&draft));
    outcome.map_err(|e| unusable(path, &e))
}

fn write_private(path: &Path, key: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{key}")?;
    file.sync_all()
}

#[cfg(unix)]
fn warn_if_shared(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS: u32 = 0o077;
    if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & OTHERS != 0) {
        tracing::warn!(path = %path.display(), "the master key file can be read by others than its owner");
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_: &Path) {}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> VaultError {
    VaultError::MasterKeyFile {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}
