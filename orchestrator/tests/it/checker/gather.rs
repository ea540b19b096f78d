//! Gathers the evidence over HTTP, page by page.

use reqwest::Client;
use serde_json::Value;

use super::evidence::{Evidence, int};

/// Rows and events asked for at once: the most that a page may hold.
const ROWS: usize = 500;
const EVENTS: usize = 1000;

/// Everything a shop shows of itself; the views as of the last event gathered, or later.
pub(crate) async fn gather(http: &Client, shop: &str, ledger: Vec<Value>) -> Evidence {
    let events = events(http, shop, 0).await;
    let position = events.last().map_or(0, |event| int(event, "position"));
    Evidence {
        ledger,
        customers: rows(http, shop, "mypages", "", position).await,
        sagas: rows(http, shop, "sagas", "", position).await,
        messages: rows(http, shop, "kakaomsgs", "", position).await,
        events,
        replies: Vec::new(),
    }
}

/// The log from after a position on.
pub(crate) async fn events(http: &Client, shop: &str, mut after: i64) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let page = get(http, &format!("{shop}/events?after={after}&limit={EVENTS}")).await;
        let next = int(&page, "next");
        if next == after {
            return events;
        }
        events.extend(page["events"].as_array().cloned().unwrap_or_default());
        after = next;
    }
}

/// The rows of a view as of that position, or later, that pass a filter such as `&status=parked`.
pub(crate) async fn rows(
    http: &Client,
    shop: &str,
    collection: &str,
    filter: &str,
    position: i64,
) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let url = format!("{shop}/{collection}?size={ROWS}&atLeast={position}{filter}{cursor}");
        let page = get(http, &url).await;
        rows.extend(
            page["_embedded"][collection]
                .as_array()
                .cloned()
                .unwrap_or_default(),
        );
        match page["page"]["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

async fn get(http: &Client, url: &str) -> Value {
    let answer = http
        .get(url)
        .header("prefer", "wait=30")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 200, "{url}");
    answer.json().await.expect("JSON")
}
