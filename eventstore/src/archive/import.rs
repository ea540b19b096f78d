//! Filling a log from an archive.

use std::collections::HashMap;
use std::sync::mpsc;

use uuid::Uuid;

use super::content;
use super::error::{ArchiveError, ImportError, IntakeError};
use super::line::{Header, Trailer};
use super::reader::{Part, Reader};
use super::{Progress, Source};
use crate::error::OpenError;
use crate::event::RecordedEvent;
use crate::keys::SubjectKey;
use crate::options::Location;
use crate::position::{Position, Version};
use crate::postgres;
use crate::sqlite;
use crate::store::EventStore;
use crate::stream::StreamId;

/// A log that holds what the archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The last event.
    pub last: Position,
    /// Events that were not there before.
    pub added: i64,
    /// Keys in the archive. They have taken the place of all keys that were there.
    pub keys: u64,
    /// The new epoch; `None` if there was nothing to do.
    pub epoch: Option<Uuid>,
    /// SHA-256 of what the events say, in hex: an export of the log has the same.
    pub content: String,
}

/// Brings a log to what an archive holds. The log must be empty, be made by this, or hold the beginning of the very same log.
///
/// Everybody else is kept out: a directory is locked, and on Postgres appenders lose their right to append. From the first change
/// to the last no build opens the log, so that one that is half there, or turns out to be damaged, is never taken for a whole one.
/// Whoever was interrupted does the same again, which goes on where it stopped.
pub async fn import(
    location: &Location,
    source: Source,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Imported, ImportError> {
    let reader = off_thread(move || Ok(Reader::open(source)?)).await?;
    match EventStore::migrate(location).await {
        Ok(_) | Err(OpenError::HalfImport) => {}
        Err(error) => return Err(error.into()),
    }
    let place = match location {
        Location::Sqlite { dir } => Place::Sqlite(dir.clone()),
        Location::Postgres { url } => Place::Postgres(Box::new(postgres::place(url).await?)),
    };
    // Connection and all: the blocking client of Postgres must not be dropped on an async thread.
    off_thread(move || Import::begin(place.open()?, &reader, progress)?.run(reader)).await
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        let unexpected = ArchiveError::Io(std::io::Error::other(error));
        Err(unexpected.into())
    })
}

enum Place {
    Postgres(Box<postgres::Place>),
    Sqlite(std::path::PathBuf),
}

impl Place {
    fn open(self) -> Result<Intake, ImportError> {
        Ok(match self {
            Place::Postgres(place) => Intake::Postgres(Box::new(place.open()?)),
            Place::Sqlite(dir) => Intake::Sqlite(Box::new(sqlite::Intake::open(&dir)?)),
        })
    }
}

/// A log that is being filled.
enum Intake {
    Postgres(Box<postgres::Intake>),
    Sqlite(Box<sqlite::Intake>),
}

macro_rules! on_each {
    ($intake:expr, $backend:ident => $call:expr) => {
        match $intake {
            Intake::Postgres($backend) => $call,
            Intake::Sqlite($backend) => $call,
        }
    };
}

struct Import<P> {
    intake: Intake,
    header: Header,
    /// Where the log ended before.
    before: Position,
    /// Whether an earlier import has closed it and not ended well.
    half: bool,
    /// What has been found in the log, or stored in it.
    at: Position,
    /// Whether the log is closed to everybody else.
    closed: bool,
    progress: P,
}

impl<P: FnMut(Progress)> Import<P> {
    fn begin(mut intake: Intake, reader: &Reader, progress: P) -> Result<Self, ImportError> {
        let header = reader.header().clone();
        let (before, half) =
            on_each!(&mut intake, it => it.state()).map_err(|e| e.at(Position::ZERO))?;
        if before > header.last {
            let wanted = header.last;
            return Err(ImportError::Longer {
                found: before,
                wanted,
            });
        }
        let mut import = Import {
            intake,
            header,
            before,
            half,
            at: Position::ZERO,
            closed: false,
            progress,
        };
        if before == Position::ZERO && before < import.header.last {
            // There is nothing to compare, and an empty shop must not open where a full one was meant to.
            import.close()?;
        }
        Ok(import)
    }

