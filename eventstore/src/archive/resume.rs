//! What an export that was interrupted has left.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};

use super::error::ArchiveError;
use super::line::Header;
use super::reader::{Part, Reader};
use super::sums::Sums;
use crate::event::RecordedEvent;
use crate::position::Checkpoint;

/// The part of a file that can be kept.
pub(super) struct Begun {
    pub(super) header: Header,
    pub(super) sums: Sums,
    /// Its last event.
    pub(super) last: Checkpoint,
    /// Where it ends.
    pub(super) offset: u64,
}

/// Reads the file as far as it has whole members of events; `None` if it is empty. Keys are left out: they are read anew, since
/// some may have been deleted in the meantime.
pub(super) fn survey(file: &File) -> Result<Option<Begun>, ArchiveError> {
    let io = ArchiveError::Io;
    if file.metadata().map_err(io)?.len() == 0 {
        return Ok(None);
    }
    let mut source = file.try_clone().map_err(io)?;
    source.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut reader = Reader::open(Box::new(source))?;
    let mut content = reader.sums.content.clone();
    let mut begun = Begun {
        header: reader.header().clone(),
        sums: reader.sums.clone(),
        last: Checkpoint::START,
        offset: reader.offset(),
    };
    loop {
        match reader.next() {
            Some(Ok(Part::Events(events))) => {
                events.iter().for_each(|event| content.add(event));
                begun.last = events.last().map_or(begun.last, RecordedEvent::checkpoint);
                begun.offset = reader.offset();
                begun.sums = reader.sums.clone();
            }
            Some(Err(ArchiveError::Io(error))) => return Err(io(error)),
            // The end of what can be used, whatever follows.
            Some(Err(_) | Ok(Part::Keys(_) | Part::End(_))) | None => break,
        }
    }
    begun.sums.content = content;
    Ok(Some(begun))
}

/// Takes away what follows `offset` and gets ready to write there.
pub(super) fn cut(mut file: &File, offset: u64) -> io::Result<()> {
    file.set_len(offset)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(())
}
