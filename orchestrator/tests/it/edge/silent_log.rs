//! A log that takes an order and then says nothing any more.

use std::time::Duration;

use eventstore::testing::TestDatabase;
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;

use super::server::{Backend, TestServer, order_paid_by};
use crate::broker::proxy::{Proxy, Weather};

/// What clients and proxies wait at least.
const CLIENT_PATIENCE: Duration = Duration::from_secs(25);

/// The same database, reached through a proxy.
pub(super) async fn behind_a_proxy(url: &str) -> (Proxy, String) {
    let mut url = reqwest::Url::parse(url).expect("a URL");
    let server = url.socket_addrs(|| Some(5432)).expect("an address")[0];
    let proxy = Proxy::start(server).await;
    url.set_ip_host(proxy.address().ip()).expect("a host");
    url.set_port(Some(proxy.address().port())).expect("a port");
    (proxy, url.into())
}

/// Whether a page of the log holds an order.
pub(super) fn has_ordered(page: &Value) -> bool {
    let events = page["events"].as_array().expect("events");
    events.iter().any(|event| event["type"] == "Ordered")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_log_took_before_it_fell_silent_is_in_doubt_and_never_asked_for_again() {
    let database = TestDatabase::create();
    let (proxy, url) = behind_a_proxy(&database.url()).await;
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.store.database_url = Some(SecretString::from(url));
        // The log has to fall silent before its customer has waited, and before it is paid.
        settings.orders.payment_budget = Duration::from_millis(2500);
    })
    .await;
    let order = order_paid_by("33", "slow-2800");
    let placing = async {
        let began = Instant::now();
        (server.post("/orders", &order).await, began.elapsed())
    };
    let silencing = async {
        server.eventually("/events", has_ordered).await;
        proxy.set(Weather::Held);
    };
    let ((answer, took), ()) = tokio::join!(placing, silencing);
    let problem = answer.is_problem("order-in-doubt", 409);
    let id = problem["orderId"].as_str().expect("an id");
    assert!(took < CLIENT_PATIENCE, "{took:?}");
    proxy.set(Weather::Fair);
    server
        .eventually(&format!("/orders/{id}"), |order| {
            order["status"] == "Shipped"
        })
        .await;
    server.stop().await;
}
