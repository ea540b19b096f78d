//! Brokers of releases that know less than the relay wants, or too little.

use std::net::SocketAddr;

use async_nats::jetstream::stream::Compression;
use eventstore::testing::TestLog;
use orchestrator::bus::relay::Relay;
use orchestrator::bus::relay::status::Phase;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::world::{World, settings};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::{connect, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_broker_ignores_is_told_and_what_a_new_one_knows_is_set() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let relay = world.relay(settings()).await;
        eventually("it relays", async || {
            relay.status.report().phase == Phase::Active
        })
        .await;
        let differences = relay.status.report().differences;
        // The relay's connection is another than the one that is asked here.
        eventually("a broker", async || world.client.is_connected()).await;
        // Whatever release the system's package is of.
        let version = world.client.server_version().expect("a version");
        let compresses = !version.starts_with("2.9.");
        let told = differences
            .iter()
            .any(|line| line.starts_with("compression"));
        assert_eq!(told, !compresses, "{version}: {differences:?}");
        assert!(!compresses || differences.is_empty(), "{differences:?}");
        relay.stop().await;
    }
}

/// The relay reads back what the broker has taken with each connection.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_broker_ignored_is_set_once_it_is_replaced_by_a_new_one() {
    let mut server = NatsServer::start(Release::Old);
    let world = World::new(TestLog::postgres(), &server.url()).await;
    let relay = world.relay(settings()).await;
    world.append(100).await;
    world.is_the_log().await;
    eventually("it relays", async || {
        relay.status.report().phase == Phase::Active
    })
    .await;
    let differences = relay.status.report().differences;
    let version = world.client.server_version().expect("a version");
    // Whatever release the system's package is of.
    let ignores = version.starts_with("2.9.");
    assert_eq!(
        !differences.is_empty(),
        ignores,
        "{version}: {differences:?}"
    );
    server.kill();
    world.append(100).await;
    server.launch_as(Release::New);
    // Everything that was there is there, and what came meanwhile.
    world.is_the_log().await;
    eventually("it relays, and nothing is left to tell", async || {
        let report = relay.status.report();
        report.phase == Phase::Active && report.differences.is_empty()
    })
    .await;
    let config = world.info().await.expect("a stream").config;
    assert_eq!(config.compression, Some(Compression::S2));
    world.append(100).await;
    world.is_the_log().await;
    assert_eq!(relay.status.report().rewinds, 0);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_a_release_that_is_too_old_is_named() {
    let address = old_broker("2.8.4").await;
    let log = TestLog::postgres();
    let store = log.open().await;
    let broker = connect(&format!("nats://{address}")).await;
    let relay = Relay::new(store, broker, settings());
    let (status, stop) = (relay.status(), CancellationToken::new());
    let running = tokio::spawn(relay.run(stop.clone()));
    eventually("it is named", async || {
        status.report().trouble == Some("broker-too-old")
    })
    .await;
    let detail = status.report().detail.unwrap_or_default();
    assert!(
        detail.contains("2.8.4") && detail.contains("2.9"),
        "{detail}"
    );
    stop.cancel();
    running.await.expect("no panic");
}

/// Whatever connects here is told that this is a broker of that version. It answers nothing else but signs of life.
async fn old_broker(version: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let greeting = json!({
                    "server_id": "OLD", "server_name": "old", "version": version, "go": "go1.17", "proto": 1,
                    "host": "127.0.0.1", "port": address.port(), "headers": true, "max_payload": 1_048_576, "jetstream": true,
                });
                drop(
                    write
                        .write_all(format!("INFO {greeting}\r\n").as_bytes())
                        .await,
                );
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "PING" {
                        drop(write.write_all(b"PONG\r\n").await);
                    }
                }
            });
        }
    });
    address
}
