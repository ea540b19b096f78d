//! Reading an archive, member by member. Nothing of a member is given out before its checksum has been found right.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::sync::mpsc;

use flate2::bufread::GzDecoder;

use super::Source;
use super::error::ArchiveError;
use super::line::{self, FORMAT_VERSION, Header, Kind, NoHeader, Trailer};
use super::sums::Sums;
use crate::event::RecordedEvent;
use crate::keys::SubjectKey;
use crate::names::Names;
use crate::position::Position;

/// Largest text of a member. Ours have a few megabytes; what unpacks to more is not ours.
const MEMBER_BYTES_MAX: usize = 256 * 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
/// Members read ahead of whoever uses them.
const AHEAD: usize = 2;

/// A part of an archive, as it comes.
#[derive(Debug)]
pub(super) enum Part {
    Events(Vec<RecordedEvent>),
    Keys(Vec<(String, SubjectKey)>),
    /// The last one. Count and checksum of all lines are as they should be.
    End(Trailer),
}

pub(super) struct Reader {
    source: Counted,
    header: Header,
    /// Of the lines so far. `content` is left to whoever wants it.
    pub(super) sums: Sums,
    names: Names,
    text: Vec<u8>,
    ended: bool,
}

impl Reader {
    /// Reads the header.
    pub(super) fn open(source: Source) -> Result<Reader, ArchiveError> {
        let mut source = Counted {
            inner: BufReader::with_capacity(BUFFER_BYTES, source),
            used: 0,
        };
        let mut text = Vec::new();
        match unpack(&mut source, &mut text) {
            Ok(true) => {}
            Ok(false) => return Err(ArchiveError::Foreign),
            Err(error) if is_broken(&error) => return Err(ArchiveError::Foreign),
            Err(error) => return Err(ArchiveError::Io(error)),
        }
        let header = Header::read(&text).map_err(|no| match no {
            NoHeader::Foreign => ArchiveError::Foreign,
            NoHeader::Newer(found) => ArchiveError::Newer {
                found,
                known: FORMAT_VERSION,
            },
        })?;
        let mut sums = Sums::new();
        sums.add_lines(&text);
        Ok(Reader {
            source,
            header,
            sums,
            names: Names::default(),
            text,
            ended: false,
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the file up to the end of the last member read.
    pub(super) fn offset(&self) -> u64 {
        self.source.used
    }

    /// The next part; after an error, or after the last one, there is nothing more.
    pub(super) fn next(&mut self) -> Option<Result<Part, ArchiveError>> {
        if self.ended {
            return None;
        }
        let part = self.part();
        self.ended = !matches!(part, Ok(Part::Events(_) | Part::Keys(_)));
        Some(part)
    }

    /// Reads on a thread of its own, a little ahead.
    pub(super) fn read_ahead(mut self) -> io::Result<mpsc::Receiver<Result<Part, ArchiveError>>> {
        let (sender, parts) = mpsc::sync_channel(AHEAD);
        std::thread::Builder::new()
            .name("eventstore-archive".to_owned())
            .spawn(move || {
                while let Some(part) = self.next() {
                    if sender.send(part).is_err() {
                        return;
                    }
                }
            })?;
        Ok(parts)
    }

    fn part(&mut self) -> Result<Part, ArchiveError> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let part = match unpack(&mut self.source, &mut text) {
            Ok(true) => self.parse(&text),
            Ok(false) => Err(self.cut_off()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(self.cut_off()),
            Err(error) if is_broken(&error) => Err(self.damaged(error.to_string())),
            Err(error) => Err(ArchiveError::Io(error)),
        };
        self.text = text;
        part
    }

    fn parse(&mut self, text: &[u8]) -> Result<Part, ArchiveError> {
        let Some(lines) = text.strip_suffix(b"\n") else {
            return Err(self.damaged("a line does not end".to_owned()));
        };
        let lines = lines.split(|byte| *byte == b'\n');
        match Kind::of(text) {
            Some(Kind::Event) => {
                let events = lines
                    .map(|line| self.event(line))
                    .collect::<Result<_, _>>()?;
                self.sums.add_lines(text);
                Ok(Part::Events(events))
            }
            Some(Kind::Key) => {
                let keys = lines.map(|line| self.key(line)).collect::<Result<_, _>>()?;
                self.sums.add_lines(text);
                Ok(Part::Keys(keys))
            }
            Some(Kind::Trailer) => self.trailer(text).map(Part::End),
            None => Err(self.damaged("a line is of no known kind".to_owned())),
        }
    }

    fn event(&mut self, line: &[u8]) -> Result<RecordedEvent, ArchiveError> {
        let event = line::read_event(line, &mut self.names).map_err(|why| self.damaged(why))?;
        let next = Position(self.sums.events + 1);
        if event.position != next || next > self.header.last || self.sums.keys > 0 {
            return Err(self.damaged(format!("event {} follows", event.position)));
        }
        self.sums.events += 1;
        Ok(event)
    }

    fn key(&mut self, line: &[u8]) -> Result<(String, SubjectKey), ArchiveError> {
        if Position(self.sums.events) < self.header.last {
            return Err(self.cut_off());
        }
        let key = line::read_key(line).map_err(|why| self.damaged(why))?;
        if !self.header.keys {
            return Err(self.damaged("there is a key and there should be none".to_owned()));
        }
        self.sums.keys += 1;
        Ok(key)
    }

    fn trailer(&mut self, text: &[u8]) -> Result<Trailer, ArchiveError> {
        let trailer = Trailer::read(text).map_err(|why| self.damaged(why))?;
        let events = (trailer.events, self.header.last.0);
        if events != (self.sums.events, self.sums.events) || trailer.keys != self.sums.keys {
            return Err(self.damaged(format!(
                "it should hold {} events and {} keys, and holds {} and {}",
                self.header.last, trailer.keys, self.sums.events, self.sums.keys
            )));
        }
        if trailer.sha256 != self.sums.sha256() {
            return Err(self.damaged("the checksum over all of it is wrong".to_owned()));
        }
        match self.source.fill_buf() {
            Ok([]) => Ok(trailer),
            Ok(_) => Err(self.damaged("something follows its end".to_owned())),
            Err(error) => Err(ArchiveError::Io(error)),
        }
    }

    fn damaged(&self, why: String) -> ArchiveError {
        let after = Position(self.sums.events);
        ArchiveError::Damaged { after, why }
    }

    fn cut_off(&self) -> ArchiveError {
        ArchiveError::CutOff {
            after: Position(self.sums.events),
            last: self.header.last,
        }
    }
}

/// Unpacks the next member. `false`: there is none.
fn unpack(source: &mut Counted, text: &mut Vec<u8>) -> io::Result<bool> {
    if source.fill_buf()?.is_empty() {
        return Ok(false);
    }
    let limit = MEMBER_BYTES_MAX as u64 + 1;
    GzDecoder::new(source).take(limit).read_to_end(text)?;
    if text.len() > MEMBER_BYTES_MAX {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "a member is too large",
        ));
    }
    Ok(true)
}

/// Whether it is what was read that is wrong, and not the reading.
fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
    )
}

/// Knows how much of it was used.
struct Counted {
    inner: BufReader<Source>,
    used: u64,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.used += read as u64;
        Ok(read)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount as u64;
        self.inner.consume(amount);
    }
}
