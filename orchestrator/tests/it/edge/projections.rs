//! What is parked in a view, what operators do about it, and why a view is behind: over HTTP and from the command line.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use eventstore::{Category, Expected, NewEvent, Position, StreamAppend, StreamId};
use reqwest::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::child::{Serving, bookmarket, complaint, run, with};
use super::server::{Answer, Backend, PATIENCE, TestServer, on_each_backend, order};

const ORDER: Category = Category::from_static("order");

/// An event of the order that no build knows.
async fn poison(server: &TestServer, order: &str) -> Position {
    let id = Uuid::try_parse(order).expect("an id");
    let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("JSON");
    let event = NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "OrderTeleported".into(),
        schema_version: 1,
        data: raw("{}"),
        metadata: raw("{}"),
    };
    let append = StreamAppend {
        stream: StreamId::new(ORDER, id),
        expected: Expected::Any,
        events: vec![event],
    };
    let stored = server.edge().store.append(vec![append]).await;
    stored.expect("stored").last
}

/// An order whose row stands still since somebody told of it what nobody knows.
async fn sick(server: &TestServer) -> (String, Position) {
    let order = server.placed("33").await;
    // At rest, so that no step of its saga comes across the strange event.
    server
        .eventually("/sagas?status=waiting&step=handover", |list| {
            let rows = list["_embedded"]["sagas"].as_array().expect("rows");
            rows.iter().any(|row| row["sagaId"] == *order)
        })
        .await;
    let at = poison(server, &order).await;
    server
        .eventually("/projections/customer", |status| {
            status["projection"]["parkedKeys"] == 1
        })
        .await;
    (order, at)
}

fn cli(server: &TestServer, arguments: &[&str]) -> Output {
    let url = server.url();
    let command = bookmarket(&server.folder.path().join("unused"));
    let command = with(
        command,
        &["--server", &url, "--output", "json", "projections"],
    );
    run(with(command, arguments))
}

