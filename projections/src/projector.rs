//! One projector of one table: reads a page of the log, folds it and stores rows and checkpoint together.

use aggregates::codec;
use aggregates::projection::ProjectionEvent;
use chrono::{DateTime, Utc};
use eventstore::{Checkpoint, Position, ReadError, RecordedEvent};
use uuid::Uuid;

use crate::error::RunError;
use crate::fold::{Fold, Part, UnreadableRow};
use crate::parking::ParkedRecord;
use crate::projection::Projection;
use crate::release::{EVENTS_MAX, Parked, Release, Released};
use crate::site::Site;
use crate::store::{Committed, Generation, PageCommit, Store};
use crate::verbs::{self, Verbs};

/// Rows kept in memory between pages: the orders that are moving now. A row is one to two kilobytes.
const ROWS_KEPT: usize = 10_000;

/// Keys that are set free at once; for more of them the view is folded anew, which takes no longer.
const KEYS_RELEASED: usize = 100;

/// What came of looking at the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paged {
    /// It was stored; `full`: there is more.
    Applied { full: bool },
    /// It was a verb of an operator, and is stored: there may be more, and what is wanted may have changed.
    Verb,
    /// There is nothing new.
    CaughtUp,
    /// Another projector was faster, or the table was replaced: start again from what is stored.
    Fenced,
}

/// Folds the log into one table. Whatever error it gives, it must be dropped then: its memory may be
/// ahead of the table.
pub(crate) struct Projector<P: Projection> {
    generation: i64,
    checkpoint: Checkpoint,
    recorded_at: DateTime<Utc>,
    verbs: Verbs,
    fold: Fold<P>,
}

/// What a page changes beside rows of its own events.
#[derive(Default)]
struct Outcome {
    parked: Vec<ParkedRecord>,
    released: Vec<Released>,
    rebuild_wanted: Option<String>,
}

impl Outcome {
    fn add(&mut self, release: Release) {
        match release {
            Release::Nothing => {}
            Release::Released(released) => self.released.push(released),
            Release::NeedsRebuild(reason) => self.rebuild_wanted = Some(reason),
        }
    }
}

impl<P: Projection> Projector<P> {
    /// Goes on from what is stored.
    pub(crate) async fn resume(store: &Store, generation: &Generation) -> Result<Self, RunError> {
        let parking = store.parking(P::TABLE, generation.number).await?;
        Ok(Self {
            generation: generation.number,
            checkpoint: generation.checkpoint,
            recorded_at: generation.recorded_at.unwrap_or_default(),
            verbs: Verbs::of(P::TABLE.view),
            fold: Fold::new(Part::WHOLE, parking),
        })
    }

    /// Where the table is.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    /// Which table.
    pub(crate) fn generation(&self) -> i64 {
        self.generation
    }

    /// Takes the next page of the log, up to the next verb of an operator, or that verb.
    pub(crate) async fn page(&mut self, site: &Site) -> Result<Paged, RunError> {
        self.page_up_to(site, Position(i64::MAX)).await
    }

    /// Takes the next page of the log, as far as it is not beyond `most`.
    pub(crate) async fn page_up_to(
        &mut self,
        site: &Site,
        most: Position,
    ) -> Result<Paged, RunError> {
        let page = site.tail.after(&self.checkpoint).await?;
        let all = page.events();
        let wanted = &all[..all.partition_point(|event| event.position <= most)];
        let whole = wanted.len() == all.len();
        let (events, more) = match self.verbs.first(wanted) {
            None => (wanted, page.more && whole),
            Some(0) => return self.verb(site, &wanted[0]).await,
            Some(verb) => (&wanted[..verb], true),
        };
        let Some(last) = events.last() else {
            return Ok(Paged::CaughtUp);
        };
        let outcome = Outcome {
            parked: self.fold_page(site, events).await?,
            ..Outcome::default()
        };
        let done = Paged::Applied { full: more };
        self.store(site, last.checkpoint(), last.recorded_at, outcome, done)
            .await
    }

