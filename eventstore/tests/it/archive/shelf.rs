//! Archives on disk, and ways to look into them and to spoil them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use eventstore::archive::{self, ArchiveError, Exported, ImportError, Imported, Verified};
use eventstore::testing::TestLog;
use eventstore::{Access, EventStore, Expected, MasterKeyFile, Options, StreamAppend};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::support::{event_with, order, to};

/// Most events of an append.
const APPEND: usize = 1_000;
/// Streams that grow side by side.
const STREAMS: usize = 7;

/// Where a check keeps its archives.
pub(super) struct Shelf(TempDir);

impl Shelf {
    pub(super) fn new() -> Self {
        Shelf(tempfile::tempdir().expect("a directory"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A master key, made when it is asked for.
    pub(super) fn master_key(&self, name: &str) -> MasterKeyFile {
        MasterKeyFile::CreateIfMissing(self.path(name))
    }

    /// Puts these bytes on the shelf.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

pub(super) async fn export(log: &TestLog, path: &Path) -> Exported {
    export_with(&reader(log).await, path, false).await
}

pub(super) async fn export_with(store: &EventStore, path: &Path, keys: bool) -> Exported {
    let file = File::create(path).expect("a file");
    archive::export(store, Box::new(file), keys, |_| {})
        .await
        .expect("exported")
}

/// Opens a log as tools do beside a server.
pub(super) async fn reader(log: &TestLog) -> EventStore {
    let options = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    EventStore::open(&log.location(), options)
        .await
        .expect("opened")
}

pub(super) async fn import(path: &Path, log: &TestLog) -> Result<Imported, ImportError> {
    let file = File::open(path).expect("a file");
    archive::import(&log.location(), Box::new(file), |_| {}).await
}

pub(super) async fn verify(bytes: Vec<u8>) -> Result<Verified, ArchiveError> {
    archive::verify(Box::new(std::io::Cursor::new(bytes)), |_| {}).await
}

/// The text of an archive.
pub(super) fn text(path: &Path) -> String {
    let mut text = String::new();
    let file = File::open(path).expect("a file");
    MultiGzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("gzip");
    text
}

/// The lines of its events.
pub(super) fn events(path: &Path) -> Vec<String> {
    let text = text(path);
    let events = text
        .lines()
        .filter(|line| line.starts_with("{\"position\""));
    events.map(str::to_owned).collect()
}

/// Packs lines, one member each: an archive as somebody else might make it.
pub(super) fn pack(lines: &[String]) -> Vec<u8> {
    let mut packed = Vec::new();
    for line in lines {
        let mut encoder = GzEncoder::new(&mut packed, Compression::fast());
        encoder
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| encoder.finish().map(drop))
            .expect("packed");
    }
    packed
}

/// Appends so many events to a few streams that grow side by side.
pub(super) async fn fill(store: &EventStore, count: usize) {
    let streams: Vec<_> = (0..STREAMS).map(|_| order()).collect();
    let mut left = count;
    while left > 0 {
        let now = left.min(APPEND);
        let appends = streams.iter().enumerate();
        let appends = appends
            .map(|(nth, stream)| to(stream, Expected::Any, (now + STREAMS - 1 - nth) / STREAMS));
        let appends = appends.filter(|append| !append.events.is_empty()).collect();
        store.append(appends).await.expect("stored");
        left -= now;
    }
}

/// Appends one event that says this.
pub(super) async fn tell(store: &EventStore, data: &str) {
    let events = vec![event_with("Ordered", data)];
    let append = StreamAppend {
        stream: order(),
        expected: Expected::NoStream,
        events,
    };
    store.append(vec![append]).await.expect("stored");
}
