//! A customer's orders that become others without an event of their own: what was parked is taken, or the view folded anew.

use eventstore::Checkpoint;
use serde_json::{Value, json};

use super::follow::{Told, follow};
use super::server::{TestServer, on_both_backends, poison};
use super::told::Story;

const ALICE: &str = "customerId=alice";

async fn shown(server: &TestServer, story: &Story<'_>, status: &str) {
    let page = format!("/mypages/{}", story.order);
    let wanted = |page: &Value| page["status"] == status;
    server.eventually(&page, wanted).await;
}

/// An order that was canceled after something that nobody can read, and what leaves that out.
async fn parked(server: &TestServer) -> (Story<'_>, Value) {
    let story = Story::paid(server).await;
    let poisoned = poison(server, "order", &story.order.to_string()).await;
    let poisoned: Checkpoint = poisoned.parse().expect("a token");
    story.canceled("customer", "wrong book").await;
    shown(server, &story, "Paid").await;
    let is_parked = |status: &Value| status["projection"]["parkedKeys"] == 1;
    server.eventually("/projections/customer", is_parked).await;
    let skip = json!({ "key": story.order, "position": poisoned.position, "reason": "nobody can read it" });
    (story, skip)
}

async fn release(server: &TestServer, skip: &Value) {
    let done = server.post("/projections/customer/skip", skip).await;
    assert_eq!(done.body()["result"], "released", "{}", done.text());
}

/// What comes next is about this order, until it is as wanted; gives the id of that.
async fn tells(told: &mut Told, story: &Story<'_>, status: &str) -> String {
    loop {
        let (id, page) = told.next().await;
        assert_eq!(page["orderId"], json!(story.order), "{page}");
        if page["status"] == status {
            return id;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_parked_is_told_when_it_is_released_and_no_other_once_more() {
    on_both_backends(async |server| {
        let calm = Story::paid(server).await;
        shown(server, &calm, "Paid").await;
        let mut first = Told::of(follow(server, &format!("{ALICE}&after=0"), None).await);
        tells(&mut first, &calm, "Paid").await;
        let (sick, skip) = parked(server).await;
        tells(&mut first, &sick, "Paid").await;
        let mut late = Told::of(follow(server, ALICE, None).await);
        let place = late.place().await;

        release(server, &skip).await;
        tells(&mut first, &sick, "Canceled").await;
        tells(&mut late, &sick, "Canceled").await;
        let next = Story::paid(server).await;
        tells(&mut first, &next, "Paid").await;
        tells(&mut late, &next, "Paid").await;

        // Whoever comes back hears of it, too, although what was taken is older than the last that it has heard.
        let mut back = Told::of(follow(server, ALICE, Some(&place)).await);
        tells(&mut back, &calm, "Paid").await;
        tells(&mut back, &sick, "Canceled").await;
        let last = tells(&mut back, &next, "Paid").await;
        let mut again = Told::of(follow(server, ALICE, Some(&last)).await);
        again.place().await;
    })
    .await;
}

/// Makes the row of an order another one than the log tells.
fn drift(server: &TestServer, story: &Story<'_>) {
    let change = |doc: &str| {
        format!(
            "UPDATE view_customer_1 SET doc = replace({doc}, '\"status\":\"Paid\",\"stage\"', '\"status\":\"Shipped\",\"stage\"')"
        )
    };
    if server.edge().store.backend_name() == "postgres" {
        // The text of a row is JSON to Postgres, and is kept as it was written.
        let change = change("doc::text").replacen("')", "')::json", 1);
        server.tamper(&format!("{change} WHERE key = '{}'", story.order));
        return;
    }
    let views = server.folder.path().join("data").join("views.db");
    let views = rusqlite::Connection::open(views).expect("the views");
    let of = format!("WHERE key = X'{}'", story.order.simple());
    let changed = views.execute(&format!("{} {of}", change("doc")), []);
    assert_eq!(changed.expect("good SQL"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_shown_wrongly_is_told_when_the_view_was_folded_anew_and_no_other_is() {
    on_both_backends(async |server| {
        let [wrong, right] = [Story::paid(server).await, Story::paid(server).await];
        shown(server, &right, "Paid").await;
        drift(server, &wrong);
        shown(server, &wrong, "Shipped").await;
        let mut told = Told::of(follow(server, ALICE, None).await);
        let place = told.place().await;

        // Nothing happens in the log.
        let rebuilt = server
            .post("/projections/customer/rebuild", &Value::Null)
            .await;
        assert_eq!(rebuilt.status, 202, "{}", rebuilt.text());
        tells(&mut told, &wrong, "Paid").await;
        let anew = told.place().await;
        assert_ne!(anew, place);

        let mut back = Told::of(follow(server, ALICE, Some(&anew)).await);
        assert_eq!(back.place().await, anew);
    })
    .await;
}
