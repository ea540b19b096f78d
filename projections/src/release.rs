//! Setting keys free: what is parked of them is taken once more, in order, by this build; and leaving
//! events out.
//!
//! Only the projector of the table does it, in one transaction with its checkpoint, so that it races with
//! nobody. A release ends with the first event that still cannot be taken: exactly what a fresh replay
//! would leave behind. Where the table cannot be brought there any more, it has to be folded anew.

use eventstore::{EventStore, Position, ReadError, RecordedEvent};
use uuid::Uuid;

use crate::error::RunError;
use crate::fold::{Fold, read};
use crate::parking::ParkedRecord;
use crate::projection::{Facts, Keys, Projection};
use crate::site::Site;
use crate::store::ParkedAt;

/// Parked events that are taken at once, of however many keys. More of them are released by folding the view
/// anew, which takes no longer and holds nothing up: nor is the projector taken for stuck meanwhile.
pub(crate) const EVENTS_MAX: usize = 10_000;

/// Parked events that lie within so many positions are read at once, with what lies between them.
const NEIGHBOURS: i64 = 200;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) key: Uuid,
    /// What is parked before here is parked no more.
    pub(crate) before: Position,
    /// Nor is this, wherever it is.
    pub(crate) skipped: Option<Position>,
    /// How many parked events these are.
    pub(crate) struck: usize,
    /// The one that still cannot be taken.
    pub(crate) stuck: Option<ParkedRecord>,
}

/// What can be done about a parked key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Nothing of it is parked.
    Nothing,
    /// So much was taken or left out.
    Released(Released),
    /// It cannot be done on this table: the view has to be folded anew, for this reason.
    NeedsRebuild(String),
}

/// A key of one table, in the hands of its projector.
pub(crate) struct Parked<'a, P: Projection> {
    pub(crate) site: &'a Site,
    pub(crate) generation: i64,
    pub(crate) fold: &'a mut Fold<P>,
    pub(crate) key: Uuid,
    /// How many events may still be taken at once.
    pub(crate) room: &'a mut usize,
}

impl<P: Projection> Parked<'_, P> {
    /// Takes what is parked once more. The fold holds the outcome; the caller stores it.
    pub(crate) async fn retry(mut self) -> Result<Release, RunError> {
        let parked = self.all().await?;
        match parked.len() {
            0 => Ok(Release::Nothing),
            many if many > *self.room => Ok(self.too_many()),
            many => {
                *self.room -= many;
                let events = events_at(&self.site.log, &parked).await?;
                self.take(&parked, &events, None).await
            }
        }
    }

    /// Leaves an event out, wherever it stands, and takes what follows it if it was the first.
    pub(crate) async fn skip(mut self, at: Position) -> Result<Release, RunError> {
        let parked = self.all().await?;
        if parked.len() > *self.room {
            return Ok(self.too_many());
        }
        let Some(nth) = parked.iter().position(|it| it.position == at) else {
            return self.skip_unparked(at).await;
        };
        let events = events_at(&self.site.log, &parked[nth..]).await?;
        let (skipped, behind) = (&events[0], &events[1..]);
        if is_of_others::<P>(self.key, skipped) {
            return Ok(went_on_with(at));
        }
        if nth == 0 {
            return self.take(&parked[1..], behind, Some(at)).await;
        }
        if parked[nth].breaks_stream {
            if let Some(other) = first_of_others::<P>(self.key, behind) {
                return Ok(went_on_without(other));
            }
            let others = parked.iter().filter(|it| it.position != at);
            self.fold.set_broken(self.key, breaks(others));
        }
        Ok(Release::Released(Released {
            key: self.key,
            before: parked[0].position,
            skipped: Some(at),
            struck: 1,
            stuck: None,
        }))
    }

    /// An event that is not parked: it was taken, or it is none of this key's.
    async fn skip_unparked(&self, at: Position) -> Result<Release, RunError> {
        let page = self.site.log.read_all(Position(at.0 - 1), 1, None).await?;
        let belongs = |event: &RecordedEvent| {
            let category = event.stream.category.as_str();
            let keys = read::<P>(event, &Facts::of(event)).map(|(keys, _)| keys);
            let is_key = |keys: Keys| keys.as_slice().contains(&self.key);
            P::CATEGORIES.contains(&category)
                && (event.stream.id == self.key || keys.is_ok_and(is_key))
        };
        Ok(match page.events.first() {
            Some(event) if event.position == at && belongs(event) => went_on_with(at),
            _ => Release::Nothing,
        })
    }

    /// Takes these events, all of the key's but for one that is left out.
    async fn take(
        &mut self,
        parked: &[ParkedAt],
        events: &[RecordedEvent],
        skipped: Option<Position>,
    ) -> Result<Release, RunError> {
        if let Some(other) = first_of_others::<P>(self.key, events) {
            return Ok(went_on_without(other));
        }
        if !self.fold.holds(self.key) {
            let store = &self.site.store;
            let rows = store
                .load(P::TABLE, self.generation, vec![self.key])
                .await?;
            self.fold.loaded(rows)?;
        }
        let (taken, stuck) = self.fold.take_again(self.key, events);
        if let Some(stuck) = &stuck {
            // What is parked behind it may break its stream as well.
            let broken = stuck.refusal.cause.breaks_stream() || breaks(&parked[taken + 1..]);
            self.fold.set_broken(self.key, broken);
        }
        let before = stuck.as_ref().map_or(i64::MAX, |stuck| stuck.position);
        Ok(Release::Released(Released {
            key: self.key,
            before: Position(before),
            skipped,
            struck: taken + usize::from(skipped.is_some()),
            stuck,
        }))
    }

    async fn all(&self) -> Result<Vec<ParkedAt>, RunError> {
        let store = &self.site.store;
        Ok(store
            .parked_of(P::TABLE, self.generation, self.key, *self.room + 1)
            .await?)
    }

    fn too_many(&self) -> Release {
        Release::NeedsRebuild(format!(
            "with those of {} more than {EVENTS_MAX} parked events are to be taken",
            self.key
        ))
    }
}

