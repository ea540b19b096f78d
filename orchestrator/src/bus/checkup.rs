//! What a broker is found to be by somebody who only looks. Nothing is made there.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamErrorKind, RequestErrorKind};
use async_nats::jetstream::response::Response;
use tokio::time::timeout;

use super::connection::Broker;
use super::jetstream::STREAM as WAKEUPS;
use super::relay::is_recent_enough;
use super::relay::message::STREAM as EVENTS;

/// A broker as it was found.
#[derive(Debug)]
pub enum Checkup {
    /// It does not let us in or does not answer.
    Away,
    /// It lacks what the relay stands on; its version.
    TooOld(String),
    /// It stores nothing for us.
    Useless {
        /// As it says itself.
        version: String,
        /// Why.
        reason: String,
    },
    /// It is as it should be.
    Usable {
        /// As it says itself.
        version: String,
        /// What is in each stream, nothing where there is none yet, or why that cannot be told.
        streams: Vec<(&'static str, Result<Option<Kept>, String>)>,
    },
}

/// What is in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Messages in it.
    pub messages: u64,
    /// Servers that keep it.
    pub copies: usize,
    /// Those of them that are away or have not got all of it.
    pub behind: usize,
}

/// Looks at a broker that was just connected to; whoever does not answer in this time is away.
pub async fn look(broker: &Broker, patience: Duration) -> Checkup {
    let mut connects = broker.connects();
    let connected = connects.wait_for(|connects| *connects > 0);
    if !matches!(timeout(patience, connected).await, Ok(Ok(_))) {
        return Checkup::Away;
    }
    let version = broker.server_version().unwrap_or_default();
    if !is_recent_enough(broker) {
        return Checkup::TooOld(version);
    }
    if let Err(reason) = stores(broker).await {
        return Checkup::Useless { version, reason };
    }
    let mut streams = Vec::new();
    for stream in [EVENTS, WAKEUPS] {
        streams.push((stream, kept(broker, stream).await));
    }
    Checkup::Usable { version, streams }
}

/// Whether there is room for us at all. What else is said of it differs from release to release.
async fn stores(broker: &Broker) -> Result<(), String> {
    let account = broker.jetstream().request("INFO", &());
    let account: Result<Response<serde_json::Value>, _> = account.await;
    match account {
        Ok(Response::Ok(_)) => Ok(()),
        Ok(Response::Err { error }) => Err(error.to_string()),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            Err("it has no JetStream".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// `None`: there is no such stream.
async fn kept(broker: &Broker, stream: &str) -> Result<Option<Kept>, String> {
    let found = match broker.jetstream().get_stream(stream).await {
        Ok(found) => found,
        Err(error) => {
            return match error.kind() {
                GetStreamErrorKind::JetStream(answer)
                    if answer.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(error.to_string()),
            };
        }
    };
    let info = found.cached_info();
    let others = info.cluster.iter().flat_map(|cluster| &cluster.replicas);
    let behind = others.filter(|copy| copy.offline || !copy.current);
    Ok(Some(Kept {
        messages: info.state.messages,
        copies: info.config.num_replicas,
        behind: behind.count(),
    }))
}
