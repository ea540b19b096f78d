//! What a customer's page tells, and how orders and messages are found.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::outside::Outside;
use super::server::{Backend, TestServer, on_each_backend, order, order_paid_by, until_taken};

async fn page_in(server: &TestServer, id: &str, status: &str) -> Value {
    let path = format!("/mypages/{id}");
    server
        .eventually(&path, |page| page["status"] == status)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_tells_money_parcel_messages_next_step_and_what_happened_in_words() {
    on_each_backend(async |server| {
        let id = server.placed("33").await;
        let page = server
            .eventually(&format!("/mypages/{id}"), |page| {
                page["messages"][0]["state"] == "sent"
            })
            .await;
        let account = json!({ "total": 45_000, "paid": 45_000, "refunded": 0, "balance": 0, "currency": "KRW" });
        assert_eq!(page["account"], account);
        assert_eq!((&page["bookId"], &page["qty"]), (&json!("9788937460449"), &json!(1)));
        assert_eq!(page["lines"].as_array().map(Vec::len), Some(2));
        assert!(page["delivery"]["carrier"].is_string() && page["delivery"]["waybill"].is_string());
        assert_eq!(page["nextStep"]["text"], "The carrier takes the parcel along.");
        assert_eq!(page["nextStep"]["late"], false);
        assert!(page["nextStep"]["until"].is_string());
        assert_eq!(page.get("troubles"), None);
        let timeline = page["timeline"].as_array().expect("a timeline");
        assert_eq!(timeline[0]["text"], "The order was placed.");
        assert!(timeline.iter().all(|entry| entry["text"].is_string()));
        assert_eq!(page["messages"][0]["kind"], "shipped");
        assert_eq!(page["cancelling"]["outcome"], "holdFirst");
        assert_eq!(page["cancelling"]["refund"], json!({ "amount": 45_000, "currency": "KRW" }));

        let message = page["messages"][0]["messageId"].as_str().expect("an id");
        let message = format!("/kakaomsgs/{message}");
        // The views are folded side by side.
        let message = server.eventually(&message, |message| message["state"] == "sent").await;
        assert_eq!(message["message"], format!("{id} 33 Shipped..."));
        assert_eq!((&message["state"], &message["channel"]), (&json!("sent"), &json!("alimtalk")));
        assert_eq!(message["attempts"], 1);
        assert!(message["sentAt"].is_string());

        server.delete(&format!("/orders/{id}")).await;
        // The order is canceled as soon as the parcel is held; the money goes back right after.
        let account = json!({ "total": 45_000, "paid": 45_000, "refunded": 45_000, "balance": 0, "currency": "KRW" });
        let page = server
            .eventually(&format!("/mypages/{id}"), |page| page["account"] == account)
            .await;
        assert_eq!(page["status"], "Canceled");
        assert_eq!(page["nextStep"], Value::Null);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_through_yet_tells_what_is_being_done_about_it() {
    let outside = Outside::start(Vec::new()).await;
    outside.be_away(Some("kakao")).await;
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.providers.simulator_url = Some(outside.url());
    })
    .await;
    let id = server.placed("33").await;
    let listed = server
        .eventually(&format!("/kakaomsgs?q={id}&state=requested"), |list| {
            list["page"]["count"] == 1
        })
        .await;
    let message = listed["_embedded"]["kakaomsgs"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let told = server
        .eventually(&format!("/kakaomsgs/{message}"), |message| {
            message["sending"]["reason"].is_string()
        })
        .await;
    assert!(
        told["sending"]["attempts"]
            .as_u64()
            .is_some_and(|tries| tries >= 1),
        "{told}"
    );
    assert!(told["sending"]["nextAt"].is_string());
    assert_eq!(told.get("sentAt"), None);
    outside.be_away(None).await;
    let sent = server
        .eventually(&format!("/kakaomsgs/{message}"), |message| {
            message["state"] == "sent"
        })
        .await;
    assert!(
        sent["attempts"].as_u64().is_some_and(|tries| tries >= 2),
        "{sent}"
    );
    assert_eq!(sent.get("sending"), None);
    server.stop().await;
    outside.stop().await;
}

/// What a request to cancel may be answered after a page has said this of it.
fn promised(page: &Value) -> (&'static [u16], Option<&str>) {
    let problem = page["cancelling"]["problem"].as_str();
    let answers: &[u16] = match page["cancelling"]["outcome"].as_str().expect("an outcome") {
        "resolveFirst" | "refund" | "underWay" => &[200, 202],
        // The parcel may leave between the page and the request.
        "holdFirst" => &[200, 202, 409],
        "done" => &[200],
        "tooLate" | "nothing" => &[409],
        other => panic!("{other}"),
    };
    (answers, problem)
}

/// Asks for what the page has told beforehand, and compares.
async fn hold_to(server: &TestServer, id: &str, status: &str, outcome: &str) {
    promise(server, id, status, outcome, async || {}).await;
}

/// The same, where something has to happen after the answer before the money can go back.
async fn promise(
    server: &TestServer,
    id: &str,
    status: &str,
    outcome: &str,
    then: impl AsyncFnOnce(),
) {
    let page = page_in(server, id, status).await;
    assert_eq!(page["cancelling"]["outcome"], outcome, "{page}");
    assert_eq!(page["cancelable"], page["cancelling"]["possible"]);
    assert!(page["cancelling"]["text"].is_string());
    let before = page["account"]["refunded"].as_i64().expect("money");
    let (answers, problem) = promised(&page);
    let answer = server.delete(&format!("/orders/{id}")).await;
    assert!(answers.contains(&answer.status), "{page} {}", answer.text());
    if let Some(problem) = problem {
        let told = answer.is_problem(problem.trim_start_matches("/problems/"), 409);
        assert_eq!(told["type"], problem);
        assert!(page["cancelling"]["instead"].is_string());
    }
    then().await;
    if let Some(back) = page["cancelling"]["refund"]["amount"].as_i64() {
        let path = format!("/mypages/{id}");
        server
            .eventually(&path, |page| page["account"]["refunded"] == before + back)
            .await;
    }
}

/// A van comes for a parcel, and the carrier tells so.
async fn van(server: &TestServer, outside: &Outside, id: &str, scan: &str) {
    outside.scan(id, scan).await;
    let page = server.get(&format!("/mypages/{id}")).await.body();
    let (carrier, waybill) = (&page["delivery"]["carrier"], &page["delivery"]["waybill"]);
    let parcel = json!({ "carrierId": carrier, "trackingNumber": waybill });
    let path = "/webhooks/deliveries/tracker/simulated";
    let thanked = until_taken(async || server.post(path, &parcel).await).await;
    assert_eq!(thanked.status, 202, "{}", thanked.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_says_of_cancelling_is_what_cancelling_does() {
    let outside = Outside::start(Vec::new()).await;
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.providers.simulator_url = Some(outside.url());
        settings.orders.payment_budget = Duration::from_millis(500);
        // Whoever cancels while a provider is away waits for all of it.
        settings.orders.cancel_budget = Duration::from_millis(500);
    })
    .await;
    let placed = async |token: &str| {
        let answer = server.place(&order_paid_by("33", token)).await;
        answer.body()["orderId"].as_str().expect("an id").to_owned()
    };
    let pending = placed("slow-3000").await;
    hold_to(&server, &pending, "Pending", "resolveFirst").await;

    outside.be_away(Some("carrier")).await;
    let paid = placed("tok_paid").await;
    // A carrier that was asked and did not answer has to be asked again before anything ends.
    promise(&server, &paid, "Paid", "refund", async || {
        outside.be_away(None).await
    })
    .await;

    let shipped = placed("tok_shipped").await;
    hold_to(&server, &shipped, "Shipped", "holdFirst").await;
    hold_to(&server, &shipped, "Canceled", "done").await;

    let declined = placed("decline").await;
    hold_to(&server, &declined, "Rejected", "nothing").await;

    // The money is wanted back and its provider is away.
    let open = placed("tok_open").await;
    page_in(&server, &open, "Shipped").await;
    outside.be_away(Some("payment")).await;
    assert_eq!(server.delete(&format!("/orders/{open}")).await.status, 202);
    let path = format!("/mypages/{open}");
    server
        .eventually(&path, |page| page["cancelling"]["outcome"] == "underWay")
        .await;
    let still = server.delete(&format!("/orders/{open}")).await;
    assert_eq!(still.status, 202, "{}", still.text());
    outside.be_away(None).await;
    server
        .eventually(&path, |page| page["cancelling"]["outcome"] == "done")
        .await;

    let left = placed("tok_left").await;
    page_in(&server, &left, "Shipped").await;
    // No van comes by itself, so the parcel stays where it is until its page has told of that.
    for (scan, status) in [("handover", "HandedOver"), ("deliver", "Delivered")] {
        van(&server, &outside, &left, scan).await;
        hold_to(&server, &left, status, "tooLate").await;
    }
    server.stop().await;
    outside.stop().await;
}

/// Five orders, one of which was placed long ago and elsewhere.
async fn filled(server: &TestServer) {
    for number in 0..4 {
        server.placed(&format!("c{}", number % 2)).await;
    }
    server
        .post("/orders", &order_paid_by("c0", "decline"))
        .await;
    server
        .eventually("/mypages/counts", |counts| {
            counts["counts"] == json!({ "Shipped": 4, "Rejected": 1 })
        })
        .await;
    server
        .eventually("/kakaomsgs/counts", |counts| {
            counts["counts"] == json!({ "sent": 4 })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_messages_are_found_by_time_parcel_and_kind_and_counted() {
    on_each_backend(async |server| {
        filled(server).await;
        let count = async |path: &str| {
            let list = server.get(path).await;
            assert_eq!(list.status, 200, "{}", list.text());
            list.body()["page"]["count"].as_i64().expect("a count")
        };
        let newest = server.get("/mypages?size=1").await.body();
        let newest = newest["_embedded"]["mypages"][0]["placedAt"]
            .as_str()
            .expect("a moment")
            .to_owned();
        for list in ["/mypages", "/customerviews", "/orders"] {
            assert_eq!(count(&format!("{list}?from=2020-01-01")).await, 5, "{list}");
            assert_eq!(count(&format!("{list}?to=2020-01-01")).await, 0, "{list}");
            assert_eq!(count(&format!("{list}?from={newest}")).await, 1, "{list}");
            assert_eq!(count(&format!("{list}?to={newest}")).await, 4, "{list}");
        }
        assert_eq!(count("/payments?from=2020-01-01").await, 5);
        assert_eq!(count("/payments?from=2020-01-01&status=Paid").await, 4);
        let parcels = server.get("/deliveries?size=1").await.body();
        let parcel = &parcels["_embedded"]["deliveries"][0];
        let waybill = parcel["waybill"].as_str().expect("a number");
        let found = server.get(&format!("/mypages?q={waybill}")).await.body();
        assert_eq!(found["page"]["count"], 1);
        assert_eq!(
            found["_embedded"]["mypages"][0]["orderId"],
            parcel["orderId"]
        );

        let order = parcel["orderId"].as_str().expect("an id");
        assert_eq!(count(&format!("/kakaomsgs?q={order}")).await, 1);
        assert_eq!(count("/kakaomsgs?kind=shipped").await, 4);
        assert_eq!(count("/kakaomsgs?kind=canceled").await, 0);
        assert_eq!(count("/kakaos?state=sent&customerId=c1").await, 2);
        assert_eq!(count("/kakaomsgs?from=2020-01-01&kind=shipped").await, 4);

        let counts = server.get("/mypages/counts?customerId=c0").await.body();
        assert_eq!(
            counts,
            json!({ "counts": { "Shipped": 2, "Rejected": 1 }, "total": 3 })
        );
        let counts = server.get("/kakaomsgs/counts?kind=direct").await.body();
        assert_eq!(counts, json!({ "counts": {}, "total": 0 }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_of_a_page_lead_through_the_same_stretch_of_time() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    filled(&server).await;
    let mut next = Some("/kakaomsgs?from=2020-01-01&kind=shipped&size=3".to_owned());
    let (mut pages, mut rows) = (0, 0);
    while let Some(path) = next {
        let page = server.get(&path).await.body();
        assert!(page["page"]["position"].as_i64().is_some_and(|at| at > 0));
        rows += page["page"]["count"].as_u64().expect("a count");
        pages += 1;
        next = page["_links"]["next"]["href"].as_str().map(str::to_owned);
        let links = [page["_links"]["self"]["href"].as_str(), next.as_deref()];
        for link in links.into_iter().flatten() {
            assert!(
                link.contains("from=2020-01-01") && link.contains("kind=shipped"),
                "{link}"
            );
        }
    }
    assert_eq!((pages, rows), (2, 4));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_cannot_be_meant_is_refused_by_name() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    for (path, names) in [
        ("/mypages?from=yesterday", "from"),
        ("/orders?to=2026-13-01", "to"),
        ("/deliveries?from=2026-11-23&to=2026-11-22", "from"),
        ("/mypages?q=", "q"),
        ("/mypages?status=Lost", "status"),
        ("/mypages/counts?from=soon", "from"),
        ("/mypages.csv?cursor=x", "cursor"),
        ("/mypages.csv?size=0", "size"),
        ("/kakaomsgs?kind=letter", "kind"),
        ("/kakaomsgs?state=lost", "state"),
        ("/kakaomsgs.csv?to=soon", "to"),
        ("/kakaomsgs/counts?q=%00", "q"),
    ] {
        let problem = server.get(path).await.is_problem("invalid-query", 400);
        let told = problem["detail"].as_str().expect("a detail");
        assert!(told.to_lowercase().contains(names), "{path}: {told}");
    }
    let cursor = server.get("/mypages?size=1").await;
    assert_eq!(cursor.status, 200);
    let request = server.request(Method::GET, "/mypages/counts?customerId=nobody");
    let nobody: Value = request
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(nobody["total"], 0);
    server.post("/orders", &order("33")).await;
    server.stop().await;
}
