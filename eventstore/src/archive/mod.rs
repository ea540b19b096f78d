//! A whole log in one file, to keep it elsewhere or to move it to another database.
//!
//! The file is gzip, one member after the other, so that `zcat` reads it: JSON, one object a line.
//!
//! - The first member is the header: which log, up to where, and whether keys are in it.
//! - Then come the events in the order of positions, up to [`MEMBER_EVENTS`] in a member. Each line is what the log holds:
//!   `data` and `metadata` are the log's own text (a line break between two tokens becomes a space), times have microseconds.
//! - Then, if asked for, the keys of the data subjects, still wrapped by the master key.
//! - The last member is the trailer: how many events and keys, the SHA-256 of all lines before it (`sha256`), and the SHA-256 of
//!   what the events say whatever their spelling (`content`), which is the same for the same log in every database.
//!
//! Members make a file that was cut off usable: whatever is whole is checked by its own checksum, and [`resume()`] goes on after it.
//!
//! [`import()`] gives a log exactly those positions, versions and ids. As long as it has not ended well, no build opens the log.

mod content;
mod error;
mod export;
mod import;
mod line;
mod reader;
mod resume;
mod sums;
mod verify;
mod writer;

pub use error::{ArchiveError, ExportError, ImportError};
pub use export::{Exported, export, resume};
pub use import::{Imported, import};
pub use line::FORMAT_VERSION;
pub use verify::{Verified, verify};
pub use writer::MEMBER_EVENTS;

pub(crate) use error::IntakeError;

use crate::position::Position;

/// How far an export, an import or a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The last event done.
    pub done: Position,
    /// The last event there will be.
    pub total: Position,
}

/// Where an archive comes from.
pub type Source = Box<dyn std::io::Read + Send>;

/// Where an archive goes to.
pub type Sink = Box<dyn std::io::Write + Send>;
