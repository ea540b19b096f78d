//! The youngest events of the log, read once for all projectors of this process.
//!
//! Projectors that keep up want the same events at about the same time, and reading them costs as much
//! as projecting them. Whoever comes first reads; the others find the page here. One that is behind
//! reads for itself until it has caught up with what is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use eventstore::{Checkpoint, EventStore, ReadError, RecordedEvent};
use tokio::sync::Mutex;

/// Events in a page. Large enough that a projector which is behind spends its time on rows and not on
/// round trips, small enough that a page of large events stays at a few megabytes.
pub(crate) const PAGE_EVENTS: usize = 2_000;

/// Events kept, in whole pages; an event is about one kilobyte.
const KEPT_EVENTS: usize = 4 * PAGE_EVENTS;

/// Pages kept: a quiet log brings pages of one event, and each look goes through all of them.
const KEPT_PAGES: usize = 64;

/// A log and its youngest pages, without a gap between them.
pub(crate) struct Tail {
    log: EventStore,
    pages: Mutex<VecDeque<Arc<Page>>>,
}

struct Page {
    after: Checkpoint,
    events: Vec<RecordedEvent>,
}

/// The events after a checkpoint, as far as one page goes.
pub(crate) struct Slice {
    page: Arc<Page>,
    from: usize,
    /// There are surely more behind them.
    pub(crate) more: bool,
}

impl Slice {
    pub(crate) fn events(&self) -> &[RecordedEvent] {
        &self.page.events[self.from..]
    }
}

impl Page {
    fn end(&self) -> Checkpoint {
        self.events
            .last()
            .map_or(self.after, RecordedEvent::checkpoint)
    }

    /// How many of these events the checkpoint has seen; `None` if it is not of this page.
    fn seen(&self, checkpoint: &Checkpoint) -> Option<usize> {
        if *checkpoint == self.after {
            return Some(0);
        }
        let ahead = checkpoint.position.0.checked_sub(self.after.position.0)?;
        let seen = usize::try_from(ahead).ok()?;
        let last_seen = self.events.get(seen.checked_sub(1)?)?;
        (last_seen.event_id == checkpoint.event_id).then_some(seen)
    }

    fn whole(self) -> Slice {
        Self::shared(Arc::new(self))
    }

    fn shared(page: Arc<Self>) -> Slice {
        Slice {
            from: 0,
            more: page.events.len() == PAGE_EVENTS,
            page,
        }
    }
}

impl Tail {
    pub(crate) fn new(log: EventStore) -> Self {
        Self {
            log,
            pages: Mutex::default(),
        }
    }

    /// The next events after a checkpoint. The log is asked whether it still holds the checkpoint's event
    /// whenever it is read, so at the latest where the kept pages end.
    pub(crate) async fn after(&self, checkpoint: &Checkpoint) -> Result<Slice, ReadError> {
        let mut pages = self.pages.lock().await;
        for (at, page) in pages.iter().enumerate() {
            if let Some(from) = page
                .seen(checkpoint)
                .filter(|seen| *seen < page.events.len())
            {
                return Ok(Slice {
                    page: Arc::clone(page),
                    from,
                    more: at + 1 < pages.len(),
                });
            }
        }
        let end = pages.back().map(|page| page.end());
        if end.is_some_and(|end| checkpoint.position < end.position) {
            drop(pages);
            return Ok(self.read(checkpoint).await?.whole());
        }
        // The others wait here for what is read now.
        if end != Some(*checkpoint) {
            pages.clear();
        }
        let page = match self.read(checkpoint).await {
            Ok(page) => Arc::new(page),
            Err(error) => {
                pages.clear();
                return Err(error);
            }
        };
        if !page.events.is_empty() {
            pages.push_back(Arc::clone(&page));
            let mut kept: usize = pages.iter().map(|page| page.events.len()).sum();
            while kept > KEPT_EVENTS || pages.len() > KEPT_PAGES {
                kept -= pages.pop_front().map_or(kept, |page| page.events.len());
            }
        }
        Ok(Page::shared(page))
    }

    async fn read(&self, after: &Checkpoint) -> Result<Page, ReadError> {
        Ok(Page {
            after: *after,
            events: self.log.read_page(after, PAGE_EVENTS).await?,
        })
    }
}
