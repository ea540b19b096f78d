//! Writing an archive, member by member.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Sink;
use super::line::{self, Header, Trailer};
use super::sums::Sums;
use crate::event::RecordedEvent;
use crate::keys::SubjectKey;

/// Most events in one member: what an interrupted export or import does again at most.
pub const MEMBER_EVENTS: usize = 5_000;
/// Text at which a member ends earlier. Far beyond what a compressor remembers, so that cutting costs no room.
const MEMBER_BYTES: usize = 4 * 1024 * 1024;
/// Of a log of orders, 537 bytes a line, level 1 makes 94 bytes an event at 360 MB/s, 3 makes 67 at 150 MB/s, and 6 makes 58 at
/// 89 MB/s. At level 3 packing is not yet what takes longest.
const LEVEL: Compression = Compression::new(3);

/// Writes whole members only, so that whoever is interrupted leaves a file that ends in at most one broken one. Where members
/// end depends on the events alone, so that an export that was interrupted comes to the same bytes.
pub(super) struct Writer {
    out: Sink,
    sums: Sums,
    member: Vec<u8>,
    in_member: usize,
}

impl Writer {
    /// Begins an archive.
    pub(super) fn begin(out: Sink, header: &Header) -> io::Result<Writer> {
        let mut writer = Writer::resume(out, Sums::new());
        header.write(&mut writer.member)?;
        writer.end_member()?;
        Ok(writer)
    }

    /// Goes on where these sums were taken.
    pub(super) fn resume(out: Sink, sums: Sums) -> Writer {
        Writer {
            out,
            sums,
            member: Vec::new(),
            in_member: 0,
        }
    }

    pub(super) fn events(&mut self, events: &[RecordedEvent]) -> io::Result<()> {
        for event in events {
            line::write_event(&mut self.member, event)?;
            self.sums.content.add(event);
            self.sums.events += 1;
            self.end_full_member()?;
        }
        Ok(())
    }

    /// Keys come after all events.
    pub(super) fn keys(&mut self, keys: &[(String, SubjectKey)]) -> io::Result<()> {
        if self.sums.keys == 0 {
            self.end_member()?;
        }
        for (subject, key) in keys {
            line::write_key(&mut self.member, subject, key)?;
            self.sums.keys += 1;
            self.end_full_member()?;
        }
        Ok(())
    }

    /// Ends the archive; gives what it came to.
    pub(super) fn finish(mut self) -> io::Result<Trailer> {
        self.end_member()?;
        let trailer = self.sums.trailer();
        trailer.write(&mut self.member)?;
        self.end_member()?;
        self.out.flush()?;
        Ok(trailer)
    }

    fn end_full_member(&mut self) -> io::Result<()> {
        self.in_member += 1;
        if self.in_member >= MEMBER_EVENTS || self.member.len() >= MEMBER_BYTES {
            self.end_member()?;
        }
        Ok(())
    }

    fn end_member(&mut self) -> io::Result<()> {
        if self.member.is_empty() {
            return Ok(());
        }
        self.sums.add_lines(&self.member);
        let mut encoder = GzEncoder::new(Vec::with_capacity(self.member.len() / 4), LEVEL);
        encoder.write_all(&self.member)?;
        self.out.write_all(&encoder.finish()?)?;
        self.member.clear();
        self.in_member = 0;
        Ok(())
    }
}
