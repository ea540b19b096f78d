//! Where to go on: after the last message of the stream, once that is known to be an event of this log.

use std::error::Error;

use async_nats::jetstream::context::RequestError;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use eventstore::{Checkpoint, EventStore, Position, ReadError, RecordedEvent};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::LEASE;
use super::message::{STREAM, checkpoint_of};
use super::pump::IN_FLIGHT;
use super::trouble::Trouble;
use crate::bus::connection::Broker;

/// Messages that are asked for at once when looking back.
const LOOKS_AT_ONCE: usize = 64;

/// Finds the event after whose message the next one is to be published, and how far the broker is known to have come.
pub(super) async fn resume(
    store: &EventStore,
    broker: &Broker,
    info: &Info,
) -> Result<(Checkpoint, Position), Trouble> {
    let note = store.bookmark(LEASE).await?;
    let from = last_published(store, broker, info, note).await?;
    Ok((from, note.map_or(from.position, |note| note.position)))
}

async fn last_published(
    store: &EventStore,
    broker: &Broker,
    info: &Info,
    note: Option<Checkpoint>,
) -> Result<Checkpoint, Trouble> {
    let sequence = info.state.last_sequence;
    let last = i64::try_from(sequence)
        .map_err(|_| Trouble::Diverged("its sequence is beyond every log".to_owned()))?;
    if last == 0 {
        return Ok(Checkpoint::START);
    }
    if let Some(found) = message_at(broker, sequence).await? {
        let from = continues(store, last, found).await?;
        look_back(store, broker, note, from).await?;
        return Ok(from);
    }
    // The messages have gone by age or were purged, or there never were any: a stream may be made to begin anywhere, and strangers'
    // messages may be purged as well. That the events up to there were published, only the note says, so where it says less,
    // they are not left out without a word.
    match note {
        Some(note) if note.position.0 < last => {
            let known = note.position;
            Err(Trouble::Diverged(format!(
                "its message {last} is gone, and no relay of this log is known to have come further than {known}"
            )))
        }
        Some(note) if note.position.0 == last => continues(store, last, Some(note)).await,
        // It was put back, and what it held has gone since.
        Some(_) => event_at(store, last).await,
        None => match info.config.first_sequence {
            Some(first) if first > 1 => Err(Trouble::Diverged(format!(
                "its message {last} is gone, and it was made to begin at {first}"
            ))),
            // A log that was moved left its note behind, and nothing speaks against the stream being its own.
            _ => event_at(store, last).await,
        },
    }
}

/// The event of the log at the place of a message that is gone.
async fn event_at(store: &EventStore, last: i64) -> Result<Checkpoint, Trouble> {
    let page = store.read_all(Position(last - 1), 1, None).await?;
    page.events
        .first()
        .map(RecordedEvent::checkpoint)
        .ok_or_else(|| Trouble::Diverged(format!("it is at {last}, which the log has not reached")))
}

