//! The answer of `log_append`, taken apart per append.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::fault;
use crate::error::AppendError;
use crate::event::Appended;
use crate::position::{Position, Version};
use crate::request::Pending;

/// What happened to a batch that was committed, per append as laid out in `encode`.
#[derive(Debug)]
pub(super) struct Reply {
    recorded_at: DateTime<Utc>,
    befores: Vec<i64>,
    failed: Vec<i32>,
    versions: Vec<i64>,
}

impl Reply {
    pub(super) fn of(row: &Row) -> Result<Reply, String> {
        let text = |e: tokio_postgres::Error| fault::describe(&e);
        Ok(Reply {
            recorded_at: row.try_get(0).map_err(text)?,
            befores: row.try_get(1).map_err(text)?,
            failed: row.try_get(2).map_err(text)?,
            versions: row.try_get(3).map_err(text)?,
        })
    }

    /// The outcome of each append of the batch, in order.
    pub(super) fn outcomes(&self, batch: &[Pending]) -> Vec<Result<Appended, AppendError>> {
        let mut entry = 0;
        let mut outcomes = Vec::with_capacity(batch.len());
        for (append, (before, failed)) in batch.iter().zip(self.befores.iter().zip(&self.failed)) {
            let versions = &self.versions[entry..entry + append.streams.len()];
            let outcome = match usize::try_from(*failed) {
                Ok(nth) if nth > 0 => {
                    let wrong = &append.streams[nth - 1 - entry];
                    let actual = Version(versions[nth - 1 - entry]);
                    Err(AppendError::Conflict {
                        stream: wrong.stream.clone(),
                        expected: wrong.expected,
                        actual,
                    })
                }
                _ => Ok(Appended {
                    first: Position(before + 1),
                    last: Position(before + append.event_count() as i64),
                    versions: versions.iter().copied().map(Version).collect(),
                    recorded_at: self.recorded_at,
                }),
            };
            outcomes.push(outcome);
            entry += append.streams.len();
        }
        outcomes
    }
}
