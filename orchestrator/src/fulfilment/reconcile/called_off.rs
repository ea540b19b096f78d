//! Looks after parcels that are not to leave any more. A carrier that promised to hold one may take it along all the same, and
//! its list shows parcels by the day they were accepted: so each of them is asked about, again and again, less and less often.
//!
//! Which they are is read from the log and kept in memory only: whoever begins anew reads it anew. What a look finds is the
//! affair of the order's own saga, as if the carrier had told of it.

use std::collections::BTreeMap;

use aggregates::delivery::{Delivered, Delivery, DeliveryCanceled, DeliveryHeld};
use chrono::{DateTime, TimeDelta, Utc};
use eventstore::{Position, ReadError};
use uuid::Uuid;

use super::books;
use crate::execute::Aggregate;
use crate::fulfilment::Fulfilment;

/// After so long no van comes for it any more.
const WATCHED: TimeDelta = TimeDelta::days(7);

/// A parcel that was just called off is asked about after this time; then whenever its age has grown by a quarter.
const FIRST: TimeDelta = TimeDelta::minutes(10);

/// Looks at one go, so that a day of many cancels is no burst of questions.
const LOOKS_MAX: usize = 200;

/// Parcels that are looked after at a time. Beyond that the oldest are let go, of which the least is to be feared.
const PARCELS_MAX: usize = 200_000;

/// Pages of the log that are read at one go; a long log is caught up with little by little.
const PAGES_MAX: usize = 500;

/// Positions in a page.
const PAGE: usize = 1_000;

/// The parcels that were called off, and when to look at each.
pub struct CalledOff {
    fulfilment: Fulfilment,
    after: Option<Position>,
    parcels: BTreeMap<Uuid, Parcel>,
}

#[derive(Debug, Clone, Copy)]
struct Parcel {
    since: DateTime<Utc>,
    look_at: DateTime<Utc>,
}

impl Parcel {
    fn since(since: DateTime<Utc>) -> Self {
        let look_at = since + FIRST;
        Self { since, look_at }
    }

    /// After a look.
    fn seen(self, now: DateTime<Utc>) -> Self {
        let pause = ((now - self.since) / 4).max(FIRST);
        let look_at = now + pause;
        Self { look_at, ..self }
    }
}

impl CalledOff {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(fulfilment: Fulfilment) -> Self {
        Self {
            fulfilment,
            after: None,
            parcels: BTreeMap::new(),
        }
    }

    /// Has everything that is due looked at; how much that was.
    pub async fn look(&mut self, now: DateTime<Utc>) -> Result<usize, ReadError> {
        self.follow(now).await?;
        self.parcels
            .retain(|_, parcel| now - parcel.since < WATCHED);
        self.make_room();
        let due = self
            .parcels
            .iter_mut()
            .filter(|(_, parcel)| parcel.look_at <= now);
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(_, parcel)| parcel.look_at);
        due.truncate(LOOKS_MAX);
        let looks = due.len();
        for (order, parcel) in due {
            self.fulfilment.scanned(*order);
            *parcel = parcel.seen(now);
        }
        Ok(looks)
    }

    /// Reads on in the log.
    async fn follow(&mut self, now: DateTime<Utc>) -> Result<(), ReadError> {
        let store = self.fulfilment.store.clone();
        let mut after = match self.after {
            Some(after) => after,
            None => books::before(&store, now - WATCHED).await?,
        };
        for _ in 0..PAGES_MAX {
            let page = store
                .read_all(after, PAGE, Some(&Delivery::CATEGORY))
                .await?;
            for event in &page.events {
                self.note(event.stream.id, &event.event_type, event.recorded_at);
            }
            self.after = Some(page.next);
            if page.next == after {
                break;
            }
            after = page.next;
        }
        Ok(())
    }

    fn note(&mut self, order: Uuid, event_type: &str, at: DateTime<Utc>) {
        match event_type {
            DeliveryHeld::NAME | DeliveryCanceled::NAME => {
                self.parcels
                    .entry(order)
                    .or_insert_with(|| Parcel::since(at));
            }
            // One that left and whose sale a person let stand is looked for until it arrives: its saga is over.
            Delivered::NAME => {
                self.parcels.remove(&order);
            }
            _ => {}
        }
    }

    fn make_room(&mut self) {
        let beyond = self.parcels.len().saturating_sub(PARCELS_MAX);
        if beyond == 0 {
            return;
        }
        tracing::warn!(
            beyond,
            "too many parcels were called off to look after all of them"
        );
        let mut since: Vec<_> = self.parcels.values().map(|parcel| parcel.since).collect();
        since.sort_unstable();
        let oldest = since[beyond - 1];
        self.parcels.retain(|_, parcel| parcel.since > oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_is_asked_about_less_and_less_often_and_some_dozen_times_in_all() {
        let since = DateTime::UNIX_EPOCH;
        let (mut parcel, mut looks, mut pause) = (Parcel::since(since), 0, TimeDelta::zero());
        while parcel.look_at - since < WATCHED {
            let now = parcel.look_at;
            parcel = parcel.seen(now);
            assert!(parcel.look_at - now >= pause, "after {}", now - since);
            (looks, pause) = (looks + 1, parcel.look_at - now);
        }
        assert!((20..60).contains(&looks), "{looks}");
    }
}
