//! However the roles are shared out between two processes, the two are a whole shop.

use eventstore::testing::TestDatabase;
use futures_util::StreamExt;
use reqwest::Client;
use serde_json::Value;

use super::crew::setup;
use crate::broker::nats::{NatsServer, Release};
use crate::broker::published::Published;
use crate::soak;
use crate::town::{Answer, Customers, STUCK, Setup, Town, is_done, order, until};

const ROLES: [&str; 4] = ["api", "worker", "projector", "relay"];

/// Without order, as it does not matter which of the two is called the first.
const SPLITS: usize = 7;

/// Shops at once: on a machine of two cores more of them would only wait for each other.
const AT_ONCE: usize = 3;

/// The roles of the one and of the other. The last role is always the other's, so that no split comes twice.
fn splits() -> Vec<[String; 2]> {
    let mine = 1..1_u32 << (ROLES.len() - 1);
    let split = |mine: u32| {
        [1_u32, 0].map(|whose| {
            let roles = (0_u32..).zip(ROLES);
            let roles = roles.filter(|(nth, _)| (mine >> *nth) & 1 == whose);
            roles.map(|(_, role)| role).collect::<Vec<_>>().join(",")
        })
    };
    mine.map(split).collect()
}

/// Waits until the document at this address is as wanted.
async fn shows(http: &Client, url: &str, wanted: impl Fn(&Value) -> bool) {
    until(url, STUCK, async || {
        let answer = http.get(url).send().await.ok()?;
        wanted(&Answer::of(answer).await.body).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mix_of_roles_is_a_whole_shop_with_a_process_that_has_the_others() {
    for broker in soak::brokers(Release::Old) {
        // Only the world outside is shared: each shop has a log and a broker of its own.
        let town = Town::open(setup()).await;
        let splits = splits();
        assert_eq!(splits.len(), SPLITS, "{splits:?}");
        futures_util::stream::iter(splits)
            .for_each_concurrent(AT_ONCE, |roles| is_a_whole_shop(&town, broker, roles))
            .await;
    }
}

async fn is_a_whole_shop(town: &Town, broker: Release, roles: [String; 2]) {
    let (database, nats) = (TestDatabase::create(), NatsServer::start(broker));
    let mut both = roles.each_ref().map(|roles| {
        let setup = Setup {
            database: Some(database.url()),
            nats: Some(nats.url()),
            ..setup().shop(&["--roles", roles])
        };
        town.another(&setup)
    });
    let [one, other] = &mut both;
    tokio::join!(one.start(&town.http), other.start(&town.http));
    let url = &both[usize::from(roles[1].contains("api"))].url;
    // In the books of the world outside no two shops have the same order.
    let (key, door) = (roles.join("+"), Customers::of(&town.http, url));
    let placed = door.place(&key, &order("ok")).await.expect("an answer");
    assert_eq!(placed.status, 201, "{key}: {placed:?}");
    let id = placed.order();
    shows(&town.http, &format!("{url}/orders/{id}"), |order| {
        order["status"] == "Shipped"
    })
    .await;
    shows(&town.http, &format!("{url}/sagas/{id}"), |saga| {
        is_done(saga, "notify")
    })
    .await;
    shows(&town.http, &format!("{url}/mypages/{id}"), |row| {
        row["delivery"]["status"] == "Shipped"
    })
    .await;
    assert_eq!(town.effects(&id).await, ["charge", "ship"], "{key}");
    let published = Published::at(database.url(), &nats.url()).await;
    let (messages, _) = published.is_the_log().await;
    for subject in ["order.Ordered", "payment.Paid", "delivery.Shipped"] {
        let subject = format!("bookmarket.events.{subject}");
        let told = messages.iter().filter(|it| it.subject == subject);
        assert_eq!(told.count(), 1, "{key}: {subject}");
    }
}
