//! Bad weather between the processes of a shop and both of its servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use eventstore::testing::TestDatabase;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::crew::{
    ANSWERED_WITHIN, Crew, SLOW_IS_NOT_AWAY, all_told, at_most_once, business, effects, lost,
    more_than_once, ordering, setup,
};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::proxy::{Proxy, Weather};
use crate::soak::{self, length};
use crate::storm::{MENDED, crowd, judged_but_for_repeats};

/// Customers who order one after another.
const CUSTOMERS: usize = 8;

/// How long each kind of weather lasts.
const SPELL: Duration = Duration::from_secs(30);

/// What happens to connections. A reset comes between each and the next.
const KINDS: [Weather; 4] = [
    Weather::Slow(Duration::from_millis(100)),
    Weather::Held,
    Weather::Cut,
    Weather::HalfOpen,
];

/// Puts a proxy before the server of a URL.
async fn shelter(url: &str) -> (Proxy, String) {
    let mut url = reqwest::Url::parse(url).expect("a URL");
    let port = url.port().expect("a port");
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port))).await;
    url.set_port(Some(proxy.address().port())).expect("a port");
    (proxy, url.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_resets_cuts_and_half_open_connections_to_both_servers_lose_and_double_nothing() {
    for release in soak::brokers(Release::Old) {
        weathered(release).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn weathered(release: Release) {
    let (nats, database) = (NatsServer::start(release), TestDatabase::create());
    let (broker, to_broker) = shelter(&nats.url()).await;
    let (log, to_log) = shelter(&database.url()).await;
    let setup = setup().shop(&SLOW_IS_NOT_AWAY);
    let mut crew = Crew::behind(nats, database, to_log, to_broker, setup).await;
    for roles in ["worker", "worker", "projector", "relay"] {
        crew.hire(roles).await;
    }
    let (count, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let everybody = tokio::spawn({
        let (count, over, doors) = (Arc::clone(&count), Arc::clone(&over), crew.doors());
        let all = crowd(CUSTOMERS, move |nth| {
            let (count, over, doors) = (Arc::clone(&count), Arc::clone(&over), doors.clone());
            async move {
                let mut replies = Vec::new();
                for round in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = nth + CUSTOMERS * round;
                    replies.extend(ordering(doors.clone(), key, 0).await);
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                replies
            }
        });
        all.concat()
    });
    let mut spells = 0;
    for (proxy, is_broker) in [(&broker, true), (&log, false)] {
        for weather in KINDS {
            business(&count, CUSTOMERS, MENDED).await;
            proxy.set(weather);
            let over = Instant::now() + length(SPELL);
            if is_broker {
                // No order waits for it.
                business(&count, CUSTOMERS, 2 * ANSWERED_WITHIN).await;
            }
            tokio::time::sleep_until(over).await;
            proxy.set(Weather::Fair);
            business(&count, CUSTOMERS, MENDED).await;
            proxy.reset();
            spells += 2;
        }
    }
    over.store(true, Ordering::Relaxed);
    let replies = everybody.await.expect("everybody went home");
    let orders = replies.len();
    all_told(&crew, orders).await;
    let evidence = judged_but_for_repeats(&crew.town, replies).await;
    let stream = crew.published().await;
    println!(
        "figure: bad-weather broker={release} spells={spells} each={:?} orders={orders} lost={} double={} unkeyed-double={} stream-missing={} \
         stream-double={}",
        length(SPELL),
        lost(orders, &evidence.ledger),
        at_most_once(&evidence.ledger),
        more_than_once(&evidence.ledger, "send"),
        stream.missing,
        stream.double,
    );
    assert_eq!(at_most_once(&evidence.ledger), 0);
    assert_eq!(effects(&evidence.ledger, "charge").len(), orders);
    assert_eq!(lost(orders, &evidence.ledger), 0);
}
