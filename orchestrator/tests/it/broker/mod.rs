//! Everything that needs a real broker, each test with servers of its own: the oldest NATS that is supported and a recent one.

pub(crate) mod cluster;
mod connection;
mod hints;
pub(crate) mod nats;
pub(crate) mod proxy;
pub(crate) mod published;
pub(crate) mod python;
mod relay;
mod releases;
mod steps;
mod workers;

use std::time::Duration;

use orchestrator::bus::connection::Broker;
use orchestrator::config::broker::BrokerTarget;
use secrecy::SecretString;

use nats::Release;

/// How long a test waits for something that happens by itself. Only something that is stuck takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The connection of a process to a broker.
pub(crate) async fn connect(url: &str) -> Broker {
    let target = BrokerTarget::parse(&SecretString::from(url.to_owned())).expect("a URL");
    Broker::connect(&target, "test")
        .await
        .expect("a connection")
}

/// Runs a test on each release of the broker, at once: most of it is waiting.
pub(crate) async fn on_each_release(test: impl AsyncFn(Release)) {
    let [old, new] = Release::EACH;
    tokio::join!(Box::pin(test(old)), Box::pin(test(new)));
}

/// Waits until it is so, and says what is awaited if it never is.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !so().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
