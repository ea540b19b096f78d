//! Where to go on: after the last message of the stream, once that is known to be an event of this log.

use async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use eventstore::{Checkpoint, EventStore, Position, ReadError};

use super::LEASE;
use super::message::{STREAM, checkpoint_of};
use super::trouble::Trouble;
use crate::bus::connection::Broker;

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
    if let Some(found) = last_message(broker, sequence).await? {
        return continues(store, last, found).await;
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
        .map(eventstore::RecordedEvent::checkpoint)
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

/// Whether the broker still has, where it acknowledged an event, that event. Where there is nothing any more it has gone by age.
pub(super) async fn still_has(broker: &Broker, acked: Checkpoint) -> Result<(), Trouble> {
    let Some(sequence) = u64::try_from(acked.position.0).ok().filter(|it| *it > 0) else {
        return Ok(());
    };
    match last_message(broker, sequence).await? {
        None => Ok(()),
        Some(found) if found == Some(acked) => Ok(()),
        Some(_) => Err(Trouble::Diverged(format!(
            "its message {sequence} is not the event that it acknowledged"
        ))),
    }
}

/// `None`: there is no message any more. `Some(None)`: there is one, of somebody else.
async fn last_message(
    broker: &Broker,
    sequence: u64,
) -> Result<Option<Option<Checkpoint>>, Trouble> {
    let stream = broker.jetstream().get_stream_no_info(STREAM).await;
    let stream = stream.map_err(|error| Trouble::Refused(error.to_string()))?;
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(checkpoint_of(&message.headers))),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(answer) => Err(Trouble::of_answer(&answer)),
            _ => Err(Trouble::Refused(error.to_string())),
        },
    }
}
