//! What operators do about a view, as its projector reads it in the log.
//!
//! A verb takes effect where it stands in the log, as a page of its own: so it races with no event, and
//! whoever folds the log again comes to the same rows.

use aggregates::projection::{ProjectionEvent, ProjectionPaused};
use aggregates::{Event, codec, ids};
use eventstore::{Category, EventStore, Position, RecordedEvent, StreamId, Version};

use crate::error::RunError;
use crate::parking::Skips;

const CATEGORY: Category = Category::from_static("projection");

/// Verbs read at once; a view has a handful.
const PAGE: usize = 1_000;

/// The stream of a view's verbs.
#[derive(Clone, Debug)]
pub(crate) struct Verbs {
    stream: StreamId,
}

impl Verbs {
    pub(crate) fn of(view: &str) -> Self {
        Self {
            stream: StreamId::new(CATEGORY, ids::projection_id(view)),
        }
    }

    /// Where the first verb of the view among these events is.
    pub(crate) fn first(&self, events: &[RecordedEvent]) -> Option<usize> {
        events.iter().position(|event| event.stream == self.stream)
    }

    /// Which events are left out, as far as that was decided up to a position.
    pub(crate) async fn skips(&self, log: &EventStore, up_to: Position) -> Result<Skips, RunError> {
        let mut skips = Skips::new();
        for event in self.all(log).await? {
            if event.position > up_to {
                break;
            }
            // One cannot leave out what is not there yet.
            if let ProjectionEvent::Skipped(skipped) = read(&event)?
                && skipped.position < event.position.0
            {
                skips.insert((Position(skipped.position), skipped.key));
            }
        }
        Ok(skips)
    }

    /// Whether it was decided beyond `heeded` to leave out an event that is no further than `taken`: rows that are there
    /// have not left it out.
    pub(crate) async fn skipped_since(
        &self,
        log: &EventStore,
        heeded: Position,
        taken: Position,
    ) -> Result<bool, RunError> {
        for event in self.all(log).await? {
            if event.position > heeded
                && let ProjectionEvent::Skipped(skipped) = read(&event)?
                && skipped.position <= taken.0
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Why the view stands still now, if it was told to. What this build cannot read is no pause; it stops
    /// the projector where it stands.
    pub(crate) async fn paused(
        &self,
        log: &EventStore,
    ) -> Result<Option<ProjectionPaused>, RunError> {
        let mut paused = None;
        for event in self.all(log).await? {
            match read(&event) {
                Ok(ProjectionEvent::Paused(pause)) => paused = Some(pause),
                Ok(ProjectionEvent::Resumed(_)) => paused = None,
                Ok(ProjectionEvent::Retried(_) | ProjectionEvent::Skipped(_)) | Err(_) => {}
            }
        }
        Ok(paused)
    }

    async fn all(&self, log: &EventStore) -> Result<Vec<RecordedEvent>, RunError> {
        let mut all = Vec::new();
        let mut after = Version::ZERO;
        loop {
            let page = log.read_stream(&self.stream, after, PAGE).await?;
            let full = page.len() == PAGE;
            if let Some(last) = page.last() {
                after = last.version;
            }
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
    }
}

/// The verb that was recorded. One that this build does not know is left to a newer one.
pub(crate) fn read(event: &RecordedEvent) -> Result<ProjectionEvent, RunError> {
    let verb = codec::decode(&event.event_type, event.schema_version, &event.data);
    let reason = match verb {
        Ok(Event::Projection(verb)) => return Ok(verb),
        Ok(_) => String::from("it is not a verb"),
        Err(error) => error.to_string(),
    };
    Err(RunError::Verb {
        position: event.position,
        reason,
    })
}

/// Why a view stands still, for people.
pub(crate) fn pause_of(pause: &ProjectionPaused) -> String {
    format!("paused by {}: {}", pause.actor, pause.reason)
}
