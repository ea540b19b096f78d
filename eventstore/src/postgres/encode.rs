//! A batch of appends as the flat arrays that `log_append` takes.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::codec::JsonIn;
use crate::request::Pending;
use crate::stream::StreamId;

/// `log_append`'s way to say that any version will do.
const ANY_VERSION: i64 = -1;

/// See `log_append` in the migrations for the meaning of each array. Indexes start at 1, as in SQL.
#[derive(Default)]
pub(super) struct Arrays<'a> {
    append_entries: Vec<i32>,
    entry_stream: Vec<i32>,
    entry_before: Vec<i64>,
    entry_events: Vec<i32>,
    expected: Vec<i64>,
    streams: Vec<Uuid>,
    categories: Vec<&'a str>,
    event_entry: Vec<i32>,
    event_offset: Vec<i32>,
    event_stream: Vec<Uuid>,
    event_category: Vec<&'a str>,
    event_ids: Vec<Uuid>,
    types: Vec<&'a str>,
    schema_versions: Vec<i16>,
    datas: Vec<JsonIn<'a>>,
    metadatas: Vec<JsonIn<'a>>,
}

impl<'a> Arrays<'a> {
    pub(super) fn of(batch: &'a [Pending]) -> Self {
        let mut arrays = Arrays::default();
        let mut places: HashMap<&StreamId, i32> = HashMap::with_capacity(batch.len());
        for append in batch {
            arrays.append_entries.push(int(append.streams.len()));
            for entry in &append.streams {
                let place = *places.entry(&entry.stream).or_insert_with(|| {
                    arrays.streams.push(entry.stream.id);
                    arrays.categories.push(entry.stream.category.as_str());
                    int(arrays.streams.len())
                });
                arrays.entry_stream.push(place);
                arrays.entry_before.push(arrays.event_ids.len() as i64);
                arrays.expected.push(
                    entry
                        .expected
                        .version()
                        .map_or(ANY_VERSION, |version| version.0),
                );
                arrays.entry_events.push(int(entry.events.len()));
                for (offset, event) in entry.events.iter().enumerate() {
                    arrays.event_entry.push(int(arrays.entry_stream.len()));
                    arrays.event_offset.push(int(offset + 1));
                    arrays.event_stream.push(entry.stream.id);
                    arrays.event_category.push(entry.stream.category.as_str());
                    arrays.event_ids.push(event.event_id);
                    arrays.types.push(&event.event_type);
                    arrays.schema_versions.push(event.schema_version);
                    arrays.datas.push(JsonIn(event.data.get()));
                    arrays.metadatas.push(JsonIn(event.metadata.get()));
                }
            }
        }
        arrays
    }

    /// The parameters after the appender's id, in the order of `log_append`.
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 16] {
        [
            &self.append_entries,
            &self.entry_stream,
            &self.entry_before,
            &self.entry_events,
            &self.expected,
            &self.streams,
            &self.categories,
            &self.event_entry,
            &self.event_offset,
            &self.event_stream,
            &self.event_category,
            &self.event_ids,
            &self.types,
            &self.schema_versions,
            &self.datas,
            &self.metadatas,
        ]
    }
}

/// Sizes of a batch are bounded far below `i32::MAX` by the limits on appends and batches.
fn int(size: usize) -> i32 {
    size as i32
}
