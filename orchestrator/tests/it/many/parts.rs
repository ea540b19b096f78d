//! What one process begins another finishes, and any of them can be asked.

use std::net::TcpListener;
use std::sync::Arc;

use eventstore::testing::TestDatabase;
use serde_json::json;

use super::crew::{Crew, setup};
use crate::broker::nats::Release;
use crate::checker::{Asked, Reply};
use crate::town::{Answer, Customers, Process, STUCK, Setup, Town, order, reply, until};

/// Two processes that take orders, one that carries them on, one that keeps the views.
struct Parts {
    town: Town,
    second: Process,
    _others: Vec<Process>,
    _database: TestDatabase,
}

impl Parts {
    async fn open(setup: Setup) -> Self {
        let database = TestDatabase::create();
        let setup = Setup {
            database: Some(database.url()),
            ..setup
        };
        let town = Town::open(setup.shop(&["--roles", "api"])).await;
        let part = |roles: &str| Setup {
            database: Some(database.url()),
            ..Setup::default().shop(&["--roles", roles, "--cancel-budget", "30s"])
        };
        let second = town.another_shop(&part("api")).await;
        let worker = town.another_shop(&part("worker")).await;
        let projector = town.another_shop(&part("projector")).await;
        Self {
            town,
            second,
            _others: vec![worker, projector],
            _database: database,
        }
    }

    async fn get_from_second(&self, path: &str) -> Answer {
        let url = format!("{}{path}", self.second.url);
        Answer::of(self.town.http.get(url).send().await.expect("an answer")).await
    }
}

/// There is no broker, so nobody can be told of what the carrier has told: whoever heard of it looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_one_process_hears_of_is_seen_although_nobody_else_can_be_told() {
    let parts = Parts::open(Setup::patient()).await;
    let town = &parts.town;
    let placed = town.place("one", &order("ok")).await.expect("an answer");
    let id = placed.order();
    town.becomes(&id, "Shipped").await;
    let row = town
        .eventually(&format!("/mypages/{id}"), |row| {
            row["delivery"]["status"] == "Shipped"
        })
        .await;
    let parcel = json!({
        "carrierId": row["delivery"]["carrier"], "trackingNumber": row["delivery"]["waybill"]
    });
    for (scan, status) in [("handover", "HandedOver"), ("deliver", "Delivered")] {
        town.scan(&id, scan).await;
        let told = format!("{}/webhooks/deliveries/tracker/simulated", town.shop.url);
        let told = town.hears(town.http.post(told).json(&parcel)).await;
        assert_eq!(told.status, 202, "{told:?}");
        town.becomes(&id, status).await;
    }
    let Parts { town, .. } = parts;
    town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_takes_another_ships_and_any_of_them_tells() {
    let parts = Parts::open(Setup::patient()).await;
    let (town, second) = (
        &parts.town,
        Customers::of(&parts.town.http, &parts.second.url),
    );
    let wanted = order("ok");
    let first = town.place("one", &wanted).await.expect("an answer");
    assert_eq!(first.status, 201, "{first:?}");
    let id = first.order();
    // The order is nobody's in particular: its first answer, its state and its history are in the log.
    let again = second.place("one", &wanted).await.expect("an answer");
    assert_eq!((again.status, again.text), (first.status, first.text));
    let shown = parts.get_from_second(&format!("/orders/{id}")).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    town.becomes(&id, "Shipped").await;
    let row = town
        .eventually(&format!("/mypages/{id}"), |row| {
            row["delivery"]["status"] == "Shipped"
        })
        .await;
    assert_eq!(row["orderId"], id);
    // Asked for here, done there, and told here.
    let canceled = second.cancel(&id).await.expect("an answer");
    assert_eq!(canceled.status, 200, "{canceled:?}");
    // The answer is given once the money has gone back; the label is voided after that.
    town.eventually(&format!("/mypages/{id}"), |row| {
        row["delivery"]["status"] == "DeliveryCanceled"
    })
    .await;
    assert_eq!(
        town.effects(&id).await,
        ["charge", "ship", "hold", "refund", "cancel"]
    );
    let replies: Vec<Reply> = vec![reply(&id, Asked::Cancel, &canceled)];
    let Parts { town, .. } = parts;
    town.close(replies).await;
}

async fn get(http: &reqwest::Client, url: &str) -> Answer {
    Answer::of(http.get(url).send().await.expect("an answer")).await
}

