//! One process per directory of views, by a lock on a file that the system releases with the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::OpenError;

const OWNER_FILE: &str = "views.lock";

/// Makes processes that migrate take turns.
const MIGRATION_FILE: &str = "views.migrate.lock";

/// How long a starting process waits for a leaving one, as when a supervisor restarts it.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(20);

/// The directory for this process alone, until the file is dropped. Views beside a log need none: the
/// log's own lock keeps others out.
pub(super) fn owner(dir: &Path) -> Result<File, OpenError> {
    let file = open(dir, OWNER_FILE)?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() >= give_up => {
                return Err(OpenError::InUse(dir.to_owned()));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY),
            Err(TryLockError::Error(source)) => return Err(unusable(dir, source)),
        }
    }
}

/// The turn to migrate, waited for.
pub(super) fn migration(dir: &Path) -> Result<File, OpenError> {
    let file = open(dir, MIGRATION_FILE)?;
    file.lock().map_err(|source| unusable(dir, source))?;
    Ok(file)
}

fn open(dir: &Path, name: &str) -> Result<File, OpenError> {
    let open = || {
        fs::create_dir_all(dir)?;
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(name))
    };
    open().map_err(|source| unusable(dir, source))
}

fn unusable(dir: &Path, source: std::io::Error) -> OpenError {
    OpenError::Lock {
        path: dir.to_owned(),
        source,
    }
}