    async fn verb(&mut self, site: &Site, event: &RecordedEvent) -> Result<Paged, RunError> {
        let verb = verbs::read(event)?;
        let outcome = match verb {
            ProjectionEvent::Retried(retried) => {
                let keys = match retried.key {
                    Some(key) => vec![key],
                    None => self.fold.parked(KEYS_RELEASED + 1),
                };
                self.release(site, &keys).await?
            }
            ProjectionEvent::Skipped(skipped) if skipped.position < event.position.0 => {
                let mut room = EVENTS_MAX;
                let parked = self.parked(site, skipped.key, &mut room);
                let mut outcome = Outcome::default();
                outcome.add(parked.skip(Position(skipped.position)).await?);
                outcome
            }
            ProjectionEvent::Skipped(_)
            | ProjectionEvent::Paused(_)
            | ProjectionEvent::Resumed(_) => Outcome::default(),
        };
        let (to, recorded_at) = (event.checkpoint(), event.recorded_at);
        self.store(site, to, recorded_at, outcome, Paged::Verb)
            .await
    }

    /// Takes what an older build parked because it did not know its type, if this one does, and what it has parked as
    /// following that since: a release leaves the checkpoint where it is, so that a projector which has seen the key
    /// stand still may store one more page.
    pub(crate) async fn take_what_was_unknown(&mut self, site: &Site) -> Result<Paged, RunError> {
        let store = &site.store;
        let mut keys = store
            .keys_without_cause(P::TABLE, self.generation, KEYS_RELEASED + 1)
            .await?;
        for of in store.unknown_types(P::TABLE, self.generation).await? {
            if codec::knows(&of.event_type, of.schema_version) {
                let more = store.keys_of_unknown(P::TABLE, self.generation, of, KEYS_RELEASED + 1);
                keys.extend(more.await?);
            }
        }
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(Paged::CaughtUp);
        }
        tracing::info!(
            view = site.name(),
            keys = keys.len(),
            "nothing is in the way of events that were parked any more, taking them"
        );
        let outcome = self.release(site, &keys).await?;
        let (at, recorded_at) = (self.checkpoint, self.recorded_at);
        self.store(site, at, recorded_at, outcome, Paged::CaughtUp)
            .await
    }

    async fn release(&mut self, site: &Site, keys: &[Uuid]) -> Result<Outcome, RunError> {
        let mut outcome = Outcome::default();
        if keys.len() > KEYS_RELEASED {
            let reason = format!("more than {KEYS_RELEASED} keys are to be released");
            outcome.rebuild_wanted = Some(reason);
            return Ok(outcome);
        }
        let mut room = EVENTS_MAX;
        for key in keys {
            outcome.add(self.parked(site, *key, &mut room).retry().await?);
        }
        Ok(outcome)
    }

    fn parked<'a>(&'a mut self, site: &'a Site, key: Uuid, room: &'a mut usize) -> Parked<'a, P> {
        Parked {
            site,
            generation: self.generation,
            fold: &mut self.fold,
            key,
            room,
        }
    }

    /// Stores rows, checkpoint and what is parked together.
    async fn store(
        &mut self,
        site: &Site,
        to: Checkpoint,
        recorded_at: DateTime<Utc>,
        outcome: Outcome,
        done: Paged,
    ) -> Result<Paged, RunError> {
        let commit = PageCommit {
            generation: self.generation,
            from: self.checkpoint,
            to,
            recorded_at,
            changes: self.fold.changes(),
            parked: outcome.parked,
            released: outcome.released,
            rebuild_wanted: outcome.rebuild_wanted,
        };
        match site.store.commit(P::TABLE, commit).await? {
            Committed::Fenced => Ok(Paged::Fenced),
            Committed::Yes => {
                self.fold.committed(ROWS_KEPT);
                self.checkpoint = to;
                self.recorded_at = recorded_at;
                Ok(done)
            }
        }
    }

    async fn fold_page(
        &mut self,
        site: &Site,
        events: &[RecordedEvent],
    ) -> Result<Vec<ParkedRecord>, RunError> {
        let steps = self.fold.decode(events);
        let missing = self.fold.missing(&steps);
        let rows = site.store.load(P::TABLE, self.generation, missing).await?;
        self.fold.loaded(rows)?;
        Ok(self.fold.apply(events, &steps))
    }
}

impl From<UnreadableRow> for RunError {
    fn from(UnreadableRow { key, source }: UnreadableRow) -> Self {
        Self::Row { key, source }
    }
}

impl RunError {
    /// Whether trying again can help. Where it cannot, the projection stands still until somebody has
    /// rebuilt the view or repaired the log.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Log(error) => matches!(error, ReadError::CheckpointMismatch { .. }),
            Self::Row { .. } => true,
            Self::Store(_)
            | Self::Stuck { .. }
            | Self::Verb { .. }
            | Self::Version { .. }
            | Self::NoHand(_)
            | Self::HandGone => false,
        }
    }
}