/// Checks that the log holds, at the place of the last message, the event that it says it is.
async fn continues(
    store: &EventStore,
    last: i64,
    found: Option<Checkpoint>,
) -> Result<Checkpoint, Trouble> {
    let Some(found) = found else {
        return Err(Trouble::Diverged(format!(
            "its message {last} was not published by a relay"
        )));
    };
    if found.position.0 != last {
        let position = found.position;
        return Err(Trouble::Diverged(format!(
            "its message {last} is the event at {position}"
        )));
    }
    match store.read_page(&found, 1).await {
        Ok(_) => Ok(found),
        Err(ReadError::CheckpointMismatch { .. }) => Err(Trouble::Diverged(format!(
            "its message {last} is another event than the log's"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Whether what may have been under way when the last relay ended is there, each event at its place: what it had not noted, and no more than
/// it sends at once. Where a stranger's message had taken the place of an event, that one was refused, and those after it were not.
async fn look_back(
    store: &EventStore,
    broker: &Broker,
    note: Option<Checkpoint>,
    last: Checkpoint,
) -> Result<(), Trouble> {
    let under_way = i64::try_from(IN_FLIGHT).unwrap_or(i64::MAX);
    let mut after = Position((last.position.0 - under_way).max(0));
    if let Some(note) = note.filter(|note| note.position <= last.position) {
        if note != Checkpoint::START && !published(broker, note).await? {
            goes_on_from(broker, note.position).await?;
        } else if note.position > after {
            after = note.position;
        }
    }
    let between = usize::try_from(last.position.0 - after.0 - 1).unwrap_or_default();
    if between == 0 {
        return Ok(());
    }
    let page = store.read_all(after, between, None).await?;
    let events = page.events.iter().map(RecordedEvent::checkpoint);
    let missing: Vec<Option<Position>> = stream::iter(events)
        .map(async |event| {
            let is_there = published(broker, event).await?;
            Ok::<_, Trouble>((!is_there).then_some(event.position))
        })
        .buffered(LOOKS_AT_ONCE)
        .try_collect()
        .await?;
    match missing.into_iter().flatten().last() {
        Some(missing) => is_before_the_first(broker, missing).await,
        None => Ok(()),
    }
}

/// Where the event that was noted last has gone by age or was purged, more may have gone that nobody knows to have been published.
async fn goes_on_from(broker: &Broker, noted: Position) -> Result<(), Trouble> {
    let first = super::stream::look(broker).await?.state.first_sequence;
    if i64::try_from(first).is_ok_and(|first| first <= noted.0 + 1) {
        return Ok(());
    }
    Err(Trouble::Diverged(format!(
        "its messages before {first} are gone, and no relay of this log is known to have come further than {noted}"
    )))
}

/// What has gone by age or was purged is missing from the stream's beginning on. Amid others somebody has taken it out, perhaps because it
/// was none of ours.
async fn is_before_the_first(broker: &Broker, missing: Position) -> Result<(), Trouble> {
    let state = super::stream::look(broker).await?.state;
    let place = u64::try_from(missing.0).unwrap_or_default();
    if place < state.first_sequence {
        return Ok(());
    }
    if place >= state.last_sequence {
        // It is another stream by now, or its servers have yet to agree.
        return Err(Trouble::Overtaken);
    }
    // A server that cannot read a message says the same as one that has none.
    if message_at(broker, place).await?.is_some() {
        return Err(Trouble::Overtaken);
    }
    Err(Trouble::Diverged(format!(
        "its message {missing} is missing"
    )))
}

/// Whether the broker still has the event that it acknowledged. Where there is nothing any more it has gone by age.
pub(super) async fn still_has(broker: &Broker, acked: Checkpoint) -> Result<(), Trouble> {
    if acked != Checkpoint::START {
        published(broker, acked).await?;
    }
    Ok(())
}

/// Whether the message at the place of an event is that event; `false`: there is none.
async fn published(broker: &Broker, event: Checkpoint) -> Result<bool, Trouble> {
    let place = event.position;
    let sequence = u64::try_from(place.0).unwrap_or_default();
    match message_at(broker, sequence).await? {
        None => Ok(false),
        Some(found) if found == Some(event) => Ok(true),
        Some(_) => Err(Trouble::Diverged(format!(
            "its message {place} is not the event at {place}"
        ))),
    }
}

/// `None`: there is no message any more. `Some(None)`: there is one, of somebody else.
async fn message_at(broker: &Broker, sequence: u64) -> Result<Option<Option<Checkpoint>>, Trouble> {
    let stream = broker.jetstream().get_stream_no_info(STREAM).await;
    let stream = stream.map_err(|error| Trouble::Refused(error.to_string()))?;
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(checkpoint_of(&message.headers))),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(answer) => Err(Trouble::of_answer(&answer)),
            _ => Err(error
                .source()
                .and_then(|source| source.downcast_ref::<RequestError>())
                .map_or_else(|| Trouble::Refused(error.to_string()), Trouble::of_request)),
        },
    }
}
