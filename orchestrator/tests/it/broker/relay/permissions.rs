//! A broker that lets a relay ask for everything and publish nothing.

use eventstore::testing::TestLog;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::losses::counted;
use super::world::{World, settings};
use crate::broker::nats::{MAY_DO_ALL, MAY_NOT_PUBLISH, NatsServer, Release, USERS};

#[tokio::test(flavor = "current_thread")]
async fn a_relay_that_may_not_publish_says_so_and_leaves_its_turn_to_one_that_may() {
    says_so_and_leaves_its_turn(Release::New).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_relay_that_may_not_publish_to_the_oldest_server_says_so_and_leaves_its_turn_to_one_that_may()
 {
    says_so_and_leaves_its_turn(Release::Old).await;
}

/// On one thread, so that everything is counted by the recorder of this test.
async fn says_so_and_leaves_its_turn(release: Release) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counts = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let mut server = NatsServer::stopped(release);
    server.launch_with_users(USERS);
    let world = World::new(TestLog::postgres(), &server.url_of(MAY_DO_ALL)).await;
    let barred = server.url_of(MAY_NOT_PUBLISH);
    let barred = world.relay_through(&barred, settings()).await;
    world.append(300).await;
    barred.troubled("not-permitted").await;
    let detail = barred.status.report().detail.unwrap_or_default();
    assert!(
        detail.contains("\"Publish to bookmarket.events.>\""),
        "{detail}"
    );
    // It tries with one message at a time: what nobody answers is never forgotten by the client.
    let denied = counted(&counts, "bookmarket_broker_denials_total", "");
    assert!((1..10).contains(&denied), "{denied}");
    let other = world.relay(settings()).await;
    world.is_the_log().await;
    // It is not told anything else for that another has its turn.
    let trouble = barred.status.report().trouble;
    assert_eq!(trouble, Some("not-permitted"));
    barred.stop().await;
    other.stop().await;
}
