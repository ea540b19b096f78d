//! From recorded events to steps: which of them a view wants, decoded, and the rows they go to.

use std::collections::HashSet;

use aggregates::{Event, codec};
use eventstore::RecordedEvent;
use uuid::Uuid;

use crate::parking::{Parking, Refusal};
use crate::projection::{Facts, Keys, Projection};

/// An event of a view, decoded, with the rows it goes to.
pub(crate) struct Step {
    /// Which event of its page it is.
    pub(super) at: usize,
    pub(super) keys: Keys,
    pub(super) event: Result<Event, Refusal>,
}

/// The steps of a page, in their order.
pub(crate) struct Decoded {
    pub(crate) steps: Vec<Step>,
    /// The streams that this page broke.
    pub(crate) broken: Vec<Uuid>,
}

/// Picks and decodes the events of a view. `parking` is as it was before this page.
///
/// An undecodable event has no key that anybody knows, so its stream's id stands in, and with it the rest
/// of that stream is parked. What is left out of a key that is its stream's id is left out altogether.
pub(crate) fn decode<P: Projection>(events: &[RecordedEvent], parking: &Parking) -> Decoded {
    let mut broken = HashSet::new();
    let wanted = events
        .iter()
        .enumerate()
        .filter(|(_, event)| P::CATEGORIES.contains(&event.stream.category.as_str()));
    let steps = wanted.filter_map(|(at, recorded)| {
        let facts = Facts::of(recorded);
        let stream = facts.stream;
        if parking.skips(&facts, stream) {
            return None;
        }
        let routed = match parking.broken.contains(&stream) || broken.contains(&stream) {
            true => Err(Refusal::follows()),
            false => read::<P>(recorded, &facts),
        };
        let (keys, event) = match routed {
            Ok((Keys::None, _)) => return None,
            Ok((keys, event)) => (keys, Ok(event)),
            Err(refusal) => {
                if refusal.cause.breaks_stream() {
                    broken.insert(stream);
                }
                (Keys::One(stream), Err(refusal))
            }
        };
        Some(Step { at, keys, event })
    });
    Decoded {
        steps: steps.collect(),
        broken: broken.into_iter().collect(),
    }
}

/// The event and its keys, unless they are more than lists can tell apart.
pub(crate) fn read<P: Projection>(
    recorded: &RecordedEvent,
    facts: &Facts<'_>,
) -> Result<(Keys, Event), Refusal> {
    let event = codec::decode(
        &recorded.event_type,
        recorded.schema_version,
        &recorded.data,
    )?;
    let keys = P::keys(&event, facts);
    match keys.as_slice().len() {
        many if many > usize::from(P::ROWS_PER_EVENT) => Err(Refusal::unreadable(format!(
            "it belongs to {many} rows of the view, which allows {}",
            P::ROWS_PER_EVENT
        ))),
        _ => Ok((keys, event)),
    }
}

/// Which of several folds, that share the rows of a view among them by the hash of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    nth: usize,
    of: usize,
}

impl Part {
    /// The only one.
    pub(crate) const WHOLE: Self = Self { nth: 0, of: 1 };

    /// All parts of so many.
    pub(crate) fn all(of: usize) -> impl Iterator<Item = Self> {
        (0..of).map(move |nth| Self { nth, of })
    }

    /// Whether this part has the row of a key.
    pub(super) fn has(self, key: &Uuid) -> bool {
        self.of == 1 || owner(key, self.of) == self.nth
    }
}

/// The lower half of an id is random or a hash already.
fn owner(key: &Uuid, of: usize) -> usize {
    let (_, low) = key.as_u64_pair();
    usize::try_from(low % of as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part() {
        let parts: Vec<Part> = Part::all(4).collect();
        for key in (0..100).map(Uuid::from_u128) {
            assert_eq!(parts.iter().filter(|part| part.has(&key)).count(), 1);
            assert!(Part::WHOLE.has(&key));
        }
    }
}
