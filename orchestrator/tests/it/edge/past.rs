//! Orders as they were, and how they became what they are.

use serde_json::{Value, json};

use super::child::{bookmarket, run, with};
use super::server::{Backend, TestServer, on_each_backend};

/// An order that has come as far as the carrier, and its events.
async fn shipped(server: &TestServer) -> (String, Vec<Value>) {
    // So that the order's first event is not the log's.
    server.placed("before").await;
    let id = server.placed("33").await;
    server
        .eventually(&format!("/sagas/{id}"), |saga| {
            saga["status"] == "waiting" && saga["remaining"] == json!(["handover", "track"])
        })
        .await;
    let page = server.get(&format!("/orders/{id}/events")).await.body();
    let events = page["events"].as_array().cloned().expect("events");
    (id, events)
}

fn position(events: &[Value], event: &str) -> i64 {
    let found = events.iter().find(|it| it["type"] == event);
    let position = found.and_then(|it| it["position"].as_i64());
    position.unwrap_or_else(|| panic!("there is no {event}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_it_was_at_a_position_and_not_before_it_existed() {
    on_each_backend(async |server| {
        let (id, events) = shipped(server).await;
        let at = |event| position(&events, event);
        let as_of = async |what: &str, position: i64| {
            server.get(&format!("/{what}/{id}?asOf={position}")).await
        };
        for (after, status, etag) in [
            (at("Ordered"), "Pending", "\"1\""),
            (at("OrderPaid"), "Paid", "\"2\""),
            (at("OrderShipped"), "Shipped", "\"3\""),
        ] {
            let then = as_of("orders", after).await;
            assert_eq!(then.body()["status"], status, "after {after}");
            assert_eq!(then.header("etag"), Some(etag));
        }
        let just_before = as_of("orders", at("OrderShipped") - 1).await;
        assert_eq!(just_before.body()["status"], "Paid");
        let head = events.last().expect("events")["position"].as_i64();
        let newest = as_of("orders", head.expect("a position")).await;
        let now = server.get(&format!("/orders/{id}")).await;
        assert_eq!(newest.body(), now.body());

        for (what, event) in [
            ("orders", "Ordered"),
            ("payments", "Paid"),
            ("deliveries", "Shipped"),
        ] {
            assert_eq!(as_of(what, at(event)).await.status, 200, "{what}");
            let before = as_of(what, at(event) - 1).await;
            before.is_problem("not-found", 404);
        }
        for bad in ["-1", "1000000", "yesterday"] {
            server
                .get(&format!("/orders/{id}?asOf={bad}"))
                .await
                .is_problem("invalid-query", 400);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_shown_as_it_was_at_a_position() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let note =
        json!({ "orderId": "111", "customerId": "33", "status": "Note", "message": "Hello." });
    let sent = server.post("/kakaos", &note).await;
    let place = sent.header("location").expect("a place").to_owned();
    server
        .eventually(&place, |message| message["state"] == "SentMessage")
        .await;
    let first = server.get(&format!("{place}?asOf=1")).await.body();
    assert_eq!(first["state"], "MessageRequested");
    server
        .get(&format!("{place}?asOf=0"))
        .await
        .is_problem("not-found", 404);
    server.stop().await;
}

/// What the command prints about an order.
async fn steps(server: &TestServer, id: &str, output: &str) -> String {
    let url = server.url();
    let arguments = [
        "events", "--order", id, "--step", "--output", output, "--server", &url,
    ];
    let command = with(bookmarket(server.folder.path()), &arguments);
    let ran = tokio::task::spawn_blocking(move || run(command)).await;
    let ran = ran.expect("no panic");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn stepping_through_an_order_shows_what_each_event_did_and_ends_where_the_server_is() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let (id, events) = shipped(&server).await;
    let printed = steps(&server, &id, "json").await;
    let steps: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |steps: &[Value]| -> Vec<i64> {
        let positions = steps.iter().map(|step| step["event"]["position"].as_i64());
        positions.map(|it| it.expect("a position")).collect()
    };
    let all: Vec<i64> = events
        .iter()
        .map(|event| event["position"].as_i64().expect("a position"))
        .collect();
    assert_eq!(of(&steps), all);
    for pair in steps.windows(2) {
        assert_eq!(pair[0]["after"], pair[1]["before"]);
    }
    for step in &steps {
        assert_eq!(step.get("refused"), None, "{step}");
        let changes = step["difference"].as_array().expect("changes");
        assert!(!changes.is_empty(), "{}", step["event"]["type"]);
        for change in changes {
            let path = change["path"].as_str().expect("a path");
            assert_eq!(
                step["before"].pointer(path).filter(|it| !it.is_null()),
                change.get("before")
            );
            assert_eq!(
                step["after"].pointer(path).filter(|it| !it.is_null()),
                change.get("after")
            );
        }
    }
    let first = &steps[0];
    assert_eq!(first["before"]["order"], Value::Null);
    assert_eq!(first["event"]["data"]["address"], "[sealed]");

    let last = &steps.last().expect("steps")["after"];
    for (part, what) in [
        ("order", "orders"),
        ("payment", "payments"),
        ("delivery", "deliveries"),
    ] {
        let mut now = server.get(&format!("/{what}/{id}")).await.body();
        let fields = now.as_object_mut().expect("an object");
        // What only the order's own customer reads, and where else to look.
        for own in ["contact", "address", "_links"] {
            fields.remove(own);
        }
        assert_eq!(last[part], now, "{part}");
    }
    let saga = server.get(&format!("/sagas/{id}")).await.body();
    assert_eq!(last["saga"]["saga"], saga["saga"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stepping_marks_what_changed_waits_for_nobody_in_a_pipe_and_shows_nothing_sealed() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let (id, events) = shipped(&server).await;
    let parcel = server.get(&format!("/deliveries/{id}")).await.body();
    let waybill = format!("    + waybill: {}", parcel["waybill"]);
    let printed = steps(&server, &id, "table").await;
    for line in [
        "    + status: \"Pending\"",
        "    - status: \"Pending\"",
        "    + status: \"Paid\"",
        "      customerId: \"33\"",
        &waybill,
        "    contact.name: \"[sealed]\"",
    ] {
        assert!(printed.lines().any(|it| it == line), "{line} in {printed}");
    }
    let sealed = ["/data/contact/name", "/data/payment/token", "/data/address"];
    for place in sealed {
        let cipher = events[0].pointer(place).and_then(Value::as_str);
        assert!(!printed.contains(cipher.expect("ciphertext")), "{place}");
    }
    let command = with(
        bookmarket(server.folder.path()),
        &["events", "--step", "--server", &server.url()],
    );
    let refused = tokio::task::spawn_blocking(move || run(command)).await;
    let refused = refused.expect("no panic");
    assert_eq!(refused.status.code(), Some(2), "--step is of one order");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stepping_goes_on_past_an_event_that_the_folds_cannot_take() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let (id, _) = shipped(&server).await;
    super::server::poison(&server, "order", &id).await;
    let printed = steps(&server, &id, "json").await;
    let last: Value = serde_json::from_str(printed.lines().last().expect("steps")).expect("JSON");
    assert_eq!(last["event"]["type"], "OrderGiftWrapped");
    assert_eq!(last["difference"], json!([]));
    let why = last["refused"].as_str().expect("why");
    assert!(why.contains("OrderGiftWrapped"), "{why}");
    assert_eq!(last["after"]["order"]["status"], "Shipped");
    server.stop().await;
}
