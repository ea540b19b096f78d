//! What can be wrong with an archive, and with making or using one.

use uuid::Uuid;

use crate::error::{OpenError, ReadError};
use crate::position::Position;

/// Why a file is not a whole archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else.
    #[error("this is not the export of a log")]
    Foreign,
    /// A later build made it.
    #[error(
        "the export has format {found}, this build reads up to {known}: use the build that made it, or a later one"
    )]
    Newer {
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// It ends too early.
    #[error("the export is cut off: it ends after event {after} of {last}")]
    CutOff {
        /// The last event that is whole.
        after: Position,
        /// The last event there should be.
        last: Position,
    },
    /// It is not what was written.
    #[error("the export is damaged after event {after}: {why}")]
    Damaged {
        /// The last event that is whole.
        after: Position,
        /// What is wrong.
        why: String,
    },
    /// It cannot be read.
    #[error("the export cannot be read: {0}")]
    Io(#[source] std::io::Error),
}

/// Why a log was not exported, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The file cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[source] std::io::Error),
    /// What is to be continued is no export.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What is to be continued is the export of another log.
    #[error("the interrupted export is of another log: of epoch {found}, this one has {wanted}")]
    OtherLog {
        /// Epoch in the file.
        found: Uuid,
        /// Epoch of the log.
        wanted: Uuid,
    },
    /// It was begun with keys and is to be continued without, or the other way round.
    #[error("the interrupted export was begun {}", if *with {"with keys"} else {"without keys"})]
    OtherKeys {
        /// Whether keys were to be in it.
        with: bool,
    },
}

/// Why a log was not imported, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is something wrong with the file.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its tables are of another build.
    #[error(
        "the store has schema {found}, this build knows {known}: import with the build that made the tables"
    )]
    Schema {
        /// Last migration found.
        found: i32,
        /// Last migration this build knows.
        known: i32,
    },
    /// Another import is at it.
    #[error("another import into this store is under way")]
    Running,
    /// The store holds what the file does not.
    #[error(
        "the store holds another log: at position {position} it has {found}, the export has {wanted}"
    )]
    OtherLog {
        /// The first place at which they differ.
        position: Position,
        /// What is there.
        found: String,
        /// What the file has.
        wanted: String,
    },
    /// The store holds more than the file.
    #[error("the store holds {found} events, the export only {wanted}")]
    Longer {
        /// Events in the store.
        found: Position,
        /// Events in the file.
        wanted: Position,
    },
    /// The store failed on the way.
    #[error(
        "the store failed after event {after}: {why}; what is stored stays, and the same import goes on there"
    )]
    Store {
        /// The last event stored for sure.
        after: Position,
        /// What happened.
        why: String,
    },
}

/// Why a database did not take something.
#[derive(Debug)]
pub(crate) enum IntakeError {
    /// It never will: what it was given contradicts what it has.
    Refused(String),
    /// It could not.
    Failed(String),
}

impl IntakeError {
    /// What it means for an import that has come to `after`.
    pub(crate) fn at(self, after: Position) -> ImportError {
        match self {
            IntakeError::Refused(why) => ArchiveError::Damaged { after, why }.into(),
            IntakeError::Failed(why) => ImportError::Store { after, why },
        }
    }
}
