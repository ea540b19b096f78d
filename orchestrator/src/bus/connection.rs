//! The one connection of this process to its broker. It is kept up for as long as the process runs: a broker that is away stops
//! nobody from starting, and comes back without anybody asking.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, ClientError, ConnectOptions, Event, ServerError, jetstream};
use secrecy::ExposeSecret as _;
use tokio::sync::watch;

use super::denials::{Denials, Denied};
use crate::config::ConfigError;
use crate::config::broker::{BrokerTarget, Login};

/// A server that does not answer by then is taken for down, and the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A silent server is asked for a sign of life this often; two that are not answered end the connection.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a question to the broker may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The wait between two attempts to connect doubles up to this.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Publishes that may wait for an answer at once; whoever wants more waits for a place.
const ACKS_IN_FLIGHT: usize = 8192;

/// The connection to the broker; clones share it.
#[derive(Clone, Debug)]
pub struct Broker {
    client: Client,
    jetstream: jetstream::Context,
    events: Arc<Events>,
}

/// What happened to the connection so far.
#[derive(Debug)]
struct Events {
    /// How often it was made; grows with each.
    connects: watch::Sender<u64>,
    slow_consumers: AtomicU64,
    /// Whether the present outage has been told: once is enough, however many attempts fail.
    away_told: AtomicBool,
    denials: Mutex<Denials>,
}

impl Broker {
    /// Begins to connect and goes on trying for ever, also after the first attempt. `name` is what the broker's operators see.
    pub async fn connect(target: &BrokerTarget, name: &str) -> Result<Broker, ConfigError> {
        let events = Arc::new(Events {
            connects: watch::Sender::new(0),
            slow_consumers: AtomicU64::new(0),
            away_told: AtomicBool::new(false),
            denials: Mutex::default(),
        });
        metrics::gauge!("bookmarket_broker_connected").set(0.0);
        let seen = Arc::clone(&events);
        let options = ConnectOptions::new()
            .name(name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .reconnect_delay_callback(retry_after)
            .event_callback(move |event| {
                seen.note(&event);
                std::future::ready(())
            });
        let options = match &target.login {
            Login::None => options,
            Login::Token(token) => options.token(token.expose_secret().to_owned()),
            Login::User(user, password) => {
                options.user_and_password(user.clone(), password.expose_secret().to_owned())
            }
        };
        let unusable = |error: async_nats::ConnectError| {
            ConfigError::Unusable(format!("the broker cannot be connected to: {error}"))
        };
        let client = options.connect(&target.servers).await.map_err(unusable)?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(ACKS_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Broker {
            client,
            jetstream,
            events,
        })
    }

    /// For plain messages: questions to participants, hints.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// For stored messages.
    #[must_use]
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Whether the broker is there now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Changes with every new connection. What the broker knew before may be gone then.
    #[must_use]
    pub fn connects(&self) -> watch::Receiver<u64> {
        self.events.connects.subscribe()
    }

    /// How many times messages were dropped because this process read too slowly.
    #[must_use]
    pub fn slow_consumers(&self) -> u64 {
        self.events.slow_consumers.load(Ordering::Relaxed)
    }

    /// What the broker has just not let this process do, of what begins with one of these: why nobody answers, in words.
    pub(super) fn denied(&self, families: &[&str]) -> Option<String> {
        let denials = self.events.denials.lock();
        let denials = denials.unwrap_or_else(PoisonError::into_inner);
        let lately = denials.lately(families, Instant::now());
        lately.map(Denied::to_string)
    }

    /// Version of the server it is or was connected to.
    #[must_use]
    pub fn server_version(&self) -> Option<String> {
        let version = self.client.try_server_info()?.version;
        Some(version).filter(|version| !version.is_empty())
    }
}

impl Events {
    fn note(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(error)) = event
            && let Some(denied) = Denied::read(error)
        {
            self.refused(denied);
            return;
        }
        match event {
            Event::Connected => {
                self.away_told.store(false, Ordering::Relaxed);
                metrics::gauge!("bookmarket_broker_connected").set(1.0);
                metrics::counter!("bookmarket_broker_connects_total").increment(1);
                self.connects.send_modify(|count| *count += 1);
                tracing::info!("connected to the broker");
            }
            Event::Disconnected => {
                metrics::gauge!("bookmarket_broker_connected").set(0.0);
                self.tell_away(event);
            }
            // By ourselves: a broker that is away is tried for ever.
            Event::Closed => metrics::gauge!("bookmarket_broker_connected").set(0.0),
            Event::SlowConsumer(_) | Event::ServerError(ServerError::SlowConsumer(_)) => {
                self.slow_consumers.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("bookmarket_broker_slow_consumers_total").increment(1);
                tracing::warn!(
                    "the broker's messages came faster than they were read: some were dropped"
                );
            }
            Event::ClientError(ClientError::Other(_)) => self.tell_away(event),
            Event::ServerError(_) | Event::ClientError(_) => {
                metrics::counter!("bookmarket_broker_errors_total").increment(1);
                tracing::warn!(%event, "the broker reports an error");
            }
            Event::LameDuckMode | Event::Draining => {
                tracing::info!(%event, "the broker is about to stop")
            }
        }
    }

    /// Once is enough, however many messages are refused.
    fn refused(&self, denied: Denied) {
        metrics::counter!("bookmarket_broker_denials_total").increment(1);
        let denials = self.denials.lock();
        let mut denials = denials.unwrap_or_else(PoisonError::into_inner);
        let told = denied.to_string();
        if denials.note(denied, Instant::now()) {
            tracing::warn!(trouble = told, "the broker refuses what this process says");
        }
    }

    fn tell_away(&self, event: &Event) {
        if !self.away_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(%event, "the broker is away; trying again until it is back");
        }
    }
}

fn retry_after(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = RETRY_FIRST
        .saturating_mul(2_u32.saturating_pow(doublings.min(16)))
        .min(RETRY_MAX);
    // The clients of a broker that comes back must not all arrive at once.
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_between_attempts_grows_and_is_bounded() {
        for attempt in 0..100 {
            let wait = retry_after(attempt);
            assert!(
                wait >= RETRY_FIRST / 2 && wait <= RETRY_MAX,
                "{attempt}: {wait:?}"
            );
        }
        assert!(retry_after(100) >= RETRY_MAX / 2);
    }
}
