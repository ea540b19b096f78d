//! New processes take the place of old ones, and nobody outside notices.

use std::net::TcpListener;
use std::sync::Arc;

use eventstore::testing::TestDatabase;
use rustix::process::Signal;

use super::clients::Clients;
use super::crew::NOBODY_IS_AWAY;
use crate::broker::nats::{NatsServer, Release};
use crate::broker::published::Published;
use crate::soak::{self, size};
use crate::storm::judged;
use crate::town::{Process, Setup, Town};

/// The new process takes over before the old one is told to go.
pub(super) async fn replace(old: &mut Process, mut new: Process, http: &reqwest::Client) {
    new.start(http).await;
    old.signal(Signal::TERM);
    let code = old.ended().await;
    assert_eq!(code, Some(0), "{}", old.lines());
    *old = new;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_every_process_is_replaced_again_and_again() {
    for release in soak::brokers(Release::New) {
        replaced_again_and_again(release).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn replaced_again_and_again(release: Release) {
    let rounds = size(5).max(1);
    let (database, nats) = (TestDatabase::create(), NatsServer::start(release));
    let setup = |roles: &str| {
        // No customer asks the others.
        let is_asked = roles == "api" || soak::is_on();
        let drain_delay = if is_asked { "1s" } else { "0s" };
        Setup {
            database: Some(database.url()),
            nats: Some(nats.url()),
            ..Setup::default().shop(&NOBODY_IS_AWAY).shop(&[
                "--roles",
                roles,
                "--drain-delay",
                drain_delay,
                "--payment-budget",
                "20s",
            ])
        }
    };
    let world = ["--simulated-handover-after", "1h"];
    let mut town = Town::open(setup("api").world(&world)).await;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").expect("an address"));
    let api = |town: &Town| town.another(&setup("api")).inheriting(&socket);
    // The town's own process has made the key that all share; from here on every process is one that is replaced.
    town.shop.kill();
    town.shop = api(&town);
    town.shop.start(&town.http).await;
    let mut others = Vec::new();
    for roles in ["worker", "projector", "relay"] {
        others.push((roles, town.another_shop(&setup(roles)).await));
    }
    let clients = Clients::come(&town.http, &town.shop.url);
    for _ in 0..rounds {
        clients.business().await;
        let next = api(&town);
        replace(&mut town.shop, next, &town.http).await;
        for (roles, process) in &mut others {
            replace(process, town.another(&setup(roles)), &town.http).await;
        }
    }
    let (replies, heard) = clients.leave().await;
    judged(&town, replies).await;
    let published = Published::at(database.url(), &nats.url()).await;
    let stream = published.is_the_log().await.1;
    println!(
        "figure: rolling-restart broker={release} rounds={rounds} processes={} {heard} stream-missing={}",
        others.len() + 1,
        stream.missing,
    );
    assert_eq!(heard.failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_a_socket_changes_hands_although_no_delay_is_asked_for() {
    changes_hands(size(30)).await;
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn changes_hands(rounds: usize) {
    let database = TestDatabase::create();
    let setup = || Setup {
        database: Some(database.url()),
        ..Setup::default()
            .shop(&NOBODY_IS_AWAY)
            .shop(&["--payment-budget", "20s"])
    };
    let world = ["--simulated-handover-after", "1h"];
    let mut town = Town::open(setup().world(&world)).await;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").expect("an address"));
    let next = |town: &Town| town.another(&setup()).inheriting(&socket);
    town.shop.kill();
    town.shop = next(&town);
    town.shop.start(&town.http).await;
    let clients = Clients::come(&town.http, &town.shop.url);
    for _ in 0..rounds {
        clients.business().await;
        let heir = next(&town);
        replace(&mut town.shop, heir, &town.http).await;
    }
    let (replies, heard) = clients.leave().await;
    judged(&town, replies).await;
    println!("figure: handed-over-socket rounds={rounds} drain-delay=0s {heard}");
    assert_eq!(heard.failed, 0);
}
