//! The answer of `log_append`, taken apart per append.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::fault;
use crate::error::AppendError;
use crate::event::{Appended, StreamAppend};
use crate::position::{Position, Version};
use crate::request::Pending;

/// What happened to a batch that was committed; see `log_append` in the migrations for the meaning of the arrays.
#[derive(Debug)]
pub(super) struct Reply {
    recorded_at: DateTime<Utc>,
    start: i64,
    base: Vec<i64>,
    place: Vec<i64>,
}

impl Reply {
    pub(super) fn of(row: &Row) -> Result<Reply, String> {
        let text = |e: tokio_postgres::Error| fault::describe(&e);
        Ok(Reply {
            recorded_at: row.try_get(0).map_err(text)?,
            start: row.try_get(1).map_err(text)?,
            base: row.try_get(2).map_err(text)?,
            place: row.try_get(3).map_err(text)?,
        })
    }

    /// The outcome of each append of the batch, in order.
    pub(super) fn outcomes(&self, batch: &[Pending]) -> Vec<Result<Appended, AppendError>> {
        let (mut base, mut place) = (self.base.as_slice(), self.place.as_slice());
        let mut outcomes = Vec::with_capacity(batch.len());
        for append in batch {
            let (own_base, rest_base) = base.split_at(append.streams.len());
            let (own_place, rest_place) = place.split_at(append.streams.len());
            (base, place) = (rest_base, rest_place);
            outcomes.push(match conflict(&append.streams, own_base, own_place) {
                Some(conflict) => Err(conflict),
                None => Ok(self.appended(append, own_base, own_place)),
            });
        }
        outcomes
    }

    fn appended(&self, append: &Pending, base: &[i64], place: &[i64]) -> Appended {
        let before = self.start + place.first().copied().unwrap_or(0);
        let versions = append
            .streams
            .iter()
            .zip(base)
            .map(|(entry, base)| Version(base + entry.events.len() as i64));
        Appended {
            first: Position(before + 1),
            last: Position(before + append.event_count() as i64),
            versions: versions.collect(),
            recorded_at: self.recorded_at,
        }
    }
}

/// The first stream that was not as expected, if the append was refused.
fn conflict(streams: &[StreamAppend], base: &[i64], actual: &[i64]) -> Option<AppendError> {
    if base.iter().all(|base| *base >= 0) {
        return None;
    }
    let entries = streams
        .iter()
        .zip(actual.iter().map(|actual| Version(*actual)));
    let mut wrong = entries.filter(|(entry, actual)| {
        entry
            .expected
            .version()
            .is_some_and(|expected| expected != *actual)
    });
    wrong.next().map(|(entry, actual)| AppendError::Conflict {
        stream: entry.stream.clone(),
        expected: entry.expected,
        actual,
    })
}