fn went_on_without(position: Position) -> Release {
    Release::NeedsRebuild(format!(
        "the event at {position} belongs to rows that went on without it"
    ))
}

fn went_on_with(position: Position) -> Release {
    Release::NeedsRebuild(format!(
        "the event at {position} is left out and rows have taken it"
    ))
}

fn breaks<'a>(parked: impl IntoIterator<Item = &'a ParkedAt>) -> bool {
    parked.into_iter().any(|it| it.breaks_stream)
}

/// An event that could not be read was parked with what followed on its stream under the stream's id. If
/// one of these belongs to another row, that row has taken later events since, and it is too late for it
/// here. What lies behind an event that still cannot be read stays parked and does not count.
fn first_of_others<P: Projection>(key: Uuid, events: &[RecordedEvent]) -> Option<Position> {
    events
        .iter()
        .take_while(|event| read::<P>(event, &Facts::of(event)).is_ok())
        .find(|event| is_of_others::<P>(key, event))
        .map(|event| event.position)
}

/// Whether an event that is parked under its stream's id belongs to another row than that of the same id.
fn is_of_others<P: Projection>(key: Uuid, event: &RecordedEvent) -> bool {
    let keys = read::<P>(event, &Facts::of(event)).map(|(keys, _)| keys);
    event.stream.id == key && keys.is_ok_and(|keys| keys.as_slice().iter().any(|it| *it != key))
}

/// The events at these positions, in order.
async fn events_at(log: &EventStore, parked: &[ParkedAt]) -> Result<Vec<RecordedEvent>, ReadError> {
    let mut events: Vec<RecordedEvent> = Vec::with_capacity(parked.len());
    while let Some(next) = parked.get(events.len()) {
        let reach = next.position.0 + NEIGHBOURS;
        let neighbours = parked[events.len()..].partition_point(|it| it.position.0 < reach);
        let wanted = &parked[events.len()..][..neighbours];
        let span = wanted
            .last()
            .map_or(1, |last| last.position.0 - next.position.0 + 1);
        let limit = usize::try_from(span).unwrap_or(1);
        let page = log
            .read_all(Position(next.position.0 - 1), limit, None)
            .await?;
        let mut found = page.events;
        found.retain(|event| wanted.iter().any(|it| it.position == event.position));
        if found.len() != wanted.len() {
            return Err(ReadError::Corrupt(format!(
                "the log lacks parked events between {} and {reach}",
                next.position
            )));
        }
        events.extend(found);
    }
    Ok(events)
}
