//! What an error of SQLite means for whoever waits.

use rusqlite::ErrorCode;

use crate::error::{AppendError, OpenError, ReadError};

/// Why a write is not known to be stored.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// No room; nothing stored.
    Full(String),
    /// Nothing stored.
    NotStored(String),
    /// The commit failed at a point where a crash now could still bring it back.
    Uncertain(String),
}

impl Fault {
    /// An error before the commit.
    pub(super) fn before_commit(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Fault::Full(error.to_string()),
            _ => Fault::NotStored(error.to_string()),
        }
    }

    /// An error of the commit itself. A failed sync leaves frames in the file that recovery after a crash may take for committed.
    pub(super) fn of_commit(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Fault::Full(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Fault::NotStored(error.to_string())
            }
            _ => Fault::Uncertain(error.to_string()),
        }
    }
}

impl From<Fault> for AppendError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(reason) => AppendError::Full(reason),
            Fault::NotStored(reason) => AppendError::Unavailable(reason),
            Fault::Uncertain(_) => AppendError::Unknown,
        }
    }
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(reason) | Fault::NotStored(reason) | Fault::Uncertain(reason) => {
                ReadError::Unavailable(reason)
            }
        }
    }
}

pub(super) fn opening(error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => OpenError::Full(error.to_string()),
        _ => OpenError::Unavailable(error.to_string()),
    }
}

pub(super) fn reading(error: &rusqlite::Error) -> ReadError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            ReadError::Corrupt(error.to_string())
        }
        _ => ReadError::Unavailable(error.to_string()),
    }
}
