//! A broker that is there, answers, and stores nothing: the shop does without, as it would if there were none.

use futures_util::StreamExt;

use super::crew::{Crew, all_told, counted, ordering};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::on_each_release;
use crate::soak::size;
use crate::storm::{crowd, judged};
use crate::town::Answer;

async fn ships_all_the_same(nats: NatsServer) {
    let mut crew = Crew::open(nats, super::crew::setup()).await;
    for roles in ["worker", "projector", "relay"] {
        crew.hire(roles).await;
    }
    let orders = size(200);
    let doors = crew.doors();
    let placing = crowd(orders, move |nth| ordering(doors.clone(), nth, nth));
    let replies = placing.concat().await;
    all_told(&crew, orders).await;
    // Whoever runs it is told, by every process that publishes or pulls.
    for url in [&crew.town.shop.url, &crew.members[0].process.url] {
        let ready = crew.town.http.get(format!("{url}/readyz")).send().await;
        let ready = Answer::of(ready.expect("an answer")).await;
        assert_eq!(ready.status, 200, "{ready:?}");
        let wakeups = &ready.body["broker"]["wakeups"];
        assert_eq!(wakeups["usable"], false, "{ready:?}");
        assert!(wakeups["trouble"].is_string(), "{ready:?}");
        let usable = counted(&crew.town.http, url, "bookmarket_wakeups_usable", &[]);
        assert!(usable.await < 0.5);
    }
    let lines = crew.members[0].process.lines();
    let told = lines.matches("wake-ups do not get through").count();
    assert!((1..=3).contains(&told), "told {told} times:\n{lines}");
    judged(&crew.town, replies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_jetstream_keeps_no_order_from_being_shipped() {
    let mut nats = NatsServer::stopped(Release::New);
    nats.launch_with_jetstream(false);
    ships_all_the_same(nats).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_room_keeps_no_order_from_being_shipped() {
    on_each_release(async |release| {
        let mut nats = NatsServer::stopped(release);
        nats.launch_with_room("1MB");
        ships_all_the_same(nats).await;
    })
    .await;
}
