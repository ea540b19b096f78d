//! How far the books were compared. It outlives the process that compares: whoever comes after it goes on from there, however
//! long nobody was at it. It is kept as a place of the log, since that is what a lease's holders can remember.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use eventstore::{Checkpoint, EventStore, Lease, Position, ReadError};

use super::{books, span};

/// Nobody looks back further than this: banks approve within days, and a person who was away for a month asks for a comparison
/// anyway.
const BACK_MAX: TimeDelta = TimeDelta::days(31);

/// What the process that compares knows of it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// It was read since this process's turn began.
    pub(super) is_known: bool,
    /// Everything of before this time is seen to.
    pub(super) seen_until: Option<DateTime<Utc>>,
}

/// From when on there may be something that nobody has seen to. Where nothing is remembered, the shop was last at work when money
/// or a parcel last moved, or `window` ago.
pub(super) async fn begin(
    store: &EventStore,
    lease: &str,
    window: Duration,
) -> Result<DateTime<Utc>, ReadError> {
    let now = Utc::now();
    let since = match remembered(store, lease).await? {
        Some(at) => at,
        None => {
            let newest = books::newest(store).await?.unwrap_or(now);
            newest.min(now - span(window))
        }
    };
    if since < now - BACK_MAX {
        tracing::warn!(%since, "the books were not compared for so long that only the last month of it is");
    }
    Ok(since.max(now - BACK_MAX))
}

async fn remembered(store: &EventStore, lease: &str) -> Result<Option<DateTime<Utc>>, ReadError> {
    let Some(mark) = store.bookmark(lease).await? else {
        return Ok(None);
    };
    let before = Position(mark.position.0 - 1);
    let page = store.read_all(before, 1, None).await?;
    // Of another log that stood here before it says nothing.
    let event = page.events.first();
    let event = event.filter(|it| it.position == mark.position && it.event_id == mark.event_id);
    Ok(event.map(|event| event.recorded_at))
}

/// Everything of before this time is seen to.
pub(super) async fn remember(
    store: &EventStore,
    lease: &Lease,
    seen_until: DateTime<Utc>,
) -> Result<(), ReadError> {
    let position = books::before(store, seen_until).await?;
    if position == Position::ZERO {
        return Ok(());
    }
    let page = store.read_all(Position(position.0 - 1), 1, None).await?;
    if let Some(event) = page.events.first() {
        let mark = Checkpoint {
            position: event.position,
            event_id: event.event_id,
        };
        // Where the lease has passed to somebody else, they remember.
        store.set_bookmark(lease, mark).await?;
    }
    Ok(())
}
