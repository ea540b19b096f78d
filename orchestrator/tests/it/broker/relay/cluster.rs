//! Three servers, everything on each of them.

use eventstore::testing::TestLog;
use orchestrator::bus::relay::StreamSettings;

use super::world::{World, settings};
use crate::broker::nats::{Cluster, Release};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_a_server_and_gets_it_back_misses_nothing() {
    for release in Release::EACH {
        let mut cluster = Cluster::start(release);
        let world = World::new(TestLog::postgres(), &cluster.url()).await;
        let copies = StreamSettings {
            replicas: 3,
            ..settings()
        };
        let relay = world.relay(copies).await;
        world.append(500).await;
        world.caught_up().await;
        let config = world.info().await.expect("a stream").config;
        assert_eq!(config.num_replicas, 3);
        for n in 0..3 {
            cluster.servers[n].kill();
            world.append(200).await;
            world.caught_up().await;
            cluster.servers[n].launch();
            world.append(100).await;
            world.caught_up().await;
        }
        world.is_the_log().await;
        assert_eq!(relay.status.report().rewinds, 0);
        relay.stop().await;
    }
}
