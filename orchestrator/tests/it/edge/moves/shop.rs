//! A shop that moves from one database to the other, with its orders, its views and its customers' data.

use eventstore::testing::TestDatabase;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::child::bookmarket;
use super::super::server::{Backend, TestServer};
use super::{on, text, told, told_beside};
use crate::town::is_done;

/// Orders of the shop; every third is canceled.
const ORDERS: usize = 9;

/// What views and lists show.
pub(super) const LISTS: [&str; 3] = [
    "/mypages?size=100",
    "/kakaomsgs?size=100",
    "/sagas?size=100",
];

/// Takes orders of every kind and waits until nothing moves by itself any more.
pub(super) async fn busy(server: &TestServer, orders: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for nth in 0..orders {
        let id = server.placed(&format!("customer-{nth}")).await;
        server
            .eventually(&format!("/sagas/{id}"), |saga| is_done(saga, "notify"))
            .await;
        if nth % 3 == 2 {
            server.delete(&format!("/orders/{id}")).await;
            server
                .eventually(&format!("/sagas/{id}"), |saga| saga["status"] == "unwound")
                .await;
        }
        ids.push(id);
    }
    ids
}

/// What the lists show once the views have come up with the log.
pub(super) async fn shown(server: &TestServer) -> Vec<Value> {
    let head = server.edge().store.head().await.expect("read").0;
    server
        .eventually("/projections", |all| {
            let all = all["_embedded"]["projections"]
                .as_array()
                .expect("projections");
            all.iter()
                .all(|it| it["position"].as_i64().is_some_and(|at| at >= head))
        })
        .await;
    let mut shown = Vec::new();
    for list in LISTS {
        shown.push(server.get(list).await.body()["_embedded"].clone());
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_moves_to_the_other_database_with_orders_views_and_customers() {
    for (from, to_postgres) in [(Backend::Sqlite, true), (Backend::Postgres, false)] {
        let files = tempfile::tempdir().expect("a folder");
        let server = TestServer::start(from, |_| {}).await;
        let ids = busy(&server, ORDERS).await;
        let before = shown(&server).await;
        let contact = server.get(&format!("/orders/{}", ids[0])).await.body()["contact"].clone();
        assert_eq!(contact["name"], "Hong Gil-dong");
        let location = server.edge().store.location().clone();
        let file = files.path().join("shop.log.gz");
        let export = ["log", "export", "--with-keys", "--out", text(&file)];
        let exported = told_beside(on(&location, files.path()), &export).await;
        // The vault has a key of its own beside those of the customers.
        assert_eq!(exported["keys"], ORDERS as u64 + 1);
        assert_eq!(
            exported["events"],
            server.edge().store.head().await.expect("read").0
        );

        let halted = server.halt().await;
        let database = TestDatabase::create();
        let mut import = bookmarket(halted.data_dir());
        if to_postgres {
            import.env("DATABASE_URL", database.url());
        }
        let imported = told(import, &["log", "import", "--in", text(&file)]);
        assert_eq!(imported["content"], exported["content"]);
        let url = to_postgres.then(|| SecretString::from(database.url()));
        let moved = halted
            .start(|settings| settings.store.database_url = url)
            .await;
        assert_eq!(shown(&moved).await, before);
        let order = moved.get(&format!("/orders/{}", ids[0])).await.body();
        assert_eq!(order["contact"], contact, "with its keys");
        let canceled = moved.delete(&format!("/orders/{}", ids[0])).await;
        assert_eq!(canceled.body()["status"], "Canceled", "{}", canceled.text());
        moved.placed("somebody-new").await;
        moved.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_keys_shows_orders_and_no_customer() {
    let files = tempfile::tempdir().expect("a folder");
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let ids = busy(&server, 2).await;
    let file = files.path().join("shop.log.gz");
    let location = server.edge().store.location().clone();
    told_beside(
        on(&location, files.path()),
        &["log", "export", "--out", text(&file)],
    )
    .await;
    let halted = server.halt().await;
    let database = TestDatabase::create();
    let mut import = bookmarket(halted.data_dir());
    import.env("DATABASE_URL", database.url());
    told(import, &["log", "import", "--in", text(&file)]);
    let url = SecretString::from(database.url());
    let moved = halted
        .start(|settings| settings.store.database_url = Some(url))
        .await;
    let order = moved.get(&format!("/orders/{}", ids[0])).await.body();
    assert_eq!(order["orderId"], json!(ids[0]));
    assert!(!order.to_string().contains("Hong"), "{order}");
    moved.stop().await;
}
