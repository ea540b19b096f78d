//! What an error of Postgres means for whoever waits. Decided by SQLSTATE and severity, never by words.

use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

use crate::error::{OpenError, ReadError};

/// What became of a batch whose statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection went before the answer came: it may be stored.
    Lost(String),
    /// Rolled back: no room.
    Full(String),
    /// Rolled back: the values of some append in it are not acceptable. Carries the SQLSTATE.
    Refused(String),
    /// Rolled back, and this connection is of no more use.
    Disconnect(String),
    /// Rolled back, for a reason that may pass.
    Retry(String),
}

impl Failure {
    pub(super) fn of(error: &Error) -> Failure {
        let text = describe(error);
        let Some(db) = error.as_db_error() else {
            return Failure::Lost(text);
        };
        // The server ends the session: a commit may have been under way, as when it waited for a standby.
        if !matches!(db.parsed_severity(), Some(Severity::Error)) {
            return Failure::Lost(text);
        }
        let code = db.code();
        if *code == SqlState::DISK_FULL {
            return Failure::Full(text);
        }
        if *code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
            || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        {
            return Failure::Disconnect(text);
        }
        match &code.code()[..2] {
            // Data exception, integrity constraint, program limit.
            "22" | "23" | "54" => Failure::Refused(code.code().to_owned()),
            // Connection exception, operator intervention other than a cancelled statement, system error.
            "08" | "57" | "58" if *code != SqlState::QUERY_CANCELED => Failure::Lost(text),
            _ => Failure::Retry(text),
        }
    }
}

/// Whether a read may be tried again on another connection.
pub(super) fn is_connection_gone(error: &Error) -> bool {
    error.is_closed()
        || match error.as_db_error() {
            None => std::error::Error::source(error)
                .is_some_and(<dyn std::error::Error>::is::<std::io::Error>),
            Some(db) => {
                matches!(&db.code().code()[..2], "08" | "57")
                    && *db.code() != SqlState::QUERY_CANCELED
            }
        }
}

pub(super) fn reading(error: &Error) -> ReadError {
    ReadError::Unavailable(describe(error))
}

pub(super) fn opening(error: &Error) -> OpenError {
    match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => OpenError::Full(describe(error)),
        _ => OpenError::Unavailable(describe(error)),
    }
}

/// The message with its cause; tokio-postgres alone says only `db error`.
pub(super) fn describe(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
