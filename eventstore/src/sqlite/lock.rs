//! One writer per directory, by locks on files that the system releases when a process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::OpenError;

const WRITER_FILE: &str = "events.lock";
const MIGRATION_FILE: &str = "events.migrate.lock";

/// How long a starting process waits for a leaving one, as when a supervisor restarts it.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(20);

/// The right to write the directory, held until the file is dropped.
pub(super) fn writer(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(WRITER_FILE);
    let file = open(dir, &path)?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() >= give_up => {
                return Err(OpenError::Locked(dir.to_owned()));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
    }
}

/// The turn to migrate, waited for: several processes may start at once.
pub(super) fn migration(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(MIGRATION_FILE);
    let file = open(dir, &path)?;
    file.lock()
        .map_err(|source| OpenError::Io { path, source })?;
    Ok(file)
}

fn open(dir: &Path, path: &Path) -> Result<File, OpenError> {
    std::fs::create_dir_all(dir).map_err(|source| OpenError::Io {
        path: dir.to_owned(),
        source,
    })?;
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| OpenError::Io {
            path: path.to_owned(),
            source,
        })
}
