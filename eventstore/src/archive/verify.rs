//! Looking whether an archive is whole, without a log.

use uuid::Uuid;

use super::content::Content;
use super::error::ArchiveError;
use super::reader::{Part, Reader};
use super::{Progress, Source};
use crate::position::Position;

/// An archive that was read to its end and found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Epoch of the log that it was made of.
    pub epoch: Uuid,
    /// The last event in it.
    pub last: Position,
    /// Keys in it.
    pub keys: u64,
    /// SHA-256 of its lines but the last, in hex.
    pub sha256: String,
    /// SHA-256 of what its events say, in hex.
    pub content: String,
}

/// Reads an archive to its end.
pub async fn verify(
    source: Source,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Verified, ArchiveError> {
    let read = tokio::task::spawn_blocking(move || read(source, progress)).await;
    read.unwrap_or_else(|error| Err(ArchiveError::Io(std::io::Error::other(error))))
}

fn read(source: Source, mut progress: impl FnMut(Progress)) -> Result<Verified, ArchiveError> {
    let mut reader = Reader::open(source)?;
    let header = reader.header().clone();
    let mut content = Content::new();
    loop {
        match reader.next() {
            Some(Ok(Part::Events(events))) => {
                events.iter().for_each(|event| content.add(event));
                let (done, total) = (Position(reader.sums.events), header.last);
                progress(Progress { done, total });
            }
            Some(Ok(Part::Keys(_))) => {}
            Some(Ok(Part::End(trailer))) if trailer.content == content.hex() => {
                return Ok(Verified {
                    epoch: header.epoch,
                    last: header.last,
                    keys: trailer.keys,
                    sha256: trailer.sha256,
                    content: trailer.content,
                });
            }
            Some(Ok(Part::End(_))) => {
                let (after, why) = (
                    header.last,
                    "the checksum over its events is wrong".to_owned(),
                );
                return Err(ArchiveError::Damaged { after, why });
            }
            Some(Err(error)) => return Err(error),
            None => {
                let (after, last) = (Position(reader.sums.events), header.last);
                return Err(ArchiveError::CutOff { after, last });
            }
        }
    }
}