    fn run(mut self, reader: Reader) -> Result<Imported, ImportError> {
        for part in read_ahead(reader)? {
            match part? {
                Part::Events(events) => self.events(&events)?,
                Part::Keys(keys) => self.keys(&keys)?,
                Part::End(trailer) => return self.finish(trailer),
            }
        }
        let (after, last) = (self.at, self.header.last);
        Err(ArchiveError::CutOff { after, last }.into())
    }

    fn events(&mut self, events: &[RecordedEvent]) -> Result<(), ImportError> {
        let known = events.partition_point(|event| event.position <= self.before);
        let (known, new) = events.split_at(known);
        if let (Some(first), Some(last)) = (known.first(), known.last()) {
            let found = on_each!(&mut self.intake, it => it.events(first.position, last.position))
                .map_err(|e| e.at(self.at))?;
            compare(known, &found)?;
            self.at = last.position;
        }
        if let Some(last) = new.last() {
            let earlier = continued(new).map_err(|why| IntakeError::Refused(why).at(self.at))?;
            self.close()?;
            on_each!(&mut self.intake, it => it.store(self.at, new, &earlier))
                .map_err(|e| e.at(self.at))?;
            self.at = last.position;
        }
        let (done, total) = (self.at, self.header.last);
        (self.progress)(Progress { done, total });
        Ok(())
    }

    fn keys(&mut self, keys: &[(String, SubjectKey)]) -> Result<(), ImportError> {
        self.close()?;
        on_each!(&mut self.intake, it => it.keys(keys)).map_err(|e| e.at(self.at))
    }

    /// Keeps everybody else out, once.
    fn close(&mut self) -> Result<(), ImportError> {
        if !self.closed {
            let (before, keys) = (self.before, self.header.keys);
            on_each!(&mut self.intake, it => it.close(before, keys)).map_err(|e| e.at(self.at))?;
            self.closed = true;
        }
        Ok(())
    }

    fn finish(mut self, trailer: Trailer) -> Result<Imported, ImportError> {
        let last = self.header.last;
        // Also an archive without a single key says which keys there are.
        if self.half || self.header.keys {
            self.close()?;
        }
        let epoch = match self.closed {
            true => {
                Some(on_each!(&mut self.intake, it => it.finish(last)).map_err(|e| e.at(last))?)
            }
            false => None,
        };
        Ok(Imported {
            last,
            added: last.0 - self.before.0,
            keys: trailer.keys,
            epoch,
            content: trailer.content,
        })
    }
}

fn read_ahead(reader: Reader) -> Result<mpsc::Receiver<Result<Part, ArchiveError>>, ImportError> {
    Ok(reader.read_ahead().map_err(ArchiveError::Io)?)
}

/// Whether the log has what the archive has.
fn compare(wanted: &[RecordedEvent], found: &[RecordedEvent]) -> Result<(), ImportError> {
    for (nth, wanted) in wanted.iter().enumerate() {
        let found = found.get(nth);
        if !found.is_some_and(|found| content::same(found, wanted)) {
            return Err(ImportError::OtherLog {
                position: wanted.position,
                found: found.map_or_else(|| "nothing".to_owned(), told),
                wanted: told(wanted),
            });
        }
    }
    Ok(())
}

/// An event by its name, without what it says.
fn told(event: &RecordedEvent) -> String {
    let RecordedEvent {
        event_type,
        event_id,
        version,
        stream,
        ..
    } = event;
    format!("{event_type} {event_id}, version {version} of {stream}")
}

/// Checks that versions follow each other, and gives the streams that must have an event already: with that event's version.
fn continued(events: &[RecordedEvent]) -> Result<Vec<(&StreamId, Version)>, String> {
    let mut versions: HashMap<&StreamId, Version> = HashMap::with_capacity(events.len());
    let mut earlier = Vec::new();
    for event in events {
        let before = Version(event.version.0 - 1);
        match versions.insert(&event.stream, event.version) {
            Some(last) if last == before => {}
            Some(last) => {
                return Err(format!(
                    "version {} of {} follows version {last}",
                    event.version, event.stream
                ));
            }
            None if before == Version::ZERO => {}
            None if before < Version::ZERO => {
                return Err(format!("{} has a version {}", event.stream, event.version));
            }
            None => earlier.push((&event.stream, before)),
        }
    }
    Ok(earlier)
}
