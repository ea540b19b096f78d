//! Customers are told what happened, and never in the words of operators, providers or comparisons of books.

use aggregates::codec;
use eventstore::{Category, Expected};
use orchestrator::execute::to_stream;
use reqwest::Method;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use uuid::Uuid;

use super::follow::Told;
use super::server::{Answer, Backend, TestServer, token_line};

const ALICE: &str = "alice-token";
const SHOP: &str = "shop-token";
const OPERATOR: &str = "operator-token";

/// In every word that is not for customers.
const PLANTED: &str = "planted";

/// The operator's name.
const KIM: &str = "kim.minsu";

/// The saga of a mismatch.
const FINDING: &str = "5d0f9d3c-6f1b-4c59-9c39-1f6f0a7b2c11";

const INTERNAL: [&str; 4] = [PLANTED, KIM, FINDING, "refunded-outside"];

async fn start(backend: Backend) -> TestServer {
    TestServer::start(backend, |settings| {
        let file = settings.store.data_dir.with_file_name("tokens");
        let lines = [
            token_line("customer:alice", "alice-app", ALICE),
            token_line("service", "shop", SHOP),
            token_line("operator", KIM, OPERATOR),
        ];
        std::fs::write(&file, lines.concat()).expect("a token file");
        settings.edge.api_tokens = Some(file);
    })
    .await
}

async fn ask(server: &TestServer, token: &str, path: &str, accept: &str) -> Answer {
    let request = server.request(Method::GET, path).bearer_auth(token);
    let request = request.header("Accept", accept);
    Answer::of(request.send().await.expect("an answer")).await
}

/// Writes an order down, event by event, as sagas would have done.
pub(super) struct Story<'a> {
    server: &'a TestServer,
    pub(super) order: Uuid,
}

impl Story<'_> {
    async fn placed(server: &TestServer) -> Story<'_> {
        let story = Story {
            server,
            order: Uuid::now_v7(),
        };
        let placed = json!({
            "bookId": "9788937460449", "qty": 1, "shippingFee": 0, "currency": "KRW", "total": 5_000,
            "lines": [{ "bookId": "9788937460449", "qty": 1, "unitPrice": 5_000 }],
            "principal": KIM, "commandHash": PLANTED,
        });
        story.order("Ordered", placed).await;
        story
    }

    pub(super) async fn paid(server: &TestServer) -> Story<'_> {
        let story = Story::placed(server).await;
        let charge = json!({ "amount": 5_000, "currency": "KRW", "providerRef": "c-1" });
        story.tell("payment", story.order, "Paid", charge).await;
        let paid = json!({ "lines": [], "total": 5_000, "currency": "KRW", "paymentRef": "c-1" });
        story.order("OrderPaid", paid).await;
        story
    }

    pub(super) async fn canceled(&self, actor: &str, reason: &str) {
        let asked = json!({ "reason": reason, "actor": actor });
        self.order("OrderCancelRequested", asked).await;
        let canceled = json!({
            "bookId": "9788937460449", "qty": 1, "lines": [], "total": 5_000, "currency": "KRW",
            "reason": reason, "actor": actor,
        });
        self.order("OrderCanceled", canceled).await;
    }

    async fn message(&self, end: &str, facts: Value) -> Uuid {
        let id = Uuid::now_v7();
        let asked = json!({ "kind": "direct", "message": "Dear customer" });
        for (event, mut facts) in [("MessageRequested", asked), (end, facts)] {
            facts["id"] = json!(id);
            facts["status"] = json!("Note");
            self.tell("kakao", id, event, facts).await;
        }
        id
    }

    async fn order(&self, event: &str, facts: Value) {
        self.tell("order", self.order, event, facts).await;
    }

    async fn tell(&self, category: &str, stream: Uuid, event: &str, mut facts: Value) {
        facts["orderId"] = json!(self.order);
        facts["customerId"] = json!("alice");
        facts["occurredAt"] = json!("2026-11-22T12:00:00.000Z");
        let facts = to_raw_value(&facts).expect("JSON");
        let event = codec::decode(event, 1, &facts).expect("an event");
        let category = Category::parse(category).expect("a category");
        let append = to_stream(category, stream, Expected::Any, [event], self.order);
        let stored = self.server.edge().store.append(vec![append]).await;
        stored.expect("stored");
    }
}

