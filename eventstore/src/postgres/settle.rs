//! Finding out what became of a batch whose reply was lost.
//!
//! The connection it was sent over may still be at work on the server. So its session is struck off first, under the lock of the
//! log's head: from then on the batch is either in the log or never will be, and looking for its event ids gives a final answer.
//! Striking off is a commit of its own; if a standby is waited for, it also waits for what was committed before.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Client;
use uuid::Uuid;

use super::fault;
use super::session::Session;
use crate::event::{Appended, StreamAppend};
use crate::position::{Position, Version};
use crate::request::Pending;

/// Settling is a few look-ups; past this the connection is taken for dead and everything starts over on the next one.
const TIMEOUT: Duration = Duration::from_secs(10);

const STRIKE_OFF: &str = "SELECT log_strike_off($1)";
const AT_VERSION: &str = "SELECT e.event_id, e.position FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS p (stream, category, version) \
     JOIN events e ON e.stream_id = p.stream AND e.category = p.category AND e.version = p.version";
const AFTER_POSITION: &str =
    "SELECT event_id, position FROM events WHERE position > $1 AND event_id = ANY ($2)";
const STORED: &str = "SELECT version, recorded_at FROM events WHERE position > $1 AND position <= $2 ORDER BY position";

/// A batch without a reply.
pub(super) struct Lost {
    /// The session it was sent over.
    pub(super) session: Uuid,
    /// The log reached at least here before it was sent, so its events come after.
    pub(super) after: Position,
    pub(super) batch: Vec<Pending>,
}

impl Lost {
    /// Nobody waits for any of it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.batch.iter().all(Pending::is_abandoned)
    }
}

/// For each append of the lost batch: what was stored, or `None` if it surely was not and never will be.
pub(super) async fn settle(
    session: &Session,
    lost: &Lost,
) -> Result<Vec<Option<Appended>>, String> {
    match tokio::time::timeout(TIMEOUT, look_up(session, lost)).await {
        Ok(outcome) => outcome
            .map_err(|e| fault::describe(&e))
            .and_then(|outcomes| {
                if session.link.take_warning() {
                    Err("the server warned".to_owned())
                } else {
                    Ok(outcomes)
                }
            }),
        Err(_) => Err("no reply in time".to_owned()),
    }
}

async fn look_up(
    session: &Session,
    lost: &Lost,
) -> Result<Vec<Option<Appended>>, tokio_postgres::Error> {
    let client = &session.link.client;
    client.execute(STRIKE_OFF, &[&lost.session]).await?;
    let found = find(client, lost).await?;
    let mut outcomes = Vec::with_capacity(lost.batch.len());
    for pending in &lost.batch {
        let probe = Probe::of(&pending.streams);
        let outcome = match found.get(&probe.event_id) {
            Some(position) => {
                Some(stored(client, pending, Position(position - probe.offset)).await?)
            }
            None => None,
        };
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// The positions of the probed events that are in the log.
async fn find(client: &Client, lost: &Lost) -> Result<HashMap<Uuid, i64>, tokio_postgres::Error> {
    let (mut streams, mut categories, mut versions, mut anywhere) =
        (vec![], vec![], vec![], vec![]);
    for pending in &lost.batch {
        let probe = Probe::of(&pending.streams);
        match probe.version {
            Some(version) => {
                streams.push(probe.entry.stream.id);
                categories.push(probe.entry.stream.category.as_str());
                versions.push(version.0);
            }
            None => anywhere.push(probe.event_id),
        }
    }
    let mut rows = client
        .query(AT_VERSION, &[&streams, &categories, &versions])
        .await?;
    if !anywhere.is_empty() {
        rows.extend(
            client
                .query(AFTER_POSITION, &[&lost.after.0, &anywhere])
                .await?,
        );
    }
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// What the caller would have been told about an append whose first event comes right after `before`.
async fn stored(
    client: &Client,
    pending: &Pending,
    before: Position,
) -> Result<Appended, tokio_postgres::Error> {
    let last = Position(before.0 + pending.event_count() as i64);
    let rows = client.query(STORED, &[&before.0, &last.0]).await?;
    let mut rows = rows.iter();
    let mut recorded_at = DateTime::<Utc>::MIN_UTC;
    let mut versions = Vec::with_capacity(pending.streams.len());
    for entry in &pending.streams {
        let mut version = entry.expected.version().unwrap_or(Version::ZERO);
        for row in rows.by_ref().take(entry.events.len()) {
            version = Version(row.get(0));
            recorded_at = row.get(1);
        }
        versions.push(version);
    }
    Ok(Appended {
        first: Position(before.0 + 1),
        last,
        versions,
        recorded_at,
    })
}

/// The event that shows whether an append is stored; any would do, since it is all or nothing.
struct Probe<'a> {
    entry: &'a StreamAppend,
    event_id: Uuid,
    /// Where in its stream it must be, if that is known.
    version: Option<Version>,
    /// How many places it comes after the position before the append's first event.
    offset: i64,
}

impl<'a> Probe<'a> {
    /// An event whose place in its stream is known, if there is one: an index leads to it.
    fn of(streams: &'a [StreamAppend]) -> Probe<'a> {
        let mut offset = 1;
        let mut any = None;
        for entry in streams {
            if let Some(first) = entry.events.first() {
                let version = entry.expected.version().map(Version::next);
                let probe = Probe {
                    entry,
                    event_id: first.event_id,
                    version,
                    offset,
                };
                if version.is_some() {
                    return probe;
                }
                any.get_or_insert(probe);
            }
            offset += entry.events.len() as i64;
        }
        any.expect("an append without events is refused before it is queued")
    }
}
