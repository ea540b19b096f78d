//! Reading one's own writes: every command says where the log is after it, and a view waits for that or says why it cannot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Answer, Backend, TestServer, on_each_backend, order, order_paid_by, poison};
use crate::soak;

/// Reads with what a command has told.
async fn read(server: &TestServer, path: &str, token: &str) -> Answer {
    let request = server
        .request(Method::GET, path)
        .header("Consistency-Token", token);
    Answer::of(request.send().await.expect("an answer")).await
}

#[track_caller]
fn token(answer: &Answer) -> String {
    let token = answer.header("consistency-token");
    let why = || panic!("no token: {}", answer.text());
    token.unwrap_or_else(why).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_tells_where_the_log_is_and_a_view_shows_what_it_did() {
    on_each_backend(async |server| {
        let status = async |id: &str, token: &str| {
            let page = read(server, &format!("/mypages/{id}"), token).await;
            assert_eq!(page.status, 200, "{}", page.text());
            page.body()["status"].clone()
        };
        let id_of = |answer: &Answer| answer.body()["orderId"].as_str().expect("an id").to_owned();

        let placed = server.post("/orders", &order("33")).await;
        let id = id_of(&placed);
        assert_ne!(status(&id, &token(&placed)).await, "Pending");
        let canceled = server.delete(&format!("/orders/{id}")).await;
        assert_eq!(status(&id, &token(&canceled)).await, "Canceled");
        let again = server.post(&format!("/orders/{id}/cancel"), &json!({})).await;
        assert_eq!(status(&id, &token(&again)).await, "Canceled");

        let declined = server.post("/orders", &order_paid_by("33", "decline")).await;
        assert_eq!(declined.status, 402);
        let rejected = id_of(&declined);
        assert_eq!(status(&rejected, &token(&declined)).await, "Rejected");
        let refused = server.delete(&format!("/orders/{rejected}")).await;
        refused.is_problem("already-rejected", 409);
        assert_eq!(status(&rejected, &token(&refused)).await, "Rejected");

        let note = json!({ "orderId": "1", "customerId": "33", "status": "Note", "message": "Hi." });
        let sent = server.post("/kakaos", &note).await;
        let message = sent.body()["id"].as_str().expect("an id").to_owned();
        let shown = read(server, &format!("/kakaomsgs/{message}"), &token(&sent)).await;
        assert_eq!(shown.body()["message"], "Hi.");

        let other = server.placed("34").await;
        let reason = json!({ "reason": "fraud" });
        let verb = server.post(&format!("/sagas/{other}/cancel"), &reason).await;
        assert_eq!(verb.status, 200, "{}", verb.text());
        assert_eq!(status(&other, &token(&verb)).await, "Canceled");

        let erased = server.post("/customers/34/erase", &reason).await;
        assert_eq!((erased.status, token(&erased).is_empty()), (200, false));
        let compared = server.post("/reconcile", &json!({})).await;
        assert_eq!((compared.status, token(&compared).is_empty()), (200, false));

        let third = server.placed("35").await;
        // Who is meant is read from a view.
        let listed = |list: &Value| list["_embedded"]["sagas"][0]["sagaId"] == third.as_str();
        server
            .eventually("/sagas?status=waiting&step=handover", listed)
            .await;
        let many = json!({ "verb": "cancel", "reason": "x", "where": { "status": "waiting", "step": "handover" }, "rate": "100/s" });
        let many = server.post("/sagas/bulk", &many).await;
        assert_eq!(many.header("consistency-token"), None, "it answers before it acts");
        let text = String::from_utf8(many.bytes).expect("text");
        let summary: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        let told = summary["consistencyToken"].as_str().expect("a token");
        assert_eq!(status(&third, told).await, "Canceled", "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_anything_happened_tells_no_place_in_the_log() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let bad = server.post("/orders", &json!({ "qty": 0 })).await;
    assert_eq!((bad.status, bad.header("consistency-token")), (422, None));
    let nobody = server
        .delete("/orders/00000000-0000-4000-8000-000000000000")
        .await;
    assert_eq!(
        (nobody.status, nobody.header("consistency-token")),
        (404, None)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_behind_says_how_far_in_positions_and_seconds_and_when_to_come_again() {
    on_each_backend(async |server| {
        let id = server.placed("33").await;
        server
            .eventually(&format!("/mypages/{id}"), |page| {
                page["status"] == "Shipped"
            })
            .await;
        let pause = json!({ "reason": "to see how late it gets" });
        for view in ["customer", "message"] {
            let paused = server
                .post(&format!("/projections/{view}/pause"), &pause)
                .await;
            assert!(paused.status < 300, "{}", paused.text());
            let still = |all: &Value| all["projection"]["state"] == "paused";
            server
                .eventually(&format!("/projections/{view}"), still)
                .await;
        }
        let placed = server.post("/orders", &order("33")).await;
        let seen = token(&placed);
        let paths = [
            "/mypages",
            &format!("/mypages/{id}"),
            "/kakaomsgs",
            "/mypages/counts",
            "/kakaomsgs.csv",
        ];
        for path in paths {
            let request = server
                .request(Method::GET, path)
                .header("Consistency-Token", &seen)
                .header("Prefer", "wait=0");
            let answer = Answer::of(request.send().await.expect("an answer")).await;
            let problem = answer.is_problem("view-behind", 503);
            let lag = &problem["lag"];
            assert!(
                lag["positions"].as_i64().is_some_and(|lag| lag > 0),
                "{problem}"
            );
            assert!(
                lag["seconds"].as_f64().is_some_and(|lag| lag > 0.0),
                "{problem}"
            );
            assert_eq!(lag["reason"], "paused");
            let again: u64 = answer
                .header("retry-after")
                .expect("a time")
                .parse()
                .expect("seconds");
            assert!((1..=30).contains(&again), "{again}");
            assert_eq!(server.get(path).await.status, 200, "{path} as it is");
        }
        for view in ["customer", "message"] {
            server
                .post(&format!("/projections/{view}/resume"), &pause)
                .await;
        }
        for path in paths {
            assert_eq!(read(server, path, &seen).await.status, 200, "{path}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_stands_still_is_refused_to_those_who_have_seen_more_and_shown_to_others() {
    on_each_backend(async |server| {
        let placed = server.post("/orders", &order("33")).await;
        let before = token(&placed);
        let id = placed.body()["orderId"].as_str().expect("an id").to_owned();
        let page = format!("/mypages/{id}");
        server
            .eventually(&page, |page| page["messages"][0]["state"] == "sent")
            .await;
        let message = server.get(&page).await.body()["messages"][0]["messageId"].clone();
        let message = format!("/kakaomsgs/{}", message.as_str().expect("an id"));
        let other = server.placed("34").await;

        let since = poison(server, "order", &id).await;
        let problem = read(server, &page, &since)
            .await
            .is_problem("view-parked", 409);
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|told| told.contains("customer"))
        );
        assert_eq!(
            read(server, &page, &before).await.status,
            200,
            "nothing of it is missing"
        );
        assert_eq!(server.get(&page).await.body()["status"], "Shipped");
        // Which rows of a list it would be about cannot be told.
        for others in [
            "/mypages",
            "/mypages?customerId=33",
            &format!("/mypages/{other}"),
            &message,
        ] {
            assert_eq!(read(server, others, &since).await.status, 200, "{others}");
        }
        let id = message.trim_start_matches("/kakaomsgs/");
        let since = poison(server, "kakao", id).await;
        read(server, &message, &since)
            .await
            .is_problem("view-parked", 409);
        assert_eq!(server.get(&message).await.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_next_version_of_a_view_can_answer_is_refused_until_it_is_there() {
    let server = TestServer::start(Backend::Postgres, |_| {}).await;
    let id = server.placed("33").await;
    server
        .eventually(&format!("/mypages/{id}"), |page| {
            page["messages"][0]["state"] == "sent"
        })
        .await;
    // As the release before has left it.
    server.tamper(
        "ALTER TABLE view_customer_1 DROP COLUMN placed_at;
         UPDATE projection_generations SET version = version - 1 WHERE view = 'customer'",
    );
    let asked = "/mypages?from=2020-01-01";
    for path in [
        asked,
        "/mypages.csv?from=2020-01-01",
        "/mypages/counts?to=2020-01-01",
    ] {
        let answer = server.get(path).await;
        answer.is_problem("view-rebuilding", 503);
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(server.get("/mypages").await.body()["page"]["count"], 1);
    assert_eq!(server.get(&format!("/mypages/{id}")).await.status, 200);
    // The projector notices by the next event at the latest, and folds the view anew.
    server.placed("33").await;
    server
        .eventually(asked, |list| list["page"]["count"] == 2)
        .await;
    server.stop().await;
}

/// Commands with a read of what each has done, from this many customers at once.
const CUSTOMERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn ten_thousand_reads_after_a_command_show_it_within_a_tenth_of_a_second() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let server = TestServer::start(backend, |settings| {
            // One of them places and cancels while seven others do; nothing is to be refused.
            settings.edge.max_in_flight = 64;
        })
        .await;
        let server = Arc::new(server);
        let commands = soak::size(10_000);
        let customers = (0..CUSTOMERS).map(|customer| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { shop(&server, customer, commands / CUSTOMERS).await })
        });
        let (mut waits, mut checked) = (Vec::new(), 0);
        for customer in customers.collect::<Vec<_>>() {
            let (waited, fit) = customer.await.expect("no panic");
            waits.extend(waited);
            checked += fit;
        }
        waits.sort_unstable();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
        println!(
            "figure: reads-after-commands store={backend:?} reads={} checked={checked} wait-p50={:.1}ms wait-p99={:.1}ms longest={:.1}ms",
            waits.len(),
            millis(at(0.5)),
            millis(at(0.99)),
            millis(at(1.0)),
        );
        assert!(waits.len() >= commands * 9 / 10);
        assert!(
            checked * 100 >= waits.len() * 95,
            "{checked} of {} reads showed what was done",
            waits.len()
        );
        assert!(at(0.99) <= bound(), "p99 {:?}", at(0.99));
        let server = Arc::try_unwrap(server)
            .map_err(|_| "in use")
            .expect("everybody has left");
        server.stop().await;
    }
}

/// No read of all takes this long.
const LONGEST: Duration = Duration::from_secs(20);

/// How long a view may keep 99 of 100 waiting. Beside other tests, on a busy machine, everything takes longer.
fn bound() -> Duration {
    if soak::is_on() {
        Duration::from_millis(100)
    } else {
        Duration::from_secs(1)
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Places orders, sends messages and cancels, and reads each back at once; gives the time that each read took, and how many had to
/// show what was done.
async fn shop(server: &TestServer, customer: usize, commands: usize) -> (Vec<Duration>, usize) {
    let (mut waits, mut checked) = (Vec::with_capacity(commands), 0);
    let name = format!("c{customer}");
    let mut placed: Option<String> = None;
    for number in 0..commands {
        let (answer, path, fits): (_, _, fn(&Value) -> bool) = match (number % 3, &placed) {
            (1, Some(id)) => {
                let canceled = server.delete(&format!("/orders/{id}")).await;
                let over: fn(&Value) -> bool = |page| page["status"] == "Canceled";
                (canceled, format!("/mypages/{id}"), over)
            }
            (2, _) => {
                let note = json!({ "orderId": "1", "customerId": name, "status": "Note", "message": "Hi." });
                let sent = server.post("/kakaos", &note).await;
                let id = sent.body()["id"].as_str().expect("an id").to_owned();
                let there: fn(&Value) -> bool = |message| message["message"] == "Hi.";
                (sent, format!("/kakaomsgs/{id}"), there)
            }
            _ => {
                let ordered = server.post("/orders", &order(&name)).await;
                let id = ordered.body()["orderId"]
                    .as_str()
                    .expect("an id")
                    .to_owned();
                placed = Some(id.clone());
                let paid: fn(&Value) -> bool = |page| page["account"]["paid"] == 45_000;
                (ordered, format!("/mypages/{id}"), paid)
            }
        };
        assert!((200..300).contains(&answer.status), "{}", answer.text());
        let token = token(&answer);
        let started = Instant::now();
        let seen = read(server, &path, &token).await;
        waits.push(started.elapsed());
        assert_eq!(seen.status, 200, "{}", seen.text());
        // A cancel that takes longer than anybody waits is answered as under way.
        if answer.status != 202 {
            assert!(fits(&seen.body()), "stale: {}", seen.text());
            checked += 1;
        }
        assert!(started.elapsed() < LONGEST);
    }
    (waits, checked)
}