/// Orders with everything in them that is not for customers; gives their ids and those of messages about them.
async fn plant(server: &TestServer) -> Vec<Uuid> {
    let words = |code: &str| json!({ "code": code, "reason": "planted by the carrier" });
    let stake = |mut facts: Value| {
        facts["amount"] = json!(5_000);
        facts["currency"] = json!("KRW");
        facts
    };
    let operated = Story::paid(server).await;
    let asked = json!({ "reason": "planted before", "actor": KIM });
    operated.order("OrderCancelRequested", asked).await;
    let refused = words("resolved-undone");
    operated.order("OrderCancelRefused", refused).await;
    operated.canceled(KIM, "planted: suspected fraud").await;
    let found = stake(json!({ "finding": FINDING, "code": "planted-code", "reason": "planted" }));
    for (event, facts) in [
        ("MismatchFound", found),
        ("RefundRefused", stake(words("resolved-undone"))),
    ] {
        operated.tell("payment", operated.order, event, facts).await;
    }
    let refused = words("resolved-undone");
    operated
        .tell("delivery", operated.order, "ShipmentRefused", refused)
        .await;
    let mut failed = words("resolved-undone");
    failed["kind"] = json!("direct");
    let failed = operated.message("MessageFailed", failed).await;
    let skipped = json!({ "kind": "direct", "reason": "planted by Kim" });
    let skipped = operated.message("MessageSuppressed", skipped).await;

    let imported = Story::paid(server).await;
    let reason = "refunded-outside: planted in the bank's dashboard";
    imported.canceled("reconciler", reason).await;
    let back = stake(json!({ "providerRef": "c-1", "refundRef": "r-1" }));
    imported
        .tell("payment", imported.order, "PayCanceled", back)
        .await;

    let rejected = Story::placed(server).await;
    let declined = words("resolved-undone");
    rejected
        .tell("payment", rejected.order, "PaymentDeclined", declined)
        .await;
    let no = words("resolved-undone");
    rejected.order("OrderRejected", no).await;

    let sent = Story::paid(server).await;
    let parcel = json!({ "carrier": "CJ", "waybill": "6001" });
    sent.tell("delivery", sent.order, "Shipped", parcel.clone())
        .await;
    sent.order("OrderShipped", parcel).await;
    sent.tell("delivery", sent.order, "HandedOver", json!({}))
        .await;
    sent.order("OrderHandedOver", json!({})).await;
    let trouble = json!({ "reason": "planted at the depot", "scannedAt": "2026-11-22T12:00:00Z" });
    sent.tell("delivery", sent.order, "TrackingException", trouble)
        .await;
    let orders = [operated, imported, rejected, sent].map(|story| story.order);
    orders.into_iter().chain([failed, skipped]).collect()
}

/// Every address that can be read, with each of these ids in it.
async fn addresses(server: &TestServer, ids: &[Uuid]) -> Vec<String> {
    let described = server.get("/openapi.json").await.body();
    let paths = described["paths"].as_object().expect("paths");
    let read = paths.iter().filter(|(path, methods)| {
        methods.get("get").is_some() && !path.ends_with("/stream") && !path.starts_with("/problems")
    });
    let each = read.flat_map(|(path, _)| {
        let filled = ids.iter().map(|id| {
            let id = id.to_string();
            path.replace("{id}", &id)
                .replace("{orderId}", &id)
                .replace("{name}", "customer")
                .replace("{key}", &id)
        });
        filled.collect::<Vec<_>>()
    });
    let mut each: Vec<_> = each.collect();
    each.sort_unstable();
    each.dedup();
    each
}

#[track_caller]
fn is_clean(place: &str, text: &str) {
    for word in INTERNAL {
        assert!(!text.contains(word), "{word} is in {place}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_reads_no_word_of_operators_of_providers_or_of_comparisons() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let server = start(backend).await;
        let ids = plant(&server).await;
        let at = server.edge().newest().await.expect("a checkpoint");
        for view in ["mypages", "kakaomsgs"] {
            let path = format!("/{view}?atLeast={at}");
            let answer = ask(&server, OPERATOR, &path, "*/*").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let mut read = 0;
        for path in addresses(&server, &ids).await {
            for (reader, accept) in [(ALICE, "*/*"), (ALICE, "text/csv"), (SHOP, "*/*")] {
                let answer = ask(&server, reader, &path, accept).await;
                assert!(answer.status < 500, "{path}: {}", answer.text());
                is_clean(&path, &answer.text());
                read += usize::from(answer.status == 200);
            }
        }
        assert!(read > 100, "only {read} answers were read");

        let path = "/mypages/stream?after=0";
        let stream = server.request(Method::GET, path).bearer_auth(ALICE);
        let mut stream = Told::of(stream.send().await.expect("an answer"));
        for _ in 0..4 {
            is_clean(path, &stream.next().await.1.to_string());
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_reads_what_was_written_and_a_customer_who_canceled_and_why() {
    let server = start(Backend::Sqlite).await;
    let ids = plant(&server).await;
    let [operated, imported] = [ids[0], ids[1]];
    let mine = Story::paid(&server).await;
    mine.canceled("customer", "wrong edition").await;
    let at = server.edge().newest().await.expect("a checkpoint");
    let page = async |reader, order| {
        let path = format!("/mypages/{order}?atLeast={at}");
        ask(&server, reader, &path, "*/*").await.body()
    };
    let whole = page(OPERATOR, operated).await;
    assert_eq!(whole["cancel"]["actor"], KIM);
    assert_eq!(whole["payment"]["mismatches"][0]["finding"], FINDING);
    for place in ["orders", "payments", "deliveries"] {
        let path = format!("/{place}/{operated}");
        let told = ask(&server, OPERATOR, &path, "*/*").await.text();
        assert!(told.contains(PLANTED), "{place}: {told}");
    }
    for (order, actor, reason) in [
        (operated, "shop", "The shop canceled the order."),
        (imported, "system", "The order could not be carried out."),
        (mine.order, "customer", "wrong edition"),
    ] {
        let cancel = page(ALICE, order).await["cancel"].clone();
        assert_eq!(
            (&cancel["actor"], &cancel["reason"]),
            (&json!(actor), &json!(reason))
        );
        let told = ask(&server, ALICE, &format!("/orders/{order}"), "*/*").await;
        let canceled = &told.body()["canceled"];
        assert_eq!(
            (&canceled["actor"], &canceled["reason"]),
            (&json!(actor), &json!(reason))
        );
    }
    server.stop().await;
}