/// Waits until an order is called so at this address.
async fn becomes(http: &reqwest::Client, url: &str, status: &str) {
    until(status, STUCK, async || {
        (get(http, url).await.body["status"] == status).then_some(())
    })
    .await;
}

/// What one of two nodes takes, the other one repeats, shows and cancels.
async fn are_one_shop(http: &reqwest::Client, nodes: &[String; 2]) -> Vec<Reply> {
    let mut replies = Vec::new();
    for (here, there) in [(0, 1), (1, 0)] {
        let (here, there) = (&nodes[here], &nodes[there]);
        let (wanted, one) = (order("ok"), Customers::of(http, here));
        let other = Customers::of(http, there);
        // The same key at either of them, under which the other one has taken nothing.
        let placed = one.place(here, &wanted).await.expect("an answer");
        assert_eq!(placed.status, 201, "{placed:?}");
        let again = other.place(here, &wanted).await.expect("an answer");
        assert_eq!((again.status, &again.text), (placed.status, &placed.text));
        let mut changed = wanted.clone();
        changed["lines"][0]["qty"] = json!(2);
        let refused = other.place(here, &changed).await.expect("an answer");
        assert_eq!(refused.status, 422, "{refused:?}");
        let id = placed.order();
        becomes(http, &format!("{there}/orders/{id}"), "Shipped").await;
        // From the view as well, which neither of them keeps.
        until("the order in the view", STUCK, async || {
            let row = get(http, &format!("{there}/mypages/{id}")).await.body;
            (row["delivery"]["status"] == "Shipped").then_some(())
        })
        .await;
        let canceled = other.insist_on_cancel(&id).await;
        assert_eq!(canceled.status, 200, "{canceled:?}");
        becomes(http, &format!("{here}/orders/{id}"), "Canceled").await;
        replies.push(reply(&id, Asked::Place, &placed));
        replies.push(reply(&id, Asked::Cancel, &canceled));
    }
    replies
}

/// Nothing in how a process is started says which one it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_that_is_started_word_for_word_like_the_first_is_one_shop_with_it() {
    let setup = setup().shop(&["--log", "info", "--cancel-budget", "30s"]);
    let mut crew = Crew::with_nats(Release::New, setup).await;
    crew.hire("worker,projector,relay").await;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").expect("an address"));
    let mut second = crew.town.shop.twin(&socket);
    let http = crew.town.http.clone();
    second.start(&http).await;
    let nodes = [crew.town.shop.url.clone(), second.url.clone()];
    let replies = are_one_shop(&http, &nodes).await;
    crew.town.close(replies).await;
}

/// It finds the shop by the two addresses. What it is given beside them is what the log may not keep: the key to what is sealed in it, and
/// the way to the providers.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_needs_two_addresses_the_master_key_and_the_providers_and_nothing_else() {
    let parcels_wait = [
        "--simulated-handover-after",
        "1h",
        "--simulated-delivery-after",
        "1h",
    ];
    let setup = Setup::default().world(&parcels_wait);
    let mut crew = Crew::with_nats(Release::Old, setup).await;
    crew.hire("worker,projector,relay").await;
    let home = crew.town.folder.path().join("second");
    std::fs::create_dir(&home).expect("a folder");
    let key = crew.town.folder.path().join("shop/master.key");
    let (key, log, broker) = (key.to_string_lossy(), crew.database.url(), crew.nats.url());
    let environment = [
        ("BOOKMARKET_MASTER_KEY_FILE", &*key),
        ("BOOKMARKET_SIMULATOR_URL", crew.town.world.url.as_str()),
        ("DATABASE_URL", log.as_str()),
        ("NATS_URL", broker.as_str()),
    ];
    let mut second = Process::bare(&home, &["--roles", "api"], &environment);
    let http = crew.town.http.clone();
    second.start(&http).await;
    // No word of the test's own environment reaches it, and all else is as it is by default.
    let (arguments, given) = second.given();
    let wanted = ["serve", "--listen", "127.0.0.1:0", "--roles", "api"];
    assert_eq!(arguments, wanted);
    assert_eq!(
        given,
        environment.map(|(name, value)| format!("{name}={value}"))
    );
    let nodes = [crew.town.shop.url.clone(), second.url.clone()];
    let replies = are_one_shop(&http, &nodes).await;
    crew.town.close(replies).await;
}
