//! Whole lists as CSV.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use projections::PAGE_MAX;
use reqwest::Method;
use serde_json::json;

use super::server::{Answer, Backend, TestServer, on_each_backend, order, token_line};

/// The rows of a sheet under its headings.
fn rows(answer: &Answer) -> Vec<Vec<(String, String)>> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    let mut reader = csv::Reader::from_reader(answer.bytes.as_slice());
    let headings = reader.headers().expect("headings").clone();
    let rows = reader.records().map(|row| {
        let row = row.expect("a row");
        let cells = headings.iter().zip(row.iter());
        cells
            .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
            .collect()
    });
    rows.collect()
}

fn cell<'a>(row: &'a [(String, String)], name: &str) -> &'a str {
    let found = row.iter().find(|(heading, _)| heading == name);
    found.map_or_else(|| panic!("no column {name}"), |(_, cell)| cell)
}

async fn accepting_csv(server: &TestServer, path: &str, token: Option<&str>) -> Answer {
    let mut request = server
        .request(Method::GET, path)
        .header("Accept", "text/csv");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Answer::of(request.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_as_csv_has_the_rows_of_the_list_and_nothing_that_people_wrote() {
    on_each_backend(async |server| {
        let id = server.placed("=HYPERLINK(\"http://x\")").await;
        let told = |page: &serde_json::Value| page["messages"][0]["state"] == "sent";
        server.eventually(&format!("/mypages/{id}"), told).await;
        let cancel = json!({ "reason": "my name is Hong Gil-dong" });
        assert_eq!(server.post(&format!("/orders/{id}/cancel"), &cancel).await.status, 200);
        let other = server.placed("33").await;
        let note = json!({ "orderId": other, "customerId": "33", "status": "Note", "message": "Dear Hong Gil-dong" });
        server.post("/kakaos", &note).await;
        let all_sent = |list: &serde_json::Value| list["page"]["count"] == 4;
        server.eventually("/kakaomsgs?state=sent", all_sent).await;
        server
            .eventually(&format!("/mypages/{other}"), |page| page["status"] == "Shipped")
            .await;

        let sheet = server.get("/mypages.csv").await;
        assert_eq!(sheet.bytes, accepting_csv(server, "/mypages", None).await.bytes);
        assert_eq!(sheet.header("content-disposition"), Some("attachment; filename=\"mypages.csv\""));
        let orders = rows(&sheet);
        let told: Vec<_> = orders.iter().map(|row| cell(row, "orderId")).collect();
        assert_eq!(told, [other.as_str(), id.as_str()]);
        let canceled = &orders[1];
        assert_eq!(cell(canceled, "customerId"), "'=HYPERLINK(\"http://x\")");
        assert_eq!(cell(canceled, "books"), "9788937460449 x1; 9788954651135 x2");
        let money = ["total", "paid", "refunded", "balance"].map(|name| cell(canceled, name));
        assert_eq!(money, ["45000", "45000", "45000", "0"]);
        assert_eq!((cell(canceled, "status"), cell(canceled, "copies")), ("Canceled", "3"));

        let messages = server.get("/kakaomsgs.csv").await;
        let kinds: BTreeSet<_> = rows(&messages).iter().map(|row| cell(row, "kind").to_owned()).collect();
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["canceled", "direct", "shipped"]);
        for sheet in [sheet, messages] {
            for personal in ["Hong", "Gil-dong", "1234-5678", "Sejong"] {
                assert!(!sheet.text().contains(personal), "{personal}: {}", sheet.text());
            }
        }
        let filtered = rows(&server.get("/mypages.csv?customerId=33&status=Shipped").await);
        assert_eq!(filtered.len(), 1);
        let json = server.get("/mypages").await;
        assert_eq!(json.header("content-type"), Some("application/json"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_longer_than_a_page_has_every_row_once() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let orders = PAGE_MAX + 7;
    let placing = (0..orders).map(|number| {
        let request = server
            .request(Method::POST, "/kakaos")
            .json(&json!({ "orderId": number.to_string(), "customerId": "33", "status": "Note", "message": "Hi." }));
        async move { request.send().await.expect("an answer").status() }
    });
    let mut placed = futures_util::stream::iter(placing).buffer_unordered(16);
    while let Some(status) = placed.next().await {
        assert_eq!(status, 201);
    }
    drop(placed);
    let total = |counts: &serde_json::Value| counts["total"] == orders;
    server.eventually("/kakaomsgs/counts", total).await;
    let rows = rows(&server.get("/kakaomsgs.csv").await);
    let numbers: BTreeSet<_> = rows
        .iter()
        .map(|row| cell(row, "orderId").to_owned())
        .collect();
    assert_eq!((rows.len(), numbers.len()), (orders, orders));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_sheet_and_counts_are_of_its_own_orders() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        let file = settings.store.data_dir.with_file_name("tokens");
        let lines = [
            token_line("customer:alice", "alice", "alice-token"),
            token_line("service", "shop", "shop-token"),
        ];
        std::fs::write(&file, lines.concat()).expect("a token file");
        settings.edge.api_tokens = Some(file);
    })
    .await;
    let mut seen = String::new();
    for customer in ["alice", "bob", "bob"] {
        let request = server
            .request(Method::POST, "/orders")
            .bearer_auth("shop-token")
            .json(&order(customer));
        let placed = Answer::of(request.send().await.expect("an answer")).await;
        seen = placed
            .header("consistency-token")
            .expect("a token")
            .to_owned();
    }
    for (path, token, count) in [
        ("/mypages", "shop-token", 3),
        ("/mypages?customerId=bob", "shop-token", 2),
        ("/mypages", "alice-token", 1),
        ("/mypages?customerId=bob", "alice-token", 0),
    ] {
        let between = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{between}atLeast={seen}");
        let sheet = accepting_csv(&server, &path, Some(token)).await;
        assert_eq!(rows(&sheet).len(), count, "{path} {token}");
        let counts = path.replace("/mypages", "/mypages/counts");
        let counts = server.request(Method::GET, &counts).bearer_auth(token);
        let counts = Answer::of(counts.send().await.expect("an answer")).await;
        assert_eq!(counts.body()["total"], count, "{path} {token}");
    }
    server.stop().await;
}
