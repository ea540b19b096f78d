//! Making an archive of a log, also of one that somebody writes.

use std::fs::File;
use std::io;

use super::error::ExportError;
use super::line::Header;
use super::resume::{self, Begun};
use super::writer::Writer;
use super::{Progress, Sink};
use crate::error::ReadError;
use crate::position::{Checkpoint, Position};
use crate::store::EventStore;

/// Keys read at once.
const KEYS_PAGE: usize = 1_000;

/// An archive that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The last event in it.
    pub last: Position,
    /// Keys in it.
    pub keys: u64,
    /// SHA-256 of its lines but the last, in hex.
    pub sha256: String,
    /// SHA-256 of what its events say, in hex: the same for the same log in every database.
    pub content: String,
}

/// Writes the log as it is now, with the keys of its data subjects if `keys`: those that are there when the last event has been
/// written.
pub async fn export(
    store: &EventStore,
    out: Sink,
    keys: bool,
    progress: impl FnMut(Progress),
) -> Result<Exported, ExportError> {
    let header = Header {
        epoch: store.epoch().await?,
        last: store.head().await?,
        keys,
    };
    let first = header.clone();
    let writer = off_thread(move || Writer::begin(out, &first)).await?;
    copy(store, &header, Checkpoint::START, writer, progress).await
}

/// Goes on with an export that was interrupted, after its last whole member and up to where the log was when it began. The file
/// must be open for reading and writing. Refuses one of another log.
pub async fn resume(
    store: &EventStore,
    file: File,
    keys: bool,
    progress: impl FnMut(Progress),
) -> Result<Exported, ExportError> {
    let (file, begun) =
        off_thread(move || Ok(resume::survey(&file).map(|begun| (file, begun)))).await??;
    let Some(begun) = begun else {
        return export(store, Box::new(file), keys, progress).await;
    };
    let wanted = store.epoch().await?;
    if begun.header.epoch != wanted {
        let found = begun.header.epoch;
        return Err(ExportError::OtherLog { found, wanted });
    }
    if begun.header.keys != keys {
        let with = begun.header.keys;
        return Err(ExportError::OtherKeys { with });
    }
    let Begun {
        header,
        sums,
        last,
        offset,
    } = begun;
    // The log is asked for the last event before anything of the file is cut off.
    store.read_page(&last, 1).await?;
    let writer = off_thread(move || {
        resume::cut(&file, offset)?;
        Ok(Writer::resume(Box::new(file), sums))
    })
    .await?;
    copy(store, &header, last, writer, progress).await
}

async fn copy(
    store: &EventStore,
    header: &Header,
    after: Checkpoint,
    mut writer: Writer,
    mut progress: impl FnMut(Progress),
) -> Result<Exported, ExportError> {
    let total = header.last;
    let mut done = after.position;
    progress(Progress { done, total });
    let mut scan = store.scan(after, total);
    while let Some(page) = scan.next().await {
        let page = page?;
        done = page.last().map_or(done, |event| event.position);
        writer = off_thread(move || writer.events(&page).map(|()| writer)).await?;
        progress(Progress { done, total });
    }
    if done != total {
        let gap = format!("it ends at {done} and should at {total}");
        return Err(ReadError::Corrupt(gap).into());
    }
    if header.keys {
        writer = copy_keys(store, writer).await?;
    }
    let trailer = off_thread(move || writer.finish()).await?;
    Ok(Exported {
        last: total,
        keys: trailer.keys,
        sha256: trailer.sha256,
        content: trailer.content,
    })
}

async fn copy_keys(store: &EventStore, mut writer: Writer) -> Result<Writer, ExportError> {
    let keys = store.subject_keys();
    let mut after: Option<String> = None;
    loop {
        let page = keys.page(after.as_deref(), KEYS_PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(writer);
        };
        after = Some(last.clone());
        writer = off_thread(move || writer.keys(&page).map(|()| writer)).await?;
    }
}

/// Compressing is work, and files block.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ExportError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(ExportError::Write)
}
