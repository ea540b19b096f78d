//! The pump: events out, acknowledgements in, both in the log's order.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use eventstore::{Checkpoint, Position, RecordedEvent};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use super::message::outgoing;
use super::reader::Pages;
use super::status::Phase;
use super::trouble::Trouble;
use super::{Relay, resume, stream};
use crate::tenure::Tenure;

/// Messages that are under way at once. One connection to a broker on the same machine is busy with a tenth of it; the rest is for
/// brokers that are further away. Whoever resumes looks back over as many: a build with fewer has to look back over these nevertheless.
pub(super) const IN_FLIGHT: usize = 512;
/// The same before the first is acknowledged. What is never answered, because the broker does not permit it, costs memory that the client
/// library does not give back.
const FIRST_IN_FLIGHT: usize = 1;
/// How often the place reached is written down.
const REMEMBER_EVERY: Duration = Duration::from_millis(500);
/// How often the broker is asked whether it still has what it has acknowledged.
const READ_BACK_EVERY: Duration = Duration::from_secs(5);
/// How long a relay that stops waits for the answers to what it has sent: half of what a process keeps for its workers to end in.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

type Ack = Pin<Box<dyn Future<Output = Result<PublishAck, PublishError>> + Send>>;

pub(super) struct Pump<'a> {
    relay: &'a Relay,
    tenure: &'a Tenure,
    connects: watch::Receiver<u64>,
    waiting: VecDeque<(Checkpoint, Ack)>,
    from: Checkpoint,
    acked: Checkpoint,
    remembered: Position,
}

impl<'a> Pump<'a> {
    pub(super) fn new(relay: &'a Relay, tenure: &'a Tenure, from: Checkpoint) -> Pump<'a> {
        Pump {
            relay,
            tenure,
            connects: relay.broker.connects(),
            waiting: VecDeque::with_capacity(IN_FLIGHT),
            from,
            acked: from,
            // Written down at once, as it may be less than what is.
            remembered: Position(-1),
        }
    }

    /// The last event that the broker has acknowledged.
    pub(super) fn acked(&self) -> Checkpoint {
        self.acked
    }

    /// Publishes until told to stop, or until something is in the way; the caller sees to it that it is this process's turn.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<(), Trouble> {
        let ended = self.pump(stop).await;
        if self.tenure.is_over() {
            return ended;
        }
        // However it ended: once the stream is emptied, nothing but this says how far it was filled.
        ended.and(self.remember().await)
    }

    async fn pump(&mut self, stop: &CancellationToken) -> Result<(), Trouble> {
        self.connects.borrow_and_update();
        // With nothing to publish, nothing can be seen to be in the way. Otherwise the first acknowledgement tells.
        if self.relay.store.head().await? == self.acked.position {
            self.relay.status.enter(Phase::Active);
        }
        let mut pages = Pages::after(self.relay.store.clone(), self.acked);
        let mut page = Vec::new().into_iter();
        let mut remember = every(REMEMBER_EVERY);
        let mut read_back = every(READ_BACK_EVERY);
        loop {
            while self.waiting.len() < self.at_once()
                && let Some(event) = page.next()
            {
                self.publish(&event).await?;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.take_in().await;
                    return Ok(());
                }
                _ = self.connects.changed() => return Err(Trouble::Reconnected),
                _ = remember.tick() => self.remember().await?,
                _ = read_back.tick() => self.read_back().await?,
                ack = first(&mut self.waiting), if !self.waiting.is_empty() => self.note(ack)?,
                next = pages.next(), if page.len() == 0 => page = next?.into_iter(),
            }
        }
    }

    fn at_once(&self) -> usize {
        if self.acked == self.from {
            FIRST_IN_FLIGHT
        } else {
            IN_FLIGHT
        }
    }

    async fn publish(&mut self, event: &RecordedEvent) -> Result<(), Trouble> {
        let message = outgoing(event, self.tenure.lease().token);
        let publish = PublishMessage::build()
            .headers(message.headers)
            .payload(message.payload);
        let jetstream = self.relay.broker.jetstream();
        let sent = jetstream.send_publish(message.subject, publish).await;
        let ack = sent.map_err(|error| Trouble::of_publish(&error, event.position.0))?;
        self.waiting
            .push_back((event.checkpoint(), ack.into_future()));
        Ok(())
    }

    /// Takes in the acknowledgement of the message that has waited longest.
    fn note(&mut self, ack: Result<PublishAck, PublishError>) -> Result<(), Trouble> {
        let Some((event, _)) = self.waiting.pop_front() else {
            return Ok(());
        };
        let position = event.position.0;
        let ack = ack.map_err(|error| Trouble::of_publish(&error, position))?;
        // A repetition that the broker has dropped is acknowledged with the place of the first.
        if i64::try_from(ack.sequence) != Ok(position) {
            let sequence = ack.sequence;
            return Err(Trouble::Diverged(format!(
                "the event at {position} is its message {sequence}"
            )));
        }
        self.acked = event;
        self.relay.status.published(event.position, ack.duplicate);
        Ok(())
    }

    /// Takes in the answers to what is under way, so that what is written down is not less than what the broker has stored. What is in
    /// the way of one is found again by whoever relays next.
    async fn take_in(&mut self) {
        let end = Instant::now() + LAST_ANSWERS;
        while !self.waiting.is_empty() {
            let answer = timeout_at(end, first(&mut self.waiting)).await;
            let Ok(true) = answer.map(|ack| self.note(ack).is_ok()) else {
                return;
            };
        }
    }

    /// Writes down how far it came. Whoever has lost the lease writes nothing.
    async fn remember(&mut self) -> Result<(), Trouble> {
        if self.acked.position == self.remembered {
            return Ok(());
        }
        let lease = self.tenure.lease();
        if !self.relay.store.set_bookmark(lease, self.acked).await? {
            return Err(Trouble::TurnOver);
        }
        self.remembered = self.acked.position;
        Ok(())
    }

    /// Asks the broker how far it is, and which event it has where it acknowledged the last one. It may be further than that, never
    /// less.
    async fn read_back(&mut self) -> Result<(), Trouble> {
        let info = stream::look(&self.relay.broker).await?;
        self.relay.status.fill(&info);
        let acknowledged = self.acked.position.0;
        let found = info.state.last_sequence;
        if i64::try_from(found).is_ok_and(|found| found < acknowledged) {
            return Err(Trouble::Forgotten {
                acknowledged,
                found,
            });
        }
        resume::still_has(&self.relay.broker, self.acked).await
    }
}

/// The outcome of the message that has waited longest; it stays in the queue.
async fn first(waiting: &mut VecDeque<(Checkpoint, Ack)>) -> Result<PublishAck, PublishError> {
    match waiting.front_mut() {
        Some((_, ack)) => ack.as_mut().await,
        None => std::future::pending().await,
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
