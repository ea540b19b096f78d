//! The connection of a process to its broker.

use std::time::Duration;

use super::nats::{NatsServer, Release};
use super::proxy::{Proxy, Weather};
use super::{connect, eventually};

#[tokio::test]
async fn a_broker_that_is_away_stops_nobody_from_starting_and_is_found_when_it_comes() {
    let mut server = NatsServer::stopped(Release::New);
    let broker = connect(&server.url()).await;
    assert!(!broker.is_connected());
    assert_eq!(broker.server_version(), None);
    server.launch();
    eventually("it is connected", async || broker.is_connected()).await;
    assert!(broker.server_version().is_some());
}

#[tokio::test]
async fn a_connection_comes_back_after_a_crash_and_says_that_it_is_new() {
    for release in Release::EACH {
        let mut server = NatsServer::start(release);
        let broker = connect(&server.url()).await;
        let mut connects = broker.connects();
        connects
            .wait_for(|count| *count == 1)
            .await
            .expect("it lives");
        server.kill();
        eventually("the loss is noticed", async || !broker.is_connected()).await;
        server.launch();
        connects
            .wait_for(|count| *count == 2)
            .await
            .expect("it lives");
        assert!(broker.is_connected());
    }
}

#[tokio::test]
async fn a_cut_cable_is_noticed_although_nobody_says_so() {
    let server = NatsServer::start(Release::New);
    let proxy = Proxy::start(server.address()).await;
    let broker = connect(&format!("nats://{}", proxy.address())).await;
    eventually("it is connected", async || broker.is_connected()).await;
    proxy.set(Weather::Cut);
    eventually("the loss is noticed", async || !broker.is_connected()).await;
    proxy.set(Weather::Fair);
    eventually("it is connected again", async || broker.is_connected()).await;
}

#[tokio::test]
async fn torn_and_slow_connections_are_made_again_and_used() {
    let server = NatsServer::start(Release::New);
    let proxy = Proxy::start(server.address()).await;
    let broker = connect(&format!("nats://{}", proxy.address())).await;
    let mut connects = broker.connects();
    connects
        .wait_for(|count| *count == 1)
        .await
        .expect("it lives");
    proxy.reset();
    connects
        .wait_for(|count| *count == 2)
        .await
        .expect("it lives");
    proxy.set(Weather::Slow(Duration::from_millis(50)));
    broker.client().flush().await.expect("it answers, if late");
}
