//! Reading ahead: the next page of the log is read while the one before it is on its way.

use std::time::Duration;

use eventstore::{Checkpoint, EventStore, ReadError, RecordedEvent};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Events in a page.
const PAGE: usize = 1_000;
/// How long the log is waited for at a time.
const WAIT: Duration = Duration::from_secs(5);

/// The log from a checkpoint on, page by page; the reading ends with it.
pub(super) struct Pages {
    pages: mpsc::Receiver<Result<Vec<RecordedEvent>, ReadError>>,
    reading: JoinHandle<()>,
}

impl Pages {
    pub(super) fn after(store: EventStore, from: Checkpoint) -> Pages {
        let (sender, pages) = mpsc::channel(1);
        let reading = tokio::spawn(read(store, from, sender));
        Pages { pages, reading }
    }

    /// The next page, when there is one. Never empty. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        let gone = || Err(ReadError::Unavailable("the reader has ended".to_owned()));
        self.pages.recv().await.unwrap_or_else(gone)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(
    store: EventStore,
    mut from: Checkpoint,
    pages: mpsc::Sender<Result<Vec<RecordedEvent>, ReadError>>,
) {
    loop {
        let page = store.read_page(&from, PAGE).await;
        let failed = page.is_err();
        if let Ok(events) = &page {
            let Some(last) = events.last() else {
                // An error of the wait shows in the next read.
                let _ = store.wait_past(from.position, WAIT).await;
                continue;
            };
            from = last.checkpoint();
        }
        if pages.send(page).await.is_err() || failed {
            return;
        }
    }
}
