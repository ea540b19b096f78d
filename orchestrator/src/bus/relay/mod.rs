//! The relay: publishes the log, event by event and in order, to a stream of the broker.
//!
//! The message at sequence `n` of the stream is the event at position `n` of the log. Each publish demands that place, so the broker
//! itself keeps the stream free of gaps, repetitions and whatever a relay that was frozen says late, unless that is exactly the next
//! event. What strangers publish there is found by looking back. What was published is read off the stream, never off a note of our own:
//! a broker that was wiped or put back is filled again from where it stands.
//!
//! Of any number of processes one relays at a time, by a lease.

pub mod message;
mod pump;
mod reader;
mod resume;
pub mod status;
mod stream;
mod trouble;

use std::time::Duration;

use eventstore::EventStore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connection::Broker;
use crate::tenure::Tenure;
use status::{Phase, RelayStatus};
pub use stream::{StreamSettings, is_recent_enough};
use trouble::Trouble;

/// Names the lease and the bookmark of the relay.
pub const LEASE: &str = "relay";

/// How long another process waits after the relaying one has vanished, at most: a few renewals may be lost before.
const LEASE_TTL: Duration = Duration::from_secs(5);
/// How often a process that does not relay asks whether it should.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// After so long without getting on, whatever is in the way, it is another process's turn: perhaps its broker is another one.
const TROUBLE_MAX: Duration = Duration::from_secs(10);
/// How long a process that does not get on leaves the turn to the others: each of them asks in this time.
const LEAVE_TO_OTHERS: Duration = Duration::from_secs(2);
/// The wait after a failure doubles up to this.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// What a process has to be allowed to say to its broker, and to hear from it, to relay.
const NEEDED: [&str; 3] = [message::SUBJECT_PREFIX, "$JS.API.STREAM", "_INBOX"];

/// Publishes the log while it holds the lease.
pub struct Relay {
    store: EventStore,
    broker: Broker,
    settings: StreamSettings,
    owner: Uuid,
    status: RelayStatus,
}

impl Relay {
    /// A relay of this log to this broker.
    #[must_use]
    pub fn new(store: EventStore, broker: Broker, settings: StreamSettings) -> Relay {
        Relay {
            store,
            broker,
            settings,
            owner: Uuid::new_v4(),
            status: RelayStatus::default(),
        }
    }

    /// What it does, for whoever asks.
    #[must_use]
    pub fn status(&self) -> RelayStatus {
        self.status.clone()
    }

    /// Relays, or waits for its turn, until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.status.enter(Phase::Standby);
            // Who cannot reach the broker leaves the turn to a process that can.
            if !self.broker.is_connected() {
                self.connected(&stop).await;
                continue;
            }
            match Tenure::begin(&self.store, LEASE, self.owner, LEASE_TTL).await {
                Ok(Some(tenure)) => self.serve(tenure, &stop).await,
                Ok(None) => wait(ASK_AGAIN, &stop).await,
                Err(error) => {
                    self.status.trouble(&Trouble::Log(error));
                    wait(ASK_AGAIN, &stop).await;
                }
            }
        }
        self.status.enter(Phase::Standby);
    }

    /// Waits a while for the broker.
    async fn connected(&self, stop: &CancellationToken) {
        let mut connects = self.broker.connects();
        let changed = tokio::time::timeout(ASK_AGAIN, connects.changed());
        // However it ends, the caller looks.
        let _ = stop.run_until_cancelled(changed).await;
    }

    /// Relays as long as the lease lasts, again after each failure.
    async fn serve(&self, tenure: Tenure, stop: &CancellationToken) {
        tracing::info!(token = tenure.lease().token, "this process relays the log");
        let (mut pause, mut troubled) = (PAUSE_FIRST, None);
        loop {
            let mut begun = Instant::now();
            let (trouble, progressed) = self.attempt(&tenure, stop).await;
            let Some(trouble) = trouble else { break };
            if progressed || self.status.report().phase == Phase::Active {
                (troubled, begun) = (None, Instant::now());
            }
            self.status.trouble(&trouble);
            // An attempt that came to nothing was part of it.
            let since = *troubled.get_or_insert(begun);
            // Perhaps another process reaches a broker that does not answer this one.
            let leaves = trouble == Trouble::Silent || since.elapsed() >= TROUBLE_MAX;
            if tenure.is_over() || leaves || !self.broker.is_connected() {
                tenure.end().await;
                if leaves {
                    wait(LEAVE_TO_OTHERS, stop).await;
                }
                return;
            }
            if progressed {
                pause = PAUSE_FIRST;
            }
            wait(pause, stop).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        tenure.end().await;
    }

    /// Finds where to go on and goes on from there. Ends with what is in the way, or with nothing when told to stop.
    async fn attempt(&self, tenure: &Tenure, stop: &CancellationToken) -> (Option<Trouble>, bool) {
        let preparing = tenure.hold(self.prepare());
        let from = match stop.run_until_cancelled(preparing).await {
            None => return (None, false),
            Some(None) => return (Some(Trouble::TurnOver), false),
            Some(Some(Ok(from))) => from,
            Some(Some(Err(trouble))) => return (Some(self.named(trouble)), false),
        };
        let mut pump = pump::Pump::new(self, tenure, from);
        let ended = tenure.hold(pump.run(stop)).await;
        let ended = ended.unwrap_or(Err(Trouble::TurnOver));
        let trouble = ended.err().map(|trouble| self.named(trouble));
        (trouble, pump.acked() != from)
    }

    /// To what a broker does not permit it answers nothing, and says so beside.
    fn named(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Silent => self
                .broker
                .denied(&NEEDED)
                .map_or(Trouble::Silent, Trouble::NotPermitted),
            other => other,
        }
    }

    /// Nothing is changed of a stream that is not a copy of this log: its messages might go by what is said here.
    async fn prepare(&self) -> Result<eventstore::Checkpoint, Trouble> {
        let info = stream::find(&self.broker, &self.settings).await?;
        let resumed = resume::resume(&self.store, &self.broker, &info).await;
        if let Err(Trouble::Diverged(_)) = &resumed {
            let unlike = stream::unlike(&self.settings, &info.config);
            self.status.differences(&unlike);
        }
        let (from, acknowledged) = resumed?;
        let left = stream::set_right(&self.broker, &self.settings, &info.config).await?;
        self.status.differences(&left);
        if from.position < acknowledged {
            self.status.forgotten(from.position, acknowledged);
        }
        Ok(from)
    }
}

async fn wait(time: Duration, stop: &CancellationToken) {
    let _ = stop.run_until_cancelled(sleep(time)).await;
}
