//! A cluster of NATS servers of a test's own.

use std::sync::Mutex;

use orchestrator::bus::connection::Broker;

use super::PATIENCE;
use super::nats::{NatsServer, Release, START_TRIES};
use crate::ports::free_port;
use crate::town::until_or;

/// Three servers that keep everything three times.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<NatsServer>,
}

impl Cluster {
    /// Starts them.
    pub(crate) fn start(release: Release) -> Cluster {
        for _ in 0..START_TRIES {
            if let Some(cluster) = Cluster::try_start(release) {
                return cluster;
            }
        }
        panic!("no cluster of {release:?} servers starts");
    }

    /// Nothing where somebody took a port between the look and the bind.
    fn try_start(release: Release) -> Option<Cluster> {
        let routes = [(); 3].map(|()| free_port()).to_vec();
        let servers = (0..3).map(|n| {
            let mut server = NatsServer::stopped(release);
            server.name = Cluster::name_of(n);
            server.routes = Some((routes[n], routes.clone()));
            server
        });
        let mut cluster = Cluster {
            servers: servers.collect(),
        };
        let start = |server: &mut NatsServer| server.try_launch();
        cluster.servers.iter_mut().all(start).then_some(cluster)
    }

    /// What they call one of them.
    fn name_of(nth: usize) -> String {
        format!("n{nth}")
    }

    /// Waits until all of them keep a stream and none is behind, and says which of them leads it. If they never do, tells what they say of
    /// it.
    pub(crate) async fn kept_by_all(client: &Broker, stream: &str) -> usize {
        let last = Mutex::new(String::new());
        let stuck = || format!("not all keep {stream}: {last:?}");
        until_or(PATIENCE, stuck, async || {
            let found = client.jetstream().get_stream(stream).await;
            let found = found.map(|found| found.cached_info().cluster.clone());
            *last.lock().expect("nobody panicked") = format!("{found:?}");
            let cluster = found.ok()??;
            let others = cluster.replicas.iter();
            let current = others.filter(|other| other.current && !other.offline);
            let (current, leader) = (current.count(), cluster.leader?);
            let leads = |nth: &usize| leader == Cluster::name_of(*nth);
            (0..3).find(leads).filter(|_| current == 2)
        })
        .await
    }

    /// All of them, as a client is told.
    pub(crate) fn url(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }
}