fn printed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", complaint(output)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_listed_and_released_over_http() {
    on_each_backend(async |server| {
        let (order, at) = sick(server).await;
        let shown = server.get("/projections/customer").await.body();
        let first = &shown["projection"]["parked"][0];
        assert_eq!(
            (&first["key"], &first["position"]),
            (&json!(order), &json!(at))
        );
        assert_eq!(
            (&first["cause"], &first["events"]),
            (&json!("unknown"), &json!(1))
        );
        assert_eq!(shown["projection"]["lagReason"], "parked-keys");
        let events = server
            .get(&format!("/projections/customer/parked/{order}"))
            .await;
        assert_eq!(
            events.body()["_embedded"]["parked"][0]["eventType"],
            "OrderTeleported"
        );

        let retry = json!({ "key": order, "reason": "one more try" });
        let still = server
            .post("/projections/customer/retry", &retry)
            .await
            .body();
        assert_eq!(
            (&still["result"], &still["position"]),
            (&json!("parked"), &json!(at))
        );
        let wrong = json!({ "key": order, "position": at.0 + 1, "reason": "a typo" });
        server
            .post("/projections/customer/skip", &wrong)
            .await
            .is_problem("conflict", 409);
        let skip = json!({ "key": order, "position": at, "reason": "nobody teleports" });
        for _ in 0..2 {
            let done = server.post("/projections/customer/skip", &skip).await;
            assert_eq!(done.status, 200, "{}", done.text());
            assert_eq!(done.body()["result"], "released", "also the second time");
        }
        let status = server.get("/projections/customer").await.body();
        assert_eq!(status["projection"]["parked"], json!([]));
        assert_eq!(status["projection"]["lagReason"], Value::Null);
        let verbs = server.get("/events?category=projection").await.body();
        let told: Vec<_> = verbs["events"].as_array().expect("events").iter().collect();
        assert_eq!(told.len(), 2, "each verb once, a refused one not at all");
        assert_eq!(told[1]["data"]["reason"], "nobody teleports");
        assert_eq!(told[1]["data"]["position"], json!(at));
        server
            .post("/projections/customer/retry", &retry)
            .await
            .is_problem("conflict", 409);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_is_not_understood_says_what_is_wrong_and_is_not_recorded() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let refused = server
        .post("/projections/customer/skip", &json!({ "key": "x" }))
        .await;
    refused.is_problem("invalid-request", 422);
    assert_eq!(refused.pointers(), ["/key", "/position", "/reason"]);
    let refused = server
        .post("/projections/customer/pause", &json!({ "reason": "\u{7}" }))
        .await;
    assert_eq!(refused.pointers(), ["/reason"]);
    let reason = json!({ "reason": "x" });
    for path in ["/projections/customer/forgive", "/projections/none/retry"] {
        server
            .post(path, &reason)
            .await
            .is_problem("not-found", 404);
    }
    let verbs = server.get("/events?category=projection").await.body();
    assert_eq!(verbs["events"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_listed_and_released_from_the_command_line() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let (order, at) = sick(&server).await;
    let views = printed(&cli(&server, &["list"]));
    assert_eq!(views.as_array().map(Vec::len), Some(3));
    let keys = printed(&cli(&server, &["list", "customer"]));
    assert_eq!(keys[0]["key"], *order);
    let events = printed(&cli(&server, &["list", "customer", &order]));
    assert_eq!(events[0]["position"], json!(at));
    let still = cli(&server, &["retry", "customer", "--reason", "one more try"]);
    assert_eq!(printed(&still)["parkedKeys"], 1);
    assert_eq!(
        still.status.code(),
        Some(1),
        "somebody has to look at it again"
    );
    let skip = ["skip", "customer", &order, "--reason", "nobody teleports"];
    let done = cli(&server, &skip);
    assert_eq!(printed(&done)["result"], "released");
    assert!(done.status.success());
    let again = cli(&server, &skip);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        complaint(&again).contains("nothing of"),
        "{}",
        complaint(&again)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_view_is_told_by_status_metrics_and_readiness_and_makes_nothing_unready() {
    on_each_backend(async |server| {
        let paused = server
            .post("/projections/customer/pause", &json!({ "reason": "maintenance" }))
            .await;
        assert_eq!(paused.body()["result"], "paused");
        server.placed("33").await;
        let status = server
            .eventually("/projections/customer", |status| {
                status["projection"]["state"] == "paused"
                    && status["projection"]["lag"].as_i64() > Some(0)
            })
            .await;
        assert_eq!(status["projection"]["lagReason"], "paused");
        let reason = status["projection"]["reason"].as_str().expect("a reason");
        assert!(reason.ends_with("maintenance"), "{reason}");
        let ready = server.get("/readyz").await;
        assert_eq!(ready.status, 200);
        let ready = ready.body()["projections"][0].clone();
        assert_eq!(ready["lagReason"], "paused");
        assert!(ready["lag"].as_i64() > Some(0) && ready["lagSeconds"].as_f64() > Some(0.0), "{ready}");
        let metrics = server.get("/metrics").await.text();
        let gauge = |reason: &str, value: u8| {
            format!("bookmarket_projection_lag_reason{{view=\"customer\",reason=\"{reason}\"}} {value}\n")
        };
        assert!(metrics.contains(&gauge("paused", 1)), "{metrics}");
        assert!(metrics.contains(&gauge("no-owner", 0)));
        assert!(lag_of("positions", &metrics) >= 1.0 && lag_of("seconds", &metrics) > 0.0, "{metrics}");
        assert!(metrics.contains("bookmarket_projection_restarts_total{view=\"customer\"} 0"));

        let resumed = server
            .post("/projections/customer/resume", &json!({ "reason": "done" }))
            .await;
        assert_eq!(resumed.body()["result"], "resumed");
        server
            .eventually("/projections/customer", |status| status["projection"]["lag"] == 0)
            .await;
        assert_eq!(server.get("/mypages").await.body()["page"]["count"], 1);
        let at_rest = |ready: &Value| {
            let customer = &ready["projections"][0];
            customer["lag"] == 0 && customer["lagSeconds"] == 0.0 && customer["lagReason"].is_null()
        };
        server.eventually("/readyz", at_rest).await;
        let metrics = server.get("/metrics").await.text();
        assert_eq!([lag_of("positions", &metrics), lag_of("seconds", &metrics)], [0.0, 0.0], "{metrics}");
    })
    .await;
}

/// How far the customer view is behind, as it is scraped.
fn lag_of(unit: &str, metrics: &str) -> f64 {
    let name = format!("bookmarket_projection_lag_{unit}{{view=\"customer\"}} ");
    let found = metrics.lines().find_map(|line| line.strip_prefix(&name));
    found.expect("it is measured").parse().expect("a number")
}

/// A process on a data directory, and questions to it.
struct Shop {
    serving: Serving,
    http: reqwest::Client,
}

impl Shop {
    fn open(data: &Path) -> Shop {
        Shop {
            serving: Serving::start(bookmarket(data)),
            http: reqwest::Client::new(),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self
            .http
            .request(method, format!("{}{path}", self.serving.url));
        Answer::of(request.json(body).send().await.expect("an answer")).await
    }

    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.ask(Method::GET, path, &Value::Null).await.body();
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "{path} is still {found}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Places an order, and ends once the views have it.
    async fn sell_one(data: &Path) {
        let mut shop = Shop::open(data);
        let placed = shop.ask(Method::POST, "/orders", &order("33")).await;
        assert_eq!(placed.status, 201, "{}", placed.text());
        shop.until("/mypages?status=Shipped", |list| list["page"]["count"] == 1)
            .await;
        shop.serving.terminate();
        assert_eq!(shop.serving.exit_code().await, Some(0));
    }
}

/// Puts one log in the place of another one, as somebody does who restores a backup of the log alone. Nobody has them open.
fn put_log(from: &Path, to: &Path) {
    for name in ["events.db", "events.db-wal", "events.db-shm", "master.key"] {
        drop(std::fs::remove_file(to.join(name)));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("copied");
        }
    }
    assert!(to.join("events.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_was_folded_from_another_log_stands_still_and_names_the_way_out() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [data, other] = folders.each_ref().map(|folder| folder.path().join("data"));
    for data in [&data, &other] {
        Shop::sell_one(data).await;
    }
    put_log(&other, &data);
    let shop = Shop::open(&data);
    let stopped = shop
        .until("/projections/customer", |status| {
            status["projection"]["lagReason"] == "stopped"
        })
        .await;
    let reason = stopped["projection"]["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("does not continue from checkpoint"),
        "{reason}"
    );
    assert!(reason.contains("bookmarket replay customer"), "{reason}");
    for view in ["customer", "message", "saga"] {
        let path = format!("/projections/{view}/rebuild");
        let started = shop.ask(Method::POST, &path, &Value::Null).await;
        assert_eq!(started.status, 202, "{}", started.text());
        shop.until(&format!("/projections/{view}"), |status| {
            status["projection"]["lagReason"] == Value::Null
        })
        .await;
    }
    shop.until("/mypages", |list| list["page"]["count"] == 1)
        .await;
}
