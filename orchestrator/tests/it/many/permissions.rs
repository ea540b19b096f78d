//! Everybody at the broker may do what README says that they need, and nothing else.

use eventstore::testing::TestDatabase;
use futures_util::StreamExt as _;

use super::crew::{Crew, NOBODY_IS_AWAY, counted, ordering, setup};
use crate::broker::nats::NatsServer;
use crate::broker::on_each_release;
use crate::broker::python::{Python, journal};
use crate::soak::size;
use crate::storm::crowd;
use crate::town::{STUCK, until};

/// The processes of a shop, and a worker of somebody else's. Passwords are as the names.
const USERS: &str = r#"authorization { users: [
    { user: shop, password: shop, permissions: {
        publish: ["bookmarket.>", "$JS.API.>", "$JS.ACK.>"], subscribe: ["bookmarket.>", "_INBOX.>"] } }
    { user: teller, password: teller, permissions: {
        publish: "_INBOX.>", subscribe: ["bookmarket.steps.*", "bookmarket.probes.*"] } }
] }"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_permissions_that_are_asked_for_are_enough_for_a_shop_and_for_workers_of_somebody_elses()
 {
    on_each_release(async |release| {
        let mut nats = NatsServer::stopped(release);
        nats.launch_with_users(USERS);
        let (shop, teller) = (nats.url_of("shop"), nats.url_of("teller"));
        let dir = tempfile::tempdir().expect("a directory");
        let told = dir.path().join("told.jsonl");
        let _teller = Python::start(&teller, &told);
        let database = TestDatabase::create();
        let to_log = database.url();
        let setup = setup()
            .shop(&NOBODY_IS_AWAY)
            .shop(&["--external-steps", "notify"]);
        let mut crew = Crew::behind(nats, database, to_log, shop, setup).await;
        for roles in ["worker", "projector", "relay"] {
            crew.hire(roles).await;
        }
        let (orders, doors) = (size(200), crew.doors());
        let placing = crowd(orders, move |nth| ordering(doors.clone(), nth, nth));
        placing.concat().await;
        until("a message for each order", STUCK, async || {
            (journal(&told).len() == orders).then_some(())
        })
        .await;
        crew.town.quiesces(STUCK).await;
        crew.published().await;
        let members = crew.members.iter().map(|member| &member.process);
        for process in members.chain([&crew.town.shop]) {
            let url = &process.url;
            let denied = counted(&crew.town.http, url, "bookmarket_broker_denials_total", &[]);
            assert!(denied.await < 0.5, "{}", process.lines());
            let usable = counted(&crew.town.http, url, "bookmarket_broker_connected", &[]);
            assert!(usable.await > 0.5, "{}", process.lines());
        }
    })
    .await;
}
