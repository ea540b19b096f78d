//! A broker that does not let a process publish wake-ups, and says so where nobody waits for an answer.

use orchestrator::bus::wakeups::Wakeups;
use orchestrator::saga::dispatch::Wakeup;
use uuid::Uuid;

use super::carriers::{LIMITS, carries, connected, takes};
use crate::broker::nats::{MAY_NOT_PUBLISH, NatsServer, USERS};
use crate::broker::{PATIENCE, on_each_release};
use crate::town::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_a_queue_lacks_is_named_and_nothing_is_taken_until_it_is_given() {
    on_each_release(async |release| {
        let mut nats = NatsServer::stopped(release);
        nats.launch_with_users(USERS);
        let broker = connected(&nats.url_of(MAY_NOT_PUBLISH)).await;
        let wakeups = Wakeups::jetstream(broker, None, LIMITS);
        takes(&wakeups).await;
        // The first one is believed to get there.
        assert!(wakeups.publish(Wakeup::of(Uuid::now_v7())));
        let standing = wakeups.standing().expect("a broker's");
        until("it is named", PATIENCE, async || {
            let trouble = standing.report().trouble?;
            let named = trouble.contains("not permitted")
                && trouble.contains("Publish to bookmarket.wakeups.>");
            named.then_some(())
        })
        .await;
        assert!(!wakeups.publish(Wakeup::of(Uuid::now_v7())));
        nats.kill();
        // Whoever comes may do anything.
        nats.launch_with_users("");
        takes(&wakeups).await;
        carries(&wakeups, &wakeups.clone()).await;
    })
    .await;
}
